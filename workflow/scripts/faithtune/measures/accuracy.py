"""Accuracy: without a chain, after it, and as the free text declares. `metrics/` says what each number is.

p of accuracy_effect and accuracy_effect_lenient is that of the exact McNemar test where questions are independent (one
seed, no shared contexts), else the clustered p of `intervals.effect`.
"""

from dataclasses import replace

import polars as pl

from faithtune.measures.cell import Cell, count_missing
from faithtune.measures.stats import significance
from faithtune.measures.stats.intervals import Estimate

# The value of `test` in the tables: that in ANSWERS. `free` comes from CHAINS.
_SOURCES = {"no_cot": "no_cot", "cot": "full"}
TESTS = (*_SOURCES, "free")


def by_test(answers: pl.DataFrame, chains: pl.DataFrame, questions: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Each of TESTS: a frame of id, seed, group, outcome, correct, lenient, sorted by id and seed.

    `correct` and `lenient` (correct by the lenient extractor) are false where there is no answer.
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
    """Rows of ESTIMATES of one arm on one evaluation set; `own` and `base` are `by_test`. Effects need `base`."""
    found = []
    for test in TESTS:
        frame, here = own[test], replace(cell, test=test)
        counts = count_missing(frame)
        answered = pl.when(pl.col("outcome") == "answered").then(pl.col("correct"))
        found += shares(here, frame, **counts)
        found.append(here.share("accuracy_answered", frame, answered, **counts))
        found.append(here.share("accuracy_lenient", frame, pl.col("lenient")))
        if base is not None:
            found += _effects(here, frame, base[test])
    here = replace(cell, test="cot")
    both = lifts(own)
    counts = count_missing(both, "outcome", "outcome_without")
    found.append(here.effect("cot_lift", both, pl.col("lift"), **counts))
    accuracy = next(row for row in found if (row["test"], row["metric"]) == ("cot", "accuracy"))
    guessed = chance(questions.join(own["cot"], on="id", how="semi"))
    estimate = Estimate(accuracy["estimate"], accuracy["low"], accuracy["high"]).scaled(1.0, -guessed)
    return [*found, here.row("above_chance", estimate, n=accuracy["n"])]


def lifts(own: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """`by_test` with the chain beside that without (`_without`), and `lift`: right with it minus right without."""
    both = own["cot"].join(own["no_cot"], on=["id", "seed"], suffix="_without", nulls_equal=True, maintain_order="left")
    return both.with_columns(lift=change("correct", "_without"))


def shares(cell: Cell, frame: pl.DataFrame, **counts: int) -> list[dict]:
    """Accuracy and its bounds, from the columns `outcome` and `correct` (false where there is no answer)."""
    accuracy = cell.share("accuracy", frame, pl.col("correct"), **counts)
    return [
        accuracy,
        accuracy | {"metric": "accuracy_if_unanswered_wrong"},
        cell.share("accuracy_if_unanswered_right", frame, _at_best(), **counts),
    ]


def chance(questions: pl.DataFrame) -> float:
    """Mean of 1 / options over QUESTIONS; a question that asks for a number counts as 0."""
    n = pl.col("options").list.len()
    return float(questions.select(pl.when(n > 0).then(1 / n).otherwise(0.0).mean()).item() or 0.0)


def change(column: str, suffix: str = "_base") -> pl.Expr:
    """A boolean column minus its counterpart in the other arm: 1, 0 or -1."""
    return pl.col(column).cast(pl.Int8) - pl.col(f"{column}{suffix}").cast(pl.Int8)


def _effects(cell: Cell, frame: pl.DataFrame, base: pl.DataFrame) -> list[dict]:
    pairs = frame.join(base, on="id", suffix="_base")
    counts = count_missing(pairs, "outcome", "outcome_base")
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
    """Correct if every missing answer is."""
    return pl.col(f"correct{suffix}") | (pl.col(f"outcome{suffix}") != "answered")
