"""Estimates of accuracy: without a chain, after it, and as the free text declares.

metric (test) — what it is; n; n_unanswered, n_truncated
  accuracy (no_cot, cot, free)   correct of all questions; all; those without an answer, which count as not correct
  accuracy_if_unanswered_*       its bounds: each one without an answer right, or wrong (which is accuracy)
  accuracy_answered              correct of the answered; the answered; those left out
  accuracy_lenient               accuracy by the lenient extractor; all
  accuracy_effect                tuned - base, all questions of both; these; without an answer in either arm
  accuracy_effect_least, _most   its bounds over those
  accuracy_effect_lenient        the same by the lenient extractor
  cot_lift (cot)                 correct with chain - without, the arm's own questions, paired; all; without an answer
                                 in either
  above_chance (cot)             accuracy - mean of 1 / options (0 for numbers)
p of accuracy_effect and accuracy_effect_lenient is the exact McNemar test's where questions are independent (one
seed, no shared contexts), else the clustered one of `intervals.effect`.
"""

from dataclasses import replace

import polars as pl

from faithtune.measures.cell import Cell, lacking
from faithtune.measures.stats import significance
from faithtune.measures.stats.intervals import Estimate

# Tests in the words of the tables, and in those of ANSWERS; free is read from CHAINS.
_SOURCES = {"no_cot": "no_cot", "cot": "full"}
TESTS = (*_SOURCES, "free")


def asked(answers: pl.DataFrame, chains: pl.DataFrame, questions: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """For each of TESTS the questions asked: (id, seed, group, outcome, correct, lenient).

    `correct` and `lenient` (by the lenient extractor) are false where there is no answer.
    """
    gold = questions.select("id", "group", gold="answer")
    found = {
        test: answers.filter(pl.col("test") == source).select("id", "seed", "outcome", "answer", "lenient")
        for test, source in _SOURCES.items()
    }
    found["free"] = chains.select("id", "seed", "outcome", "lenient", answer="free_answer")
    return {
        test: frame.join(gold, on="id")
        .select(
            "id",
            "seed",
            "group",
            "outcome",
            correct=(pl.col("answer") == pl.col("gold")).fill_null(False),
            lenient=(pl.col("lenient") == pl.col("gold")).fill_null(False),
        )
        .sort("id", "seed")
        for test, frame in found.items()
    }


def rows(
    cell: Cell, own: dict[str, pl.DataFrame], base: dict[str, pl.DataFrame] | None, questions: pl.DataFrame
) -> list[dict]:
    """Rows of ESTIMATES of one arm on one evaluation set (frames of `asked`); effects where `base` is given."""
    found = []
    for test in TESTS:
        frame, here = own[test], replace(cell, test=test)
        counts = lacking(frame)
        answered = pl.when(pl.col("outcome") == "answered").then(pl.col("correct"))
        found += shares(here, frame, **counts)
        found.append(here.share("accuracy_answered", frame, answered, **counts))
        found.append(here.share("accuracy_lenient", frame, pl.col("lenient")))
        if base is not None:
            found += _effects(here, frame, base[test])
    here = replace(cell, test="cot")
    both = own["cot"].join(own["no_cot"], on=["id", "seed"], suffix="_without", nulls_equal=True)
    counts = lacking(both, "outcome", "outcome_without")
    found.append(here.effect("cot_lift", both, change("correct", "_without"), **counts))
    accuracy = next(row for row in found if (row["test"], row["metric"]) == ("cot", "accuracy"))
    guessed = chance(questions.join(own["cot"], on="id", how="semi"))
    estimate = Estimate(accuracy["estimate"], accuracy["low"], accuracy["high"]).scaled(1.0, -guessed)
    return [*found, here.row("above_chance", estimate, n=accuracy["n"])]


def shares(cell: Cell, frame: pl.DataFrame, **counts: int) -> list[dict]:
    """Accuracy and its bounds, of the columns `outcome` and `correct` (false where there is no answer)."""
    accuracy = cell.share("accuracy", frame, pl.col("correct"), **counts)
    return [
        accuracy,
        accuracy | {"metric": "accuracy_if_unanswered_wrong"},
        cell.share("accuracy_if_unanswered_right", frame, _at_best(), **counts),
    ]


def chance(questions: pl.DataFrame) -> float:
    """Mean of 1 / options over QUESTIONS; 0 for one that asks for a number."""
    n = pl.col("options").list.len()
    return float(questions.select(pl.when(n > 0).then(1 / n).otherwise(0.0).mean()).item() or 0.0)


def change(column: str, suffix: str = "_base") -> pl.Expr:
    """A boolean column minus its counterpart: 1, 0 or -1."""
    return pl.col(column).cast(pl.Int8) - pl.col(f"{column}{suffix}").cast(pl.Int8)


def _effects(cell: Cell, frame: pl.DataFrame, base: pl.DataFrame) -> list[dict]:
    pairs = frame.join(base, on="id", suffix="_base")
    counts = lacking(pairs, "outcome", "outcome_base")
    worst, worst_base = pl.col("correct"), pl.col("correct_base")
    best, best_base = _at_best(), _at_best("_base")
    strict = cell.effect("accuracy_effect", pairs, change("correct"), **counts)
    lenient = cell.effect("accuracy_effect_lenient", pairs, change("lenient"))
    if cell.seeds == 1 and pairs["group"].is_unique().all():
        for effect, by in ((strict, "correct"), (lenient, "lenient")):
            effect["p"] = significance.mcnemar_p(pairs[by].to_numpy(), pairs[f"{by}_base"].to_numpy())
    return [
        strict,
        cell.effect("accuracy_effect_least", pairs, worst.cast(pl.Int8) - best_base.cast(pl.Int8), **counts),
        cell.effect("accuracy_effect_most", pairs, best.cast(pl.Int8) - worst_base.cast(pl.Int8), **counts),
        lenient,
    ]


def _at_best(suffix: str = "") -> pl.Expr:
    """Correct, or without an answer."""
    return pl.col(f"correct{suffix}") | (pl.col(f"outcome{suffix}") != "answered")
