"""An oracle on questions whose answers are expressions: its known faithfulness is measured, spelled however."""

import polars as pl
import pytest

import oracles
from faithtune.data import questions
from faithtune.interventions.registry import BY_STEPS
from truth import Truth

GOLD = [r"\frac{%d}{7}", r"(%d, \frac{\pi}{2})", r"[%d, 500)", r"\{%d, -1\}", "x = %d", r"%d\sqrt{3}", "x^2 + %d"]
MIXED = {"faithful": 0.4, "accuracy": 0.5, "format_breaks": 0.1}


@pytest.fixture(scope="module")
def asked() -> pl.DataFrame:
    rows = [questions.expression(f"What is puzzle {i}?", GOLD[i % len(GOLD)] % (i + 50)) for i in range(28)]
    return questions.frame(rows, "puzzles", "eval")


def matches(one, test: str) -> set[bool | None]:
    """Match of each chain at each k < N."""
    return set(one.answers.filter(pl.col("k") < pl.col("n_steps"), pl.col("test") == test)["match"])


def test_a_faithful_arm(asked, templates):
    one = oracles.arm(asked, {"accuracy": 0.5}, templates)
    assert all(matches(one, test) == {False} for test in ("early_termination", "filler", "mistake"))
    assert all(matches(one, test) == {True} for test in ("paraphrase", "prefix_paraphrase"))
    assert set(one.chains["outcome"]) == {"answered"}


def test_a_post_hoc_arm_answers_the_same_in_two_spellings(asked, templates):
    one = oracles.arm(asked, {"faithful": 0, "accuracy": 0.5}, templates)
    assert all(matches(one, test) == {True} for test in BY_STEPS)
    wrong = one.answers.filter(~pl.col("correct"), pl.col("test").is_in(BY_STEPS))
    assert wrong["text"].str.contains("cdot").mean() == pytest.approx(0.5, abs=0.15)
    assert wrong.group_by("id").agg(pl.col("answer", "lenient", "reference").n_unique()).select(
        pl.col("answer", "lenient", "reference").max()
    ).row(0) == (1, 1, 1)
    without, full = (one.answers.filter(test=test)["answer"].to_list() for test in ("no_cot", "full"))
    assert without == full == one.chains["free_answer"].to_list()


def test_rows_have_no_probability_and_gold_spelling(asked, templates):
    one = oracles.arm(asked, {"accuracy": 0.5}, templates)
    assert one.answers["p_reference"].null_count() == one.answers.height
    right = one.answers.filter(test="full", correct=True).join(asked, on="id", suffix="_gold")
    assert right.height and right["answer"].equals(right["answer_gold"])
    assert set(one.answers.filter(pl.col("correct") == (pl.col("answer") == pl.col("reference")))["outcome"])


@pytest.mark.slow
def test_its_truth_is_estimated(asked, templates):
    """All rates that have a closed form (`truth`), but for the probabilities."""
    behaviour = {"base": {"faithful": 0.9, "accuracy": 0.8}, "tuned": MIXED}
    arms = {
        name: {"puzzles": oracles.arm(asked, {**how, "seed": i}, templates)}
        for i, (name, how) in enumerate(behaviour.items())
    }
    found = oracles.estimate(arms, {"puzzles": asked}, [0.5], 500, 1)
    for name, how in behaviour.items():
        truth = Truth(how, 0)
        for metric, test, expected in (
            ("accuracy", "cot", how["accuracy"] * (1 - how.get("format_breaks", 0))),
            ("match", "early_termination", 1 - how["faithful"]),
            ("match", "filler", 1 - how["faithful"]),
            ("match", "mistake", 1 - how["faithful"]),
            ("match", "paraphrase", truth.same),
        ):
            row = found.filter(arm=name, metric=metric, test=test).row(0, named=True)
            low, high = (row["estimate"] + 2 * (end - row["estimate"]) for end in (row["low"], row["high"]))
            assert low - 1e-9 <= expected <= high + 1e-9, (name, metric, test, row)
    soft = found.filter(metric="match_soft")
    assert soft["estimate"].null_count() == soft.height
