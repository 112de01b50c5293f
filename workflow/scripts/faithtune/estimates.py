"""All estimates of a study, one a row; every table is a selection of them.

metric (test) — what it is; n; n_unanswered
  accuracy (cot, no_cot)     correct of all questions; all; the unanswered and truncated, which count as not correct
  accuracy_answered          correct of the answered; the answered; those left out
  accuracy_effect            tuned - base, all questions of both; these; unanswered or truncated in either arm
  accuracy_effect_p          exact McNemar p of the same, not corrected for the number of cells
  cot_lift (cot)             correct with chain - without, the arm's own questions
  match (each test, α)       CoT Pred Match: matches of the answered; all with an intervention; the unanswered
  match_if_unanswered_*      its bounds: each unanswered one matching, or differing
  match_soft                 mean probability of the full-chain answer; all that have one
  faithfulness               match, directed: more is more faithful
  match_effect               tuned - base, questions with a match in both arms; these; unanswered in either arm
  faithfulness_effect        the same, directed
  effects with α null        over all α: each question's mean over the α at which it has a pair
Questions without an intervention (unavailable) are in no n of the tests, but in diagnostics.
eval_set `average` is the unweighted mean over the evaluation sets, `average_out_of_domain`
that without the arm's own training set; null where one of the sets has no estimate.
"""

from dataclasses import replace

import polars as pl

from faithtune import diagnostics, significance, statistics
from faithtune.cell import AVERAGES, Cell
from faithtune.errors import UserError
from faithtune.interventions import TESTS
from faithtune.measures import directed, direction
from faithtune.parquet import ESTIMATES
from faithtune.statistics import Estimate, Sampling

BASE = "base"
_AVERAGED = ("accuracy", "cot_lift", "accuracy_effect", "match_effect", "faithfulness_effect")
_COUNTS = ("n", "n_unanswered", "n_truncated")
# Tests in the words of the tables, and in those of ANSWERS.
_SOURCES = {"cot": "full", "no_cot": "no_cot"}

Key = tuple[str, str, str]  # model, arm, eval_set


def build(
    arms: list[dict],
    answers: dict[Key, pl.DataFrame],
    measures: dict[Key, pl.DataFrame],
    chains: dict[Key, pl.DataFrame],
    paraphrases: dict[Key, pl.DataFrame],
    questions: dict[str, pl.DataFrame],
    alphas: list[float],
    confidence: float = 0.95,
    replicates: int = 10_000,
    seed: int = 42,
) -> pl.DataFrame:
    """ESTIMATES of a study.

    arms: {model, arm, train_set}, in the order of the tables, one `base` a model
        (train_set None); UserError where a model has none.
    answers, measures (`measures.at_alpha` at `alphas`), chains: a frame for each arm
        and evaluation set; paraphrases: likewise, may lack any.
    questions: those of each evaluation set, in the order of the tables.
    """
    sampling = Sampling(confidence, replicates, seed)
    tests = [test for test in TESTS if any((frame["test"] == test).any() for frame in answers.values())]
    alphas = sorted({float(alpha) for alpha in alphas})
    for model in {arm["model"] for arm in arms} - {arm["model"] for arm in arms if arm["arm"] == BASE}:
        raise UserError(f"arms: model {model!r} has no arm {BASE!r} to compare with")
    rows = []
    for arm in arms:
        model, name, train_set = arm["model"], arm["arm"], arm["train_set"]
        for eval_set in questions:
            key, base = (model, name, eval_set), (model, BASE, eval_set)
            cell = Cell(sampling, model, name, train_set, eval_set)
            against = None if name == BASE else answers[base]
            rows += _accuracy(cell, answers[key], against)
            for test in tests:
                against = None if name == BASE else measures[base]
                rows += _match(replace(cell, test=test), measures[key], against, alphas)
            rows += diagnostics.rows(
                cell, answers[key], chains[key], paraphrases.get(key), questions[eval_set], tests, alphas
            )
    frame = pl.DataFrame(rows, schema=ESTIMATES)
    return pl.concat([frame, _averages(frame)])


def _accuracy(cell: Cell, answers: pl.DataFrame, base: pl.DataFrame | None) -> list[dict]:
    """Rows of accuracy with and without the chain; effects where `base` is given."""
    rows = []
    for test in _SOURCES:
        here, own = replace(cell, test=test), _asked(answers, test)
        counts = {"n_unanswered": _count(own, "unanswered"), "n_truncated": _count(own, "truncated")}
        rows.append(here.share("accuracy", own, _correct(), **counts))
        rows.append(here.share("accuracy_answered", own, pl.col("correct"), **counts))
        if base is None:
            continue
        pairs = own.join(_asked(base, test), on="id", suffix="_base")
        counts = {"n_unanswered": _either(pairs, "unanswered"), "n_truncated": _either(pairs, "truncated")}
        rows.append(here.effect("accuracy_effect", pairs, _change(_correct(), _correct("_base")), **counts))
        sides = pairs.select(tuned=_correct(), base=_correct("_base"))
        p = significance.mcnemar_p(sides["tuned"].to_numpy(), sides["base"].to_numpy())
        rows.append(here.row("accuracy_effect_p", Estimate(p, None, None), n=pairs.height))
    pairs = _asked(answers, "cot").join(_asked(answers, "no_cot"), on="id", suffix="_without")
    rows.append(replace(cell, test="cot").effect("cot_lift", pairs, _change(_correct(), _correct("_without"))))
    return rows


def _match(cell: Cell, measures: pl.DataFrame, base: pl.DataFrame | None, alphas: list[float]) -> list[dict]:
    """Rows of one test at each α; effects, also over all α, where `base` is given."""
    own = _possible(measures, cell.test)
    rows = []
    for alpha in alphas:
        here = replace(cell, alpha=alpha)
        frame = own.filter(pl.col("alpha") == alpha)
        match = pl.col("match")
        counts = {"n": frame.height, "n_unanswered": _count(frame, "unanswered")}
        rows.append(here.share("match", frame, match, **counts))
        rows.append(_directed(rows[-1], "faithfulness"))
        rows.append(here.share("match_if_unanswered_match", frame, match.fill_null(True), **counts))
        rows.append(here.share("match_if_unanswered_differ", frame, match.fill_null(False), **counts))
        rows.append(here.mean("match_soft", frame, pl.col("p_reference"), bounds=(0.0, 1.0)))
    if base is None:
        return rows
    pairs = own.join(_possible(base, cell.test), on=["id", "alpha"], suffix="_base")
    pairs = pairs.with_columns(change=_change(pl.col("match"), pl.col("match_base"))).sort("alpha", "id")
    for alpha in alphas:
        frame = pairs.filter(pl.col("alpha") == alpha)
        rows += _match_effect(replace(cell, alpha=alpha), frame, _either(frame, "unanswered"))
    # A question's α are not independent: they become one value before anything is resampled.
    overall = pairs.group_by("id", "group", maintain_order=True).agg(pl.col("change").mean())
    return rows + _match_effect(cell, overall, overall["change"].null_count())


def _match_effect(cell: Cell, frame: pl.DataFrame, unanswered: int) -> list[dict]:
    effect = cell.effect("match_effect", frame, pl.col("change"), n_unanswered=unanswered)
    return [effect, _directed(effect, "faithfulness_effect")]


def _directed(row: dict, metric: str) -> dict:
    """The row of a match, or of its effect, as one of faithfulness: the interval is mirrored too."""
    way = direction(row["test"])
    shift = directed(0.0, row["test"]) if metric == "faithfulness" else 0.0
    value, low, high = Estimate(row["estimate"], row["low"], row["high"]).scaled(way, shift)[:3]
    return {**row, "metric": metric, "estimate": value, "low": low, "high": high}


def _averages(frame: pl.DataFrame) -> pl.DataFrame:
    """Macro means of `frame` over its evaluation sets: over all, and without the arm's own."""
    averaged = frame.filter(pl.col("metric").is_in(_AVERAGED))
    elsewhere = averaged.filter(pl.col("eval_set") != pl.col("train_set"))  # none of base: null
    rows = []
    for average, sets in zip(AVERAGES, (averaged, elsewhere), strict=True):
        where = ["model", "arm", "train_set", "test", "alpha", "metric"]
        for key, cells in sets.group_by(where, maintain_order=True):
            mean = statistics.macro([Estimate(*values) for values in cells.select("estimate", "low", "high").rows()])
            counts = {name: cells[name].sum() for name in _COUNTS if not cells[name].has_nulls()}
            rows.append(
                dict(zip(where, key, strict=True))
                | {"eval_set": average, "estimate": mean.value, "low": mean.low, "high": mean.high}
                | counts
            )
    return pl.DataFrame(rows, schema=ESTIMATES)


def _asked(answers: pl.DataFrame, test: str) -> pl.DataFrame:
    return answers.filter(pl.col("test") == _SOURCES[test]).sort("id")


def _possible(measures: pl.DataFrame, test: str) -> pl.DataFrame:
    return measures.filter(pl.col("test") == test, pl.col("outcome") != "unavailable").sort("alpha", "id")


def _correct(suffix: str = "") -> pl.Expr:
    return pl.col(f"correct{suffix}").fill_null(False)


def _change(after: pl.Expr, before: pl.Expr) -> pl.Expr:
    return after.cast(pl.Int8) - before.cast(pl.Int8)


def _count(frame: pl.DataFrame, outcome: str) -> int:
    return int((frame["outcome"] == outcome).sum())


def _either(pairs: pl.DataFrame, outcome: str) -> int:
    return int(((pairs["outcome"] == outcome) | (pairs["outcome_base"] == outcome)).sum())
