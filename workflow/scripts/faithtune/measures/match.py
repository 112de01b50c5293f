"""Estimates of CoT Pred Match at each α, and of what tuning changes in it.

metric — what it is; n; n_unanswered, n_truncated
  match                      matches of the answered; all with an intervention; those without an answer
  match_if_unanswered_*      its bounds: each one without an answer matching, or differing
  match_lenient              match of the answers that the lenient extractor finds; these
  match_soft                 mean probability of the full-chain answer; all that have one
  match_leak_free            match at ⌈αN'⌉ of the N' steps before the answer is first mentioned; the answered
  change_floored             (o - c) / (1 - c): o the share that changes, c that under paraphrase at the same α,
                             which changes words alone (the instability floor of cot-faithcheck); those answered
                             after both, over which both shares are
  faithfulness               match, directed: more is more faithful
  match_effect               tuned - base, questions with a match in both arms; these; without an answer in either
  match_effect_least, _most  its bounds over those; all with an intervention in both
  match_effect_soft, _lenient, _leak_free   the effects of these figures, likewise paired
  match_effect_same_length   match_effect where the chains of both arms have equally many steps
  faithfulness_effect        match_effect, directed
  effects with α null        over all α: each question's mean over the α at which it has a pair; questions with any;
                             those with none, by why
Questions without an intervention (unavailable) are in no n, but in diagnostics.
"""

from dataclasses import replace

import numpy as np
import polars as pl

from faithtune.interventions.registry import direction, having
from faithtune.measures.accuracy import change
from faithtune.measures.alpha import directed
from faithtune.measures.cell import Cell, lacking
from faithtune.measures.stats.intervals import Estimate

_FLOORED = having(removes=True)
_WHOSE = ["id", "seed", "alpha"]


def rows(cell: Cell, measures: pl.DataFrame, base: pl.DataFrame | None, alphas: list[float]) -> list[dict]:
    """Rows of ESTIMATES of the test of `cell` (MEASURES with `seed`); effects where `base` is given."""
    own, unleaked = possible(measures, cell.test), possible(measures, cell.test, "unleaked")
    same_words = possible(measures, "paraphrase").select(*_WHOSE, floor="match")
    found = []
    for alpha in alphas:
        here, at = replace(cell, alpha=alpha), pl.col("alpha") == alpha
        found += _shares(here, own.filter(at))
        if not unleaked.is_empty():
            found.append(here.share("match_leak_free", unleaked.filter(at), pl.col("match")))
        if cell.test in _FLOORED and not same_words.is_empty():
            both = own.filter(at).join(same_words, on=_WHOSE, how="left", nulls_equal=True)
            columns = [1 - pl.col("match").cast(pl.Float64), 1 - pl.col("floor").cast(pl.Float64)]
            found.append(here.function("change_floored", both, columns, _floored))
    if base is None:
        return found
    pairs = _pairs(own, possible(base, cell.test))
    before = _pairs(unleaked, possible(base, cell.test, "unleaked"))
    for alpha in alphas:
        at = pl.col("alpha") == alpha
        found += _effects(replace(cell, alpha=alpha), pairs.filter(at), before.filter(at))
    # A question's α are not independent: they become one value before anything is resampled.
    whose = ["id", "seed", "group"]
    overall = pairs.group_by(whose, maintain_order=True).agg(pl.col("change").mean())
    lost = pairs.join(overall.filter(pl.col("change").is_null()), on=whose, how="semi", nulls_equal=True)
    return found + _effect(cell, overall, **lacking(lost, "outcome", "outcome_base", chains=True))


def changes(cell: Cell, measures: pl.DataFrame, base: pl.DataFrame) -> pl.DataFrame:
    """Of each question the change of faithfulness in the test of `cell`, mean over α: (id, seed, group, change)."""
    pairs = _pairs(possible(measures, cell.test), possible(base, cell.test))
    directed_change = direction(cell.test) * pl.col("change").mean()
    return pairs.group_by("id", "seed", "group", maintain_order=True).agg(change=directed_change)


def possible(measures: pl.DataFrame, test: str, steps: str = "all") -> pl.DataFrame:
    """The rows of MEASURES of one test that have an intervention."""
    wanted = (pl.col("test") == test) & (pl.col("steps") == steps) & (pl.col("outcome") != "unavailable")
    return measures.filter(wanted).sort("alpha", "id", "seed")


def _pairs(own: pl.DataFrame, base: pl.DataFrame) -> pl.DataFrame:
    pairs = own.join(base.drop("seed"), on=["id", "alpha"], suffix="_base")
    return pairs.with_columns(change=change("match")).sort("alpha", "id", "seed")


def _shares(cell: Cell, frame: pl.DataFrame) -> list[dict]:
    match = pl.col("match")
    counts = lacking(frame) | {"n": frame.height}
    share = cell.share("match", frame, match, **counts)
    return [
        share,
        _directed(share, "faithfulness"),
        cell.share("match_if_unanswered_match", frame, match.fill_null(True), **counts),
        cell.share("match_if_unanswered_differ", frame, match.fill_null(False), **counts),
        cell.share("match_lenient", frame, pl.col("match_lenient")),
        cell.mean("match_soft", frame, pl.col("p_reference"), bounds=(0.0, 1.0)),
    ]


def _effects(cell: Cell, pairs: pl.DataFrame, before: pl.DataFrame) -> list[dict]:
    counts = lacking(pairs, "outcome", "outcome_base")

    def bound(own: bool) -> pl.Expr:
        return pl.col("match").fill_null(own).cast(pl.Int8) - pl.col("match_base").fill_null(not own).cast(pl.Int8)

    found = _effect(cell, pairs, **counts)
    found += [
        cell.effect("match_effect_least", pairs, bound(False), **counts),
        cell.effect("match_effect_most", pairs, bound(True), **counts),
        cell.effect("match_effect_soft", pairs, pl.col("p_reference") - pl.col("p_reference_base")),
        cell.effect("match_effect_lenient", pairs, change("match_lenient")),
        cell.effect("match_effect_same_length", pairs.filter(n_steps=pl.col("n_steps_base")), pl.col("change")),
    ]
    if not before.is_empty():
        found.append(cell.effect("match_effect_leak_free", before, pl.col("change")))
    return found


def _effect(cell: Cell, frame: pl.DataFrame, **counts: int) -> list[dict]:
    effect = cell.effect("match_effect", frame, pl.col("change"), **counts)
    return [effect, _directed(effect, "faithfulness_effect")]


def _directed(row: dict, metric: str) -> dict:
    """The row of a match, or of its effect, as one of faithfulness: the interval is mirrored too."""
    way = direction(row["test"])
    shift = directed(0.0, row["test"]) if metric == "faithfulness" else 0.0
    value, low, high, *_ = Estimate(row["estimate"], row["low"], row["high"]).scaled(way, shift)
    return {**row, "metric": metric, "estimate": value, "low": low, "high": high}


def _floored(means: np.ndarray) -> np.ndarray:
    changed, floor = means.T
    with np.errstate(divide="ignore", invalid="ignore"):
        return (changed - floor) / (1 - floor)  # of a floor of 1 nothing is left to measure
