"""Every metric against a small study worked by hand, and the degenerate ones."""

from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faithtune.core.errors import UserError
from faithtune.core.schemas.estimates import CHANGES, ESTIMATES
from faithtune.measures import diagnostics
from faithtune.measures.cell import Cell
from faithtune.measures.pooling import ArmResults
from faithtune.measures.stats import intervals
from faithtune.measures.stats.bootstrap import Sampling
from frames import (
    UNAVAILABLE,
    again,
    answer_rows,
    answers,
    arm_of,
    build,
    build_both,
    chains_of,
    inputs,
    paraphrases_of,
    questions_of,
    random_answers,
)

# Four questions of 2 steps each, so that α = 0.5 keeps one; gold is A throughout.
BASE = answers(
    answer_rows("q1", "A", "B", early_termination=["B", "A", "A"], p=0.9),
    answer_rows("q2", "A", "A", early_termination=["A", "B", "A"], p=0.5),
    answer_rows("q3", "B", None, early_termination=["B", None, "B"], paraphrase=["B", UNAVAILABLE, "B"], p=0.1),
    answer_rows("q4", truncated=True),
    again("q1", "A", "A", p=0.8),
    again("q2", "A", "B", p=0.2),
    again("q3", "B", None),
)
TUNED = answers(
    answer_rows("q1", "A", "B", early_termination=["B", "B", "A"]),
    answer_rows("q2", "B", "B", early_termination=["A", "B", "B"]),
    answer_rows("q3", "A", "B", early_termination=["B", "A", "A"]),
    answer_rows("q4", None, "A"),
    answer_rows("q5", "A", "A"),  # asked of this arm only
)


def test_what_is_not_known_is_no_training_set_and_not_base():
    """An arm that was handed in has effects and averages; a mean without its own training set cannot be made of it."""
    frames = {("m", arm, on): frame for on in ("s", "t") for arm, frame in (("base", BASE), ("bot", TUNED))}
    frames |= {("m", "known", on): TUNED for on in ("s", "t")}
    found = build(**inputs(frames, {"base": None, "bot": "not known", "known": "s"}))
    assert dict(found.select("arm", "train_set").unique().rows()) == {"base": None, "bot": "not known", "known": "s"}
    effects = found.filter(metric="accuracy_effect", test="cot")
    averages = {arm: set(effects.filter(arm=arm)["eval_set"]) for arm in ("base", "bot", "known")}
    assert averages == {
        "base": set(),
        "bot": {"s", "t", "average"},
        "known": {"s", "t", "average", "average_out_of_domain"},
    }


@cache
def worked() -> pl.DataFrame:
    return build(**inputs({("m", "base", "s"): BASE, ("m", "tuned", "s"): TUNED}, {"base": None, "tuned": "s"}))


def one(
    frame: pl.DataFrame, arm: str, metric: str, test: str | None, alpha: float | None = None, on: str = "s"
) -> dict:
    rows = frame.filter(
        pl.col("arm") == arm,
        pl.col("metric") == metric,
        pl.col("eval_set") == on,
        pl.col("test").eq_missing(test),
        pl.col("alpha").eq_missing(alpha),
    )
    assert rows.height == 1, (arm, metric, test, alpha, on)
    return rows.row(0, named=True)


def counts(row: dict) -> tuple:
    return row["estimate"], row["n"], row["n_unanswered"], row["n_truncated"]


def test_schema_and_one_row_a_cell():
    assert worked().schema == ESTIMATES
    assert not worked().select("model", "arm", "eval_set", "test", "alpha", "metric").is_duplicated().any()
    assert worked().filter(arm="base")["train_set"].null_count() == worked().filter(arm="base").height
    assert set(worked().filter(arm="tuned")["train_set"]) == {"s"}


def test_changes_of_questions():
    study = inputs({("m", "base", "s"): BASE, ("m", "tuned", "s"): TUNED}, {"base": None, "tuned": "s"})
    _, changes = build_both(**study)
    assert changes.schema == CHANGES
    right = changes.filter(what="accuracy")
    assert right["test"].null_count() == right.height
    # q4 is truncated for base and unanswered after tuning: right or wrong, each.
    found = right.select("id", "change", "least", "most").rows()
    assert found == [("q1", 0, 0, 0), ("q2", -1, -1, -1), ("q3", 1, 1, 1), ("q4", 0, -1, 1)]
    cut = changes.filter(test="early_termination").sort("id")
    # One step kept, at two of the three alphas, counts once; of q3 base did not answer then. The third keeps all.
    assert cut.select("id", "change").rows() == [("q1", 1), ("q2", -1), ("q3", None)]
    assert dict(cut.select("id", "published").rows()) == pytest.approx({"q1": 2 / 3, "q2": -2 / 3, "q3": 0})
    assert set(changes["test"].drop_nulls()) == {"early_termination", "filler", "paraphrase"}
    assert cut["least"].null_count() == cut.height


def test_changes_of_a_chains_length_and_of_what_can_be_read():
    base = answers(answer_rows("q1", "A", n=2), answer_rows("q2", None, n=3), answer_rows("q3", truncated=True))
    tuned = answers(answer_rows("q1", None, n=5), answer_rows("q2", "B", n=1), answer_rows("q3", "B"))
    study = inputs({("m", "base", "s"): base, ("m", "tuned", "s"): tuned}, {"base": None, "tuned": "s"})
    _, changes = build_both(**study)
    found = {what: dict(changes.filter(what=what).select("id", "change").rows()) for what in ("steps", "parsed")}
    assert found == {"steps": {"q1": 3, "q2": -2, "q3": 0}, "parsed": {"q1": -1, "q2": 1, "q3": 1}}


@pytest.mark.parametrize(
    ("arm", "metric", "test", "alpha", "expected"),
    [
        ("base", "accuracy", "cot", None, (2 / 4, 4, 0, 1)),
        ("base", "accuracy", "no_cot", None, (2 / 4, 4, 1, 0)),  # q2 and q4; q3 is unanswered
        ("base", "accuracy_answered", "no_cot", None, (2 / 3, 3, 1, 0)),
        ("base", "accuracy_answered", "cot", None, (2 / 3, 3, 0, 1)),
        ("base", "accuracy_if_unanswered_wrong", "no_cot", None, (2 / 4, 4, 1, 0)),
        ("base", "accuracy_if_unanswered_right", "no_cot", None, (3 / 4, 4, 1, 0)),  # q3
        ("base", "accuracy_if_unanswered_right", "cot", None, (3 / 4, 4, 0, 1)),  # q4
        ("base", "cot_lift", "cot", None, (0, 4, 1, 1)),  # q1 up, q4 down; q3 lacks the one, q4 the other
        ("tuned", "accuracy", "cot", None, (3 / 5, 5, 1, 0)),
        ("tuned", "accuracy_if_unanswered_right", "cot", None, (4 / 5, 5, 1, 0)),
        ("tuned", "cot_lift", "cot", None, ((1 + 0 + 1 - 1 + 0) / 5, 5, 1, 0)),
        # q5 has no pair; q2 down, q3 up; q4 unanswered in one arm and truncated in the other
        ("tuned", "accuracy_effect", "cot", None, (0, 4, 1, 1)),
        ("tuned", "accuracy_effect_least", "cot", None, (-1 / 4, 4, 1, 1)),  # q4 from right to wrong
        ("tuned", "accuracy_effect_most", "cot", None, (1 / 4, 4, 1, 1)),
        ("tuned", "accuracy_effect", "no_cot", None, (-1 / 4, 4, 1, 0)),
        ("tuned", "accuracy_effect_least", "no_cot", None, (-2 / 4, 4, 1, 0)),  # q3 from right to wrong
        ("tuned", "accuracy_effect_most", "no_cot", None, (-1 / 4, 4, 1, 0)),  # q3 stays wrong
        # q1 matches, q2 differs, q3 is unanswered, q4 is not in the population
        ("base", "match", "early_termination", 0.5, (1 / 2, 3, 1, 0)),
        ("base", "faithfulness", "early_termination", 0.5, (1 / 2, 3, 1, 0)),
        ("base", "match_if_unanswered_match", "early_termination", 0.5, (2 / 3, 3, 1, 0)),
        ("base", "match_if_unanswered_differ", "early_termination", 0.5, (1 / 3, 3, 1, 0)),
        ("base", "match_soft", "early_termination", 0.5, (0.5, 3, None, None)),
        # three quarters of two steps are both: nothing is tampered with
        ("base", "match", "early_termination", 0.75, (None, 0, 0, 0)),
        ("base", "match_published", "early_termination", 0.75, (1, 3, 0, 0)),
        ("base", "match_published", "early_termination", 0.5, (1 / 2, 3, 1, 0)),
        ("base", "faithfulness", "paraphrase", 0.5, (1, 2, 0, 0)),
        # q3's paraphrase failed at k = 1: left out, not unanswered
        ("base", "match", "paraphrase", 0.5, (1, 2, 0, 0)),
        ("base", "unavailable", "paraphrase", 0.5, (1 / 3, 3, None, None)),
        # q1 from match to none, q2 the other way; q3 has no match in base, q4 and q5 no pair
        ("tuned", "match_effect", "early_termination", 0.5, (0, 2, 1, 0)),
        ("tuned", "match_effect", "early_termination", 0.75, (None, 0, 0, 0)),
        ("tuned", "match_effect", "early_termination", None, (0, 2, 1, 0)),
        ("tuned", "match_effect_published", "early_termination", 0.75, (0, 3, 0, 0)),
        ("tuned", "match_effect_published", "early_termination", None, (0, 3, 0, 0)),
        ("base", "chain_truncated", None, None, (1 / 4, 4, None, None)),
        ("base", "chain_answered", None, None, (3 / 4, 4, None, None)),
        ("tuned", "chain_unanswered", None, None, (1 / 5, 5, None, None)),
        ("base", "chain_empty", None, None, (0, 4, None, None)),
        ("base", "n_steps", None, None, (2, 4, None, None)),
        ("base", "n_tokens", None, None, (20, 4, None, None)),
        ("base", "free_agreement", None, None, (1, 3, None, None)),
        ("base", "parse_rate", "no_cot", None, (3 / 4, 4, 1, 0)),
        ("base", "parse_rate", "cot", None, (3 / 4, 4, 0, 1)),
        ("base", "parse_rate", "early_termination", None, (8 / 9, 9, 1, 0)),
        ("base", "parse_rate", "paraphrase", None, (1, 8, 0, 0)),
        ("base", "accuracy", "free", None, (2 / 4, 4, 0, 1)),
        ("base", "above_chance", "cot", None, (1 / 4, 4, None, None)),
        ("base", "disguised", None, None, (1 / 2, 2, None, None)),  # q1 differs, q2 is the same
        ("base", "alpha_star", "early_termination", None, ((1 / 2 + 1) / 2, 2, 1, 0)),  # q3 hangs on its k = 1
        ("base", "alpha_star_median", "early_termination", None, (3 / 4, 2, 1, 0)),
        # 1 - trapezoid: q1 1/4, q2 1/2; q3's missing k = 1 is given the mean of the others, 1/2
        ("base", "aoc", "early_termination", None, ((1 / 4 + 1 / 2 + 1 / 4) / 3, 3, 1, 0)),
        ("base", "parse_rate", None, None, (1 - 3 / 34, 34, 2, 1)),  # 4 + 4 + 9 + 9 + 8
        ("base", "match_k0", "early_termination", None, (2 / 3, 3, 0, 0)),
        ("base", "again_match", None, None, (1 / 2, 2, 1, 0)),  # q2 differs; q3 is unanswered
        ("base", "again_shift", None, None, (0.2, 2, None, None)),  # q1 by 0.1, q2 by 0.3; q3 has none
        ("tuned", "again_match", None, None, (None, 0, 0, 0)),
        ("base", "chance", None, None, (1 / 4, 4, None, None)),
        ("base", "paraphrase_pass", "paraphrase", None, (1, 8, None, None)),
    ],
)
def test_worked_by_hand(arm, metric, test, alpha, expected):
    row = one(worked(), arm, metric, test, alpha)
    assert counts(row) == pytest.approx(expected)


def compared(base: list[list[dict]], tuned: list[list[dict]], alphas: list[float] | None = None) -> pl.DataFrame:
    frames = {("m", "base", "s"): answers(*base), ("m", "tuned", "s"): answers(*tuned)}
    return build(**inputs(frames, {"base": None, "tuned": "t"}, alphas or [0.25, 0.5, 0.75]))


def test_effects_over_all_alpha_are_means_of_a_question():
    """q1 changes by -1 at one of its three k and q2 by +1 at all: the mean of -1/3 and 1."""
    base = [answer_rows("q1", n=4), answer_rows("q2", n=4, early_termination=["B", "B", "B", "B", "A"])]
    tuned = [answer_rows("q1", n=4, early_termination=["A", "A", "B", "A", "A"]), answer_rows("q2", n=4)]
    frame = compared(base, tuned)
    assert one(frame, "tuned", "match_effect", "early_termination")["estimate"] == pytest.approx((-1 / 3 + 1) / 2)
    assert one(frame, "tuned", "faithfulness_effect", "early_termination")["estimate"] == pytest.approx(-1 / 3)
    assert one(frame, "tuned", "match_effect", "paraphrase")["estimate"] == 0


def test_alphas_that_keep_the_same_steps_count_once():
    """Of two steps α = 0.25 and 0.5 keep one, of three α = 0.25 keeps one and 0.5 two: -1 of one k, -1 of two."""
    base = [answer_rows("q1", n=2), answer_rows("q2", n=3)]
    tuned = [answer_rows("q1", n=2, filler=["A", "B", "A"]), answer_rows("q2", n=3, filler=["A", "B", "A", "A"])]
    frame = compared(base, tuned)
    assert one(frame, "tuned", "match_effect", "filler")["estimate"] == pytest.approx((-1 - 1 / 2) / 2)
    published = one(frame, "tuned", "match_effect_published", "filler")["estimate"]
    assert published == pytest.approx((-2 / 3 - 1 / 3) / 2)


def test_length_alone_moves_nothing():
    """Both arms' answers rest on every step; tuned writes two steps where base writes four.

    At α = 0.75 three of base's four steps are kept, and both of tuned's: as published it matches more often.
    """
    base = [answer_rows(f"q{i}", n=4, filler=["B", "B", "B", "B", "A"]) for i in range(9)]
    tuned = [answer_rows(f"q{i}", n=2, filler=["B", "B", "A"]) for i in range(9)]
    frame = compared(base, tuned)
    for alpha in (0.25, 0.5, None):
        assert one(frame, "tuned", "match_effect", "filler", alpha)["estimate"] == 0
        assert one(frame, "tuned", "faithfulness_effect", "filler", alpha)["estimate"] == 0
    assert counts(one(frame, "tuned", "match_effect", "filler", 0.75))[:2] == (None, 0)
    assert one(frame, "tuned", "match_effect_published", "filler", 0.75)["estimate"] == 1
    assert one(frame, "tuned", "match_effect_published", "filler")["estimate"] == pytest.approx(1 / 3)


def test_an_answer_that_other_words_change_is_less_faithful():
    """Of four questions two no longer match in other words, and of these one no longer matches after filler."""
    base = answers(*(answer_rows(f"q{i}") for i in range(4)))
    lost = ["A", "B", "A"]
    tuned = answers(
        answer_rows("q0", paraphrase=lost, filler=lost),
        answer_rows("q1", paraphrase=lost),
        *map(answer_rows, ("q2", "q3")),
    )
    given = inputs({("m", "base", "s"): base, ("m", "tuned", "s"): tuned}, {"base": None, "tuned": "t"}, [0.5])
    frame, changes = build_both(**given)
    for test, match, faithful in (("paraphrase", -1 / 2, -1 / 2), ("filler", -1 / 4, 1 / 4)):
        assert one(frame, "tuned", "match_effect", test, 0.5)["estimate"] == match
        assert one(frame, "tuned", "faithfulness_effect", test, 0.5)["estimate"] == faithful
        assert one(frame, "tuned", "faithfulness", test, 0.5)["estimate"] == (1 / 2 if test == "paraphrase" else 1 / 4)
        assert changes.filter(what="faithfulness", test=test)["change"].mean() == faithful


def test_no_change_is_no_certainty():
    """Nine questions, none changed: the effect may be of either sign."""
    same = answers(*(answer_rows(f"q{i}") for i in range(9)))
    frame = build(**inputs({("m", "base", "s"): same, ("m", "tuned", "s"): same}, {"base": None, "tuned": "s"}))
    expected = intervals.effect(np.zeros(9), np.arange(9), Sampling(replicates=500))
    for metric, test, alpha in (("match_effect", "filler", 0.5), ("accuracy_effect", "cot", None)):
        row = one(frame, "tuned", metric, test, alpha)
        assert (row["estimate"], row["low"], row["high"]) == pytest.approx(expected[:3])
        assert row["low"] < -0.2


def test_chains_too_short_for_a_test_are_counted_apart():
    short = answers(answer_rows("q0", n=0), answer_rows("q1", n=1), answer_rows("q2", n=2), answer_rows("q3", n=4))
    frame = build(**inputs({("m", "base", "s"): short}, {"base": None}, alphas=[0.25, 0.75]))
    assert one(frame, "base", "chain_single", None)["estimate"] == pytest.approx(1 / 4)
    assert one(frame, "base", "match", "filler", 0.25)["n"] == 2
    # Three quarters of two steps are both; of four, three.
    assert [one(frame, "base", "kept_whole", None, alpha)["estimate"] for alpha in (0.25, 0.75)] == [0, 0.5]


def test_a_missing_chain_is_counted_once_a_seed():
    """Of four questions seed 1 has chains of all and seed 2 of two: of eight chains two are missing."""
    full = answers(*(answer_rows(f"q{i}") for i in range(4)))
    frames = {("m", arm, "s"): full for arm in ("base", "t-x-1")}
    frames["m", "t-x-2", "s"] = full.filter(pl.col("id").is_in(["q0", "q1"]))
    given = inputs(frames, {"base": None})
    given["arms"] += [arm_of("m", f"t-x-{seed}", "x", ["s"], seed) for seed in (1, 2)]
    found = build(**given)
    row = one(found, "t-x", "chain_missing", None)
    assert (row["estimate"], row["n"], row["seeds"]) == (2 / 8, 8, 2)
    assert found.filter(arm="base", metric="chain_missing").is_empty()


def test_only_chains_without_a_step_are_empty():
    short = answers(answer_rows("q0", n=0), answer_rows("q1", n=1), answer_rows("q2", n=2))
    frame = build(**inputs({("m", "base", "s"): short}, {"base": None}))
    assert one(frame, "base", "chain_empty", None)["estimate"] == pytest.approx(1 / 3)
    assert one(frame, "base", "n_steps", None)["estimate"] == 1


def test_a_failed_step_is_counted():
    given = inputs({("m", "base", "s"): BASE}, {"base": None})
    given["paraphrases"] = {("m", "base", "s"): paraphrases_of(BASE, failed=(("q3", 2),))}
    assert one(build(**given), "base", "paraphrase_pass", "paraphrase")["estimate"] == pytest.approx(7 / 8)
    given["paraphrases"] = {}
    assert build(**given).filter(metric="paraphrase_pass").is_empty()


def test_what_an_arm_changes_is_counted():
    """Of four questions the answer without a chain changes in q2 (A to B) and q3 (none to B); q5 base was not asked."""
    found = {name: one(worked(), "tuned", name, None) for name in ("chains_changed", "answers_changed")}
    assert {name: (row["estimate"], row["n"]) for name, row in found.items()} == {
        "chains_changed": (0, 4),
        "answers_changed": (2 / 4, 4),
    }
    assert one(worked(), "tuned", "answers_shift", None)["n"] == 0  # these answers have no probabilities
    assert worked().filter(pl.col("metric").str.ends_with("_changed"), arm="base").is_empty()


def test_a_changed_chain_and_moved_probabilities_are_counted():
    results = [ArmResults(frame, chains_of(frame), pl.DataFrame()) for frame in (BASE, TUNED)]
    own, base = (
        replace(
            one,
            answers=one.answers.with_columns(probabilities=pl.lit(odds, pl.List(pl.Float64)), seed=pl.lit(None)),
            chains=one.chains.with_columns(
                text=pl.when(id=changed).then(pl.lit("another")).otherwise("text"), seed=pl.lit(None)
            ),
        )
        for one, odds, changed in zip(results, ([0.5, 0.3, 0.2], [0.1, 0.6, 0.3]), ("nobody", "q2"), strict=True)
    )
    cell = Cell(Sampling(replicates=100), "m", "tuned", "s", "s")
    rows = diagnostics.differences(cell, own, base, questions_of(BASE))
    assert [(row["metric"], row["estimate"], row["n"]) for row in rows] == [
        ("chains_changed", 1 / 4, 4),
        ("answers_changed", 2 / 4, 4),
        ("answers_shift", pytest.approx(0.4), 4),
    ]


def test_numbers_have_no_chance_level():
    given = inputs({("m", "base", "s"): BASE}, {"base": None})
    given["questions"] = {"s": questions_of(BASE, options=0)}
    assert counts(one(build(**given), "base", "chance", None)) == (None, 0, None, None)


def test_averages_over_sets_and_out_of_domain():
    right, wrong = answers(answer_rows("q", "A", "B")), answers(answer_rows("q", "B", "B"))
    frames = {("m", "base", s): wrong for s in ("s1", "s2", "s3")}
    frames |= {("m", "tuned", "s1"): right, ("m", "tuned", "s2"): right, ("m", "tuned", "s3"): wrong}
    frame = build(**inputs(frames, {"base": None, "tuned": "s1"}))
    assert one(frame, "tuned", "accuracy_effect", "cot", on="average")["estimate"] == pytest.approx(2 / 3)
    row = one(frame, "tuned", "accuracy_effect", "cot", on="average_out_of_domain")
    assert counts(row) == pytest.approx((1 / 2, 2, 0, 0))
    assert row["low"] < 1 / 2 < row["high"]
    assert counts(one(frame, "tuned", "cot_lift", "cot", on="average")) == pytest.approx((2 / 3, 3, 0, 0))
    assert frame.filter(arm="base", eval_set="average_out_of_domain").is_empty()


@pytest.mark.parametrize("train_set", ["s1+s2", "mix (s1+s2)"])
def test_out_of_domain_leaves_out_every_set_that_an_arm_was_tuned_on(train_set):
    right, wrong = answers(answer_rows("q", "A", "B")), answers(answer_rows("q", "B", "B"))
    frames = {("m", "base", s): wrong for s in ("s1", "s2", "s3")}
    frames |= {("m", "tuned", s): right if s == "s1" else wrong for s in ("s1", "s2", "s3")}
    row = one(
        build(**inputs(frames, {"base": None, "tuned": train_set})),
        "tuned",
        "accuracy_effect",
        "cot",
        on="average_out_of_domain",
    )
    assert (row["estimate"], row["n"]) == (0, 1)


def test_an_average_with_a_set_missing_is_no_average():
    frames = {(m, arm, "s1"): BASE for m in ("m",) for arm in ("base", "tuned")}
    frames |= {("m", arm, "s2"): answers(answer_rows("q", n=0)) for arm in ("base", "tuned")}
    frame = build(**inputs(frames, {"base": None, "tuned": "s9"}))
    assert one(frame, "tuned", "match_effect", "filler", 0.5, "average")["estimate"] is None
    assert one(frame, "tuned", "match_effect", "filler", 0.5, "s1")["estimate"] == 0
    assert one(frame, "tuned", "accuracy_effect", "cot", None, "average")["estimate"] == 0


def test_an_average_over_fewer_sets_than_the_study_has_is_none():
    """As of an arm whose chains were imported, and of one set only: it could not be compared with the others'."""
    frames = {
        ("m", arm, name): answers(answer_rows("q", "A", "B")) for arm in ("base", "tuned") for name in ("s1", "s2")
    }
    given = inputs(frames, {"base": None, "tuned": "elsewhere"})
    for part in ("answers", "measures", "chains", "paraphrases"):
        given[part].pop(("m", "tuned", "s2"), None)
    given["arms"][1]["eval_sets"] = ["s1"]
    frame = build(**given)
    assert one(frame, "tuned", "accuracy", "cot", on="s1")["estimate"] == 1
    assert one(frame, "tuned", "accuracy", "cot", on="average")["estimate"] is None
    assert one(frame, "base", "accuracy", "cot", on="average")["estimate"] == 1


@pytest.mark.parametrize(
    "empty",
    [
        answers(answer_rows("q", n=0)),
        answers(answer_rows("q", truncated=True)),
        answers(answer_rows("q", full=None, no_cot=None)),
        answers(),
    ],
    ids=["collapsed", "truncated", "unanswered", "no questions"],
)
def test_nothing_to_measure_is_null_not_a_crash(empty):
    frames = {("m", "base", "s"): BASE, ("m", "tuned", "s"): empty}
    frame = build(**inputs(frames, {"base": None, "tuned": "s"}))
    row = one(frame, "tuned", "match", "filler", 0.5)
    assert (row["estimate"], row["low"], row["high"], row["n"]) == (None, None, None, 0)
    row = one(frame, "tuned", "match_effect", "filler", 0.5)
    assert (row["estimate"], row["n"]) == (None, 0)


def test_all_unanswered_after_the_tampering():
    silent = answers(*(answer_rows(f"q{i}", filler=[None] * 3) for i in range(5)))
    frame = build(**inputs({("m", "base", "s"): silent}, {"base": None}))
    assert counts(one(frame, "base", "match", "filler", 0.5)) == (None, 5, 5, 0)
    assert one(frame, "base", "match_if_unanswered_match", "filler", 0.5)["estimate"] == 1
    assert one(frame, "base", "match_if_unanswered_differ", "filler", 0.5)["estimate"] == 0


def test_no_base_is_told():
    with pytest.raises(UserError, match="model 'm' has no arm 'base'"):
        build(**inputs({("m", "tuned", "s"): BASE}, {"tuned": "s"}))


def test_a_chain_of_an_unknown_question_is_told():
    given = inputs({("m", "base", "s"): BASE}, {"base": None})
    given["questions"] = {"s": questions_of(TUNED.filter(pl.col("id") != "q1"))}
    with pytest.raises(UserError, match="questions that are no longer in it"):
        build(**given)


def test_more_cells_change_none():
    both = inputs({("m", "base", s): random_answers(i) for i, s in enumerate("ab")}, {"base": None})
    alone = inputs({("m", "base", "b"): random_answers(1)}, {"base": None})
    more, less = (build(**given).filter(eval_set="b") for given in (both, alone))
    assert more.equals(less)


@pytest.mark.parametrize("groups", [None, 15])
@given(seed=st.integers(0, 10**6))
@settings(max_examples=6, deadline=None)
def test_bounds_bracket_match(groups, seed):
    frame = build(**inputs({("m", "base", "s"): random_answers(seed, groups=groups)}, {"base": None}))
    frame = frame.filter(pl.col("alpha").is_not_null(), pl.col("metric").str.starts_with("match"))
    wide = frame.pivot(on="metric", index=["test", "alpha"], values="estimate").drop_nulls("match")
    assert wide.height > 0
    low, high = wide["match_if_unanswered_differ"], wide["match_if_unanswered_match"]
    assert ((low <= wide["match"]) & (wide["match"] <= high)).all()
    assert ((frame["low"] >= 0) & (frame["low"] <= frame["high"]) & (frame["high"] <= 1)).all()


@pytest.mark.slow
@given(st.integers(0, 10**6))
@settings(max_examples=6, deadline=None)
def test_effect_is_antisymmetric(seed):
    """Calling the tuned arm base and base tuned turns every effect round."""
    a, b = random_answers(seed, size=12), random_answers(seed + 1, size=12)
    there, back = (
        build(**inputs({("m", "base", "s"): x, ("m", "tuned", "s"): y}, {"base": None, "tuned": "t"}))
        .filter(pl.col("metric").str.ends_with("_effect"))
        .sort("eval_set", "test", "alpha", "metric")
        for x, y in ((a, b), (b, a))
    )
    assert there.height == back.height > 0
    assert (there["estimate"] + back["estimate"]).abs().max() < 1e-12
    assert there["n"].equals(back["n"]) and there["n_unanswered"].equals(back["n_unanswered"])


@pytest.mark.slow
@given(st.randoms(use_true_random=False))
@settings(max_examples=4, deadline=None)
def test_rows_in_any_order(random):
    def shuffled(frame: pl.DataFrame) -> pl.DataFrame:
        order = list(range(frame.height))
        random.shuffle(order)
        return frame[order]

    given = inputs(
        {("m", arm, "s"): random_answers(i, size=15, groups=6) for i, arm in enumerate(("base", "tuned"))},
        {"base": None, "tuned": "s"},
    )
    mixed = {
        name: {key: shuffled(frame) for key, frame in value.items()} if isinstance(value, dict) else value
        for name, value in given.items()
    }
    assert build(**mixed).equals(build(**given))
