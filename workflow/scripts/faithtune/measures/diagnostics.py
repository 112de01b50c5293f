"""What a reader must know about the other estimates: are there chains, answers, paraphrases?

`metrics/` says what each number is.
"""

from collections.abc import Mapping
from dataclasses import replace

import polars as pl

from faithtune.core.errors import UserError
from faithtune.interventions.registry import SWEEP, TESTS
from faithtune.measures.cell import Cell, count_missing
from faithtune.measures.pooling import ArmResults
from faithtune.measures.stats.intervals import Estimate

# Tests whose interventions a model writes: a question may have none.
_MAY_LACK = [name for name, test in TESTS.items() if test.rewritten_by]


def rows(cell: Cell, results: ArmResults, questions: pl.DataFrame, tests: list[str], alphas: list[float]) -> list[dict]:
    """Rows of ESTIMATES of one arm on one evaluation set; `tests` are those that the arm was asked."""
    answers, chains = results.answers, results.chains
    found = _chains(cell, _with_group(chains, questions, cell), answers)
    found += _parse_rates(cell, answers, tests) + _kept(cell, results.measures, alphas)
    wanted = questions.join(chains.select("seed").unique(), how="cross")  # each question once per seed
    missing = wanted.join(chains, on=["id", "seed"], how="left", nulls_equal=True).sort("id", "seed")
    if missing["text"].null_count():
        found.append(cell.share("chain_missing", missing, pl.col("text").is_null()))
    asked = questions.join(answers, on="id", how="semi").filter(pl.col("options").list.len() > 0)
    options = asked["options"].list.len()
    # A property of the questions, not an estimate from them, so it has no interval.
    found.append(cell.row("chance", Estimate((1 / options).mean(), None, None), n=len(options)))
    if results.paraphrases is not None:
        steps = _with_group(results.paraphrases, questions, cell)
        found.append(replace(cell, test="paraphrase").share("paraphrase_pass", steps, pl.col("text").is_not_null()))
    if results.mistakes is not None:
        steps, here = _with_group(results.mistakes, questions, cell), replace(cell, test="mistake")
        found.append(here.share("mistake_pass", steps, pl.col("text").is_not_null()))
        found.append(here.share("mistake_by_rule", steps, pl.col("made_by") == "rule"))
    return found


def _chains(cell: Cell, chains: pl.DataFrame, answers: pl.DataFrame) -> list[dict]:
    forced = answers.filter(pl.col("test") == "full", pl.col("read_from") != "chain").select("id", "seed", "answer")
    free = chains.join(forced, on=["id", "seed"], how="left", nulls_equal=True).sort("id", "seed")
    agreement = pl.col("free_answer") == pl.col("answer")  # null where either is
    return [
        *(
            cell.share(f"chain_{outcome}", chains, pl.col("outcome") == outcome)
            for outcome in ("answered", "unanswered", "truncated")
        ),
        *(
            cell.share(f"chain_{why}", chains, (pl.col("why") == why).fill_null(False))
            for why in ("refused", "ambiguous")
        ),
        cell.share("chain_valid", chains, _valid()),
        cell.share("chain_copied", chains, _is_copied()),
        cell.share("chain_empty", chains, pl.col("n_steps") == 0),
        cell.share("chain_single", chains, pl.col("n_steps") == 1),
        cell.mean("steps_copied", chains, _copied(), bounds=(0.0, 1.0)),
        cell.mean("n_steps", chains, pl.col("n_steps")),
        cell.mean("n_tokens", chains, pl.col("n_tokens")),
        cell.share("free_agreement", free, agreement),
        cell.mean("option_mass", answers.filter(pl.col("test") == "full"), pl.col("option_mass"), bounds=(0.0, 1.0)),
    ]


def applied(cell: Cell, found: Mapping) -> list[dict]:
    """How far an arm is from base by `arms.applied`, on the evaluation set of its questions; no rows if not known."""
    if found.get("eval_set") != cell.eval_set:
        return []
    values = {"tokens_changed": found["changed"], "token_divergence": found["kl"]}
    # Of a few questions, so without an interval.
    return [cell.row(name, Estimate(value, None, None), n=found["positions"]) for name, value in values.items()]


def differences(cell: Cell, own: ArmResults, base: ArmResults, questions: pl.DataFrame) -> list[dict]:
    """How often an arm's chains, and its answers without a chain, are others than base's."""
    found = []
    for metric, stage, column in (("chains_changed", "chains", "text"), ("answers_changed", "answers", "answer")):
        pairs = _pairs(getattr(own, stage), getattr(base, stage), questions, stage)
        if not pairs.is_empty():  # imported arms have no answers without a chain
            found.append(cell.share(metric, pairs, pl.col(column).ne_missing(pl.col(f"{column}_base"))))
            if stage == "answers":
                found.append(cell.mean("answers_shift", pairs, _total_variation(), bounds=(0.0, 1.0)))
    return found


def _pairs(own: pl.DataFrame, base: pl.DataFrame, questions: pl.DataFrame, stage: str) -> pl.DataFrame:
    """Chains, or answers without a chain, beside base's (`_base`), with the group of their question."""
    if stage == "answers":
        own, base = (frame.filter(test="no_cot").drop("group") for frame in (own, base))
    pairs = own.join(base.drop("seed"), on="id", suffix="_base").join(questions.select("id", "group"), on="id")
    return pairs.sort("id", "seed")


def _total_variation() -> pl.Expr:
    """Half of the sum of what the options' probabilities differ by; null where either arm has none."""
    own, base = pl.col("probabilities"), pl.col("probabilities_base")
    both = (own.list.len() > 0) & (base.list.len() > 0)
    return pl.when(both).then((own - base).list.eval(pl.element().abs()).list.sum() / 2)


def validity_changes(own: pl.DataFrame, base: pl.DataFrame, questions: pl.DataFrame) -> pl.DataFrame:
    """Change of a chain's validity by question: id, seed, group, change (1, 0 or -1); the frames are CHAINS."""
    return _chain_changes(own, base, questions, _valid().cast(pl.Int8))


def length_changes(own: pl.DataFrame, base: pl.DataFrame, questions: pl.DataFrame) -> pl.DataFrame:
    """Change of a chain's number of steps by question: id, seed, group, change; the frames are CHAINS."""
    return _chain_changes(own, base, questions, pl.col("n_steps"))


def _chain_changes(own: pl.DataFrame, base: pl.DataFrame, questions: pl.DataFrame, value: pl.Expr) -> pl.DataFrame:
    own, base = (frame.select("id", "seed", value=value) for frame in (own, base))
    pairs = own.join(base.drop("seed"), on="id", suffix="_base").join(questions.select("id", "group"), on="id")
    return pairs.sort("id", "seed").select("id", "seed", "group", change=pl.col("value") - pl.col("value_base"))


def _valid() -> pl.Expr:
    return (pl.col("n_steps") >= 2) & (pl.col("outcome") != "truncated") & ~_is_copied()


def _is_copied() -> pl.Expr:
    return (pl.col("n_steps") > 0) & (2 * pl.col("n_copied").fill_null(0) >= pl.col("n_steps"))


def _copied() -> pl.Expr:
    return pl.when(pl.col("n_steps") > 0).then(pl.col("n_copied") / pl.col("n_steps"))


def _parse_rates(cell: Cell, answers: pl.DataFrame, tests: list[str]) -> list[dict]:
    controls = pl.col("test").is_in(("again", "no_cot_shuffled"))
    asked = answers.filter(pl.col("outcome") != "unavailable", ~controls)
    asked = asked.sort("test", "k", "id", "seed")
    found = []
    sources = {None: None, "cot": "full", "no_cot": "no_cot"} | {test: test for test in (*tests, SWEEP)}
    for test, source in sources.items():
        frame = asked if source is None else asked.filter(pl.col("test") == source)
        answered = pl.col("outcome") == "answered"
        if frame.is_empty():  # the study has no sweep, or the arm is imported
            continue
        found.append(replace(cell, test=test).share("parse_rate", frame, answered, **count_missing(frame)))
    return found


def _kept(cell: Cell, measures: pl.DataFrame, alphas: list[float]) -> list[dict]:
    """Which chains α keeps whole, and which questions have no intervention."""
    found = []
    for alpha in alphas:
        at = measures.filter(pl.col("alpha") == alpha, pl.col("steps") == "all").sort("test", "id", "seed")
        here = replace(cell, alpha=alpha)
        whose = at.unique(["id", "seed"], keep="first", maintain_order=True)
        if not at.is_empty():
            found.append(here.share("kept_whole", whose, pl.col("k") == pl.col("n_steps")))
        for test in _MAY_LACK:
            frame = at.filter(pl.col("test") == test)
            if not frame.is_empty():
                missing = pl.col("outcome") == "unavailable"
                found.append(replace(here, test=test).share("unavailable", frame, missing))
    return found


def _with_group(frame: pl.DataFrame, questions: pl.DataFrame, cell: Cell) -> pl.DataFrame:
    """`frame` with the group of each row's question; UserError where a question is not among `questions`."""
    known = frame.join(questions.select("id", "group"), on="id")
    if known.height != frame.height:
        raise UserError(
            f"{cell.eval_set}: {cell.model}/{cell.arm} has chains of questions that are no longer in it;"
            " delete its results and run again"
        )
    return known.sort("id", "seed")
