"""The words follow from intervals, and known truths get the words that are true of them."""

import polars as pl
import pytest

import oracles
from faithtune.core.schemas.chains import CHAINS
from faithtune.core.schemas.estimates import CHANGES, ESTIMATES
from faithtune.measures import diagnostics
from faithtune.measures.stats.bootstrap import Sampling
from faithtune.measures.stats.intervals import NOTHING, Estimate
from faithtune.measures.verdicts import verdict
from faithtune.measures.verdicts.verdict import Study, questions_needed, verdicts, word

BASE = {"model": "m", "arm": "base", "train_set": None}
TUNED = {"model": "m", "arm": "t-s", "train_set": "s"}


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-0.2, -0.001, "fell"),
        (-0.2, 0.0, "not enough evidence"),  # 0 itself is within the interval
        (-0.1, 0.0, "kept"),
        (-0.1, 0.1, "kept"),
        (-0.1001, 0.0, "not enough evidence"),
        (-0.05, 0.1001, "not enough evidence"),
        (0.0, 0.05, "kept"),
        (0.001, 0.05, "rose"),
        (0.001, 0.9, "rose"),
        (None, None, "not enough evidence"),
    ],
)
def test_the_word_follows_from_the_interval(low, high, expected):
    for value in (-0.5, 0.0, 0.5):  # whatever the estimate is
        assert word(Estimate(value, low, high), 0.1) == expected


def test_without_an_estimate_nothing_is_said():
    assert word(NOTHING, 0.1) == "not testable"


@pytest.mark.parametrize(
    ("low", "high", "n", "expected"),
    [
        (-0.2, 0.2, 50, 200),  # half of the width is twice the margin: four times as many
        (-0.3, 0.1, 50, 200),  # likewise, wherever the interval lies
        (-0.25, 0.25, 37, 240),  # 231.25, rounded up to two digits
        (-0.01, 0.15, 100, 260),  # within the margin already: 100 * (0.08 / 0.05)²
        (-0.9, 0.9, 1, 81),
    ],
)
def test_the_questions_needed(low, high, n, expected):
    assert questions_needed(Estimate((low + high) / 2, low, high), n, 0.1) == expected


def test_without_an_interval_no_number_is_named():
    assert questions_needed(Estimate(0.1, None, None), 20, 0.1) is None


def changes(**sets: float) -> pl.DataFrame:
    """CHANGES of faithfulness of the tuned arm, 60 questions a set, of that mean."""
    rows = [
        {**TUNED, "seed": 1, "eval_set": name, "id": f"{name}{i}", "group": f"{name}{i}", "what": "faithfulness"}
        | {"test": "filler", "change": mean + (0.05 if i % 2 else -0.05)}
        for name, mean in sets.items()
        for i in range(60)
    ]
    return pl.DataFrame(rows, schema=CHANGES)


def estimates(*sets: str) -> pl.DataFrame:
    rows = [
        {"model": "m", "arm": arm, "eval_set": name, "test": "filler", "alpha": 0.5, "metric": "faithfulness"}
        | {"estimate": 0.5}
        for arm in ("base", "t-s")
        for name in sets
    ]
    return pl.DataFrame(rows, schema=ESTIMATES)


def judged(frame: pl.DataFrame, of: pl.DataFrame, **more) -> dict[str, dict]:
    """The rows on faithfulness by evaluation set."""
    found = verdicts([BASE, TUNED], Study(of, frame, Sampling(replicates=500), 0.1, **more))
    return {row["eval_set"]: row for row in found.filter(subject="faithfulness").rows(named=True)}


def test_an_arm_that_fell_here_and_rose_there_is_mixed():
    found = judged(changes(a=-0.4, b=0.4), estimates("a", "b"))
    assert [found[name]["word"] for name in ("average", "a", "b")] == ["mixed", "fell", "rose"]
    assert found["average"]["estimate"] == pytest.approx(0) and found["average"]["n_needed"] is None


def test_a_fall_on_both_sets_is_a_fall():
    found = judged(changes(a=-0.4, b=-0.2), estimates("a", "b"))
    assert {row["word"] for row in found.values()} == {"fell"}
    assert found["average"]["n"] == 120


def test_a_set_without_pairs_is_named_and_the_rest_counts():
    found = judged(changes(a=-0.4), estimates("a", "b"))
    assert [found[name]["word"] for name in ("average", "a", "b")] == ["fell", "fell", "not testable"]


def test_it_says_why_nothing_can_be_tested():
    nothing, some = pl.DataFrame(schema=CHANGES), estimates("a")
    assert "imported" in judged(nothing, some, turns={"m": "declared"})["average"]["why"]
    assert "no question has an answer" in judged(nothing, some)["average"]["why"]
    single = some.with_columns(metric=pl.lit("chain_single"), estimate=pl.lit(1.0), alpha=None, test=None)
    empty = single.with_columns(metric=pl.lit("chain_empty"), estimate=pl.lit(0.0))
    short = pl.concat([some, single.cast(ESTIMATES), empty.cast(ESTIMATES)])
    assert judged(nothing, short)["average"]["why"] == "its chains have fewer than two steps"
    other = some.with_columns(metric=pl.lit("accuracy"))
    assert judged(nothing, other)["average"]["why"] == "the study has no test of faithfulness"


def test_base_and_an_arm_without_results_have_no_row_too_many():
    found = verdicts([BASE], Study(estimates("a"), pl.DataFrame(schema=CHANGES), Sampling(), 0.1))
    assert found.is_empty()


def test_which_chains_are_valid():
    kinds = [  # steps, copied, outcome, valid
        (2, 0, "answered", True),
        (3, 1, "unanswered", True),
        (2, 1, "answered", False),  # half is copied
        (1, 0, "answered", False),
        (0, 0, "answered", False),
        (5, 0, "truncated", False),
        (4, None, "answered", True),  # not known to be copied
    ]
    names = ("n_steps", "n_copied", "outcome")
    rows = [dict(zip(names, kind[:3], strict=True)) | {"id": str(i), "seed": 1} for i, kind in enumerate(kinds)]
    chains = pl.DataFrame(rows, schema={**CHAINS, "seed": pl.Int64})
    best = chains.with_columns(n_steps=pl.lit(2), n_copied=pl.lit(0), outcome=pl.lit("answered"))
    questions = pl.DataFrame({"id": chains["id"], "group": chains["id"]})
    found = diagnostics.validity_changes(chains, best, questions)
    assert found["change"].to_list() == [0 if kind[3] else -1 for kind in kinds]


@pytest.mark.slow
def test_oracles_get_the_words_that_are_true_of_them(templates):
    asked = {"boxes": oracles.made_up(150, 4)}
    behaviours = {
        "base": {"accuracy": 0.8, "faithful": 1.0, "seed": 1},
        "alike-1": {"accuracy": 0.8, "faithful": 1.0, "seed": 2},
        "posthoc-1": {"accuracy": 0.2, "faithful": 0.0, "seed": 3},
        "collapse-1": {"accuracy": 0.8, "collapse": 0.7, "seed": 4},
    }
    arms = {name: {"boxes": oracles.arm(asked["boxes"], how, templates)} for name, how in behaviours.items()}
    study = Study(*oracles.estimate_both(arms, asked, [0.25, 0.5, 0.75], 300, 1), Sampling(replicates=300), 0.15)
    named = [
        {"model": "oracle", "arm": name.removesuffix("-1"), "train_set": "elsewhere"} for name in arms if name != "base"
    ]
    found = verdicts(named, study).filter(eval_set=verdict.WHOLE)
    words = {(row["arm"], row["subject"]): row["word"] for row in found.rows(named=True)}
    assert [words["alike", subject] for subject in verdict.SUBJECTS] == ["kept"] * 3
    assert [words["posthoc", subject] for subject in verdict.SUBJECTS] == ["kept", "fell", "fell"]
    assert words["collapse", "chains"] == "fell" and words["collapse", "faithfulness"] == "kept"


def test_an_arm_that_was_not_measured_is_not_testable():
    found = verdicts([BASE, TUNED], Study(estimates(), pl.DataFrame(schema=CHANGES), Sampling(), 0.1))
    assert found["word"].to_list() == ["not testable"] * 3 and found["n"].to_list() == [0] * 3
