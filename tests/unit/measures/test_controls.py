"""Each control against a small study worked by hand, in which leaving it out would show.

Where a control says the same as what it controls, a wrong one passes: in each study here they differ.
"""

import polars as pl
import pytest

from faithtune.arms.leaks import marked
from faithtune.core.schemas.answers import ANSWERS
from faithtune.interventions.registry import SWEEP
from faithtune.measures.alpha import at_alphas
from faithtune.measures.stats import significance
from frames import TRUNCATED, UNAVAILABLE, answer_rows, answers, build, inputs, random_answers

HALF = {"test": "filler", "alpha": 0.5}  # of two steps one, which each list below has in its middle


def compared(base: pl.DataFrame, tuned: pl.DataFrame, **changed) -> pl.DataFrame:
    frames = {("m", "base", "s"): base, ("m", "tuned", "s"): tuned}
    return build(**inputs(frames, {"base": None, "tuned": "t"}) | changed)


def alone(frame: pl.DataFrame) -> pl.DataFrame:
    return build(**inputs({("m", "base", "s"): frame}, {"base": None}))


def one(frame: pl.DataFrame, arm: str, metric: str, **where) -> dict:
    where = {"test": None, "alpha": None, "k": None} | where
    found = frame.filter(pl.col(name).eq_missing(value) for name, value in where.items())
    return found.filter(arm=arm, metric=metric, eval_set="s").row(0, named=True)


def told(row: dict) -> tuple:
    return pytest.approx(row["estimate"]), row["n"]


def test_of_equal_length_are_only_chains_of_equal_length():
    """q0 has as many steps in both arms and no longer matches; q1, of other lengths, matches only now."""
    base = answers(answer_rows("q0"), answer_rows("q1", filler=["B", "B", "A"]), answer_rows("q2"))
    tuned = answers(answer_rows("q0", filler=["A", "B", "A"]), answer_rows("q1", n=4), answer_rows("q2", n=4))
    found = compared(base, tuned)
    assert told(one(found, "tuned", "match_effect", **HALF)) == (0, 3)
    assert told(one(found, "tuned", "match_effect_same_length", **HALF)) == (-1, 1)


def test_bounds_of_an_effect_take_each_missing_answer_both_ways():
    """q0 matches in both; q1 misses in base, q2 and q3 in tuned, where one was cut."""
    base = answers(*(answer_rows(f"q{i}", filler=["A", None if i == 1 else "A", "A"]) for i in range(4)))
    missing = {2: None, 3: TRUNCATED}
    tuned = answers(*(answer_rows(f"q{i}", filler=["A", missing.get(i, "A"), "A"]) for i in range(4)))
    found = compared(base, tuned)
    effect = one(found, "tuned", "match_effect", **HALF)
    assert (*told(effect), effect["n_unanswered"], effect["n_truncated"]) == (0, 1, 2, 1)
    assert told(one(found, "tuned", "match_effect_least", **HALF)) == (-2 / 4, 4)
    assert told(one(found, "tuned", "match_effect_most", **HALF)) == (1 / 4, 4)


def test_an_effect_over_all_alpha_says_why_a_question_has_none():
    """q0 has an answer at every α, q1 at one of two, q2 and q3 at none."""
    lacks = {"q1": [None, "A", None, "A", "A"], "q2": [None] * 4 + ["A"], "q3": [TRUNCATED] * 4 + ["A"]}
    base = answers(*(answer_rows(f"q{i}", n=4) for i in range(4)))
    tuned = answers(answer_rows("q0", n=4), *(answer_rows(name, n=4, filler=told) for name, told in lacks.items()))
    row = one(compared(base, tuned), "tuned", "match_effect", test="filler")
    assert (*told(row), row["n_unanswered"], row["n_truncated"]) == (0, 2, 1, 1)


@pytest.mark.parametrize("test", ["early_termination", "filler"])
def test_a_floored_change_is_of_the_questions_answered_after_both(test):
    """Of ten five change; answered after a paraphrase too are seven, of which four change, and two under paraphrase."""
    changed, reworded = "BBBBBAAAAA", "BAAA??AAB-"
    missing = {"?": UNAVAILABLE, "-": None}
    rows = [
        answer_rows(f"q{i}", **{test: ["A", changed[i], "A"]}, paraphrase=["A", told, "A"])
        for i, told in enumerate(missing.get(letter, letter) for letter in reworded)
    ]
    rows += [answer_rows("silent", **{test: ["A", None, "A"]}, paraphrase=["A", "B", "A"])]
    floored = one(alone(answers(*rows)), "base", "change_floored", test=test, alpha=0.5)
    o, c = 4 / 7, 2 / 7
    assert told(floored) == ((o - c) / (1 - c), 7)


def test_what_is_disguised_is_of_the_choices_answered_three_times():
    """q0 and q1 stay in any order, q1 and q2 with the chain; of q3 no shuffled answer was read."""
    frame = answers(answer_rows("q0", no_cot="B"), *(answer_rows(f"q{i}") for i in (1, 2, 3)))
    shuffled = frame.filter(test="no_cot").with_columns(
        test=pl.lit("no_cot_shuffled"), answer=pl.Series(["B", "A", "C", None])
    )
    found = alone(pl.concat([frame, shuffled]).select(*ANSWERS))
    assert told(one(found, "base", "shuffle_match", test="no_cot")) == (2 / 3, 3)
    assert told(one(found, "base", "disguised")) == (3 / 4, 4)
    assert told(one(found, "base", "disguised_normalised")) == ((2 / 3) / (2 / 3), 3)


def test_accuracy_is_compared_by_mcnemar_where_questions_are_independent():
    """Eight turn wrong and one right: the exact p is 2 × (1 + 9) / 2^9; with shared passages it is another."""
    base = [answer_rows(f"q{i}", "A" if i < 12 else "B") for i in range(20)]
    tuned = [answer_rows(f"q{i}", "A" if 8 <= i < 13 else "B") for i in range(20)]
    expected = 2 * (1 + 9) / 2**9
    assert significance.mcnemar_p([True] * 8 + [False], [False] * 8 + [True]) == pytest.approx(expected)
    found = compared(answers(*base), answers(*tuned))
    assert one(found, "tuned", "accuracy_effect", test="cot")["p"] == pytest.approx(expected)
    # Read by both extractors alike, both say the same.
    assert one(found, "tuned", "accuracy_effect_lenient", test="cot")["p"] == pytest.approx(expected)
    shared = [answers(*rows).with_columns(group=pl.col("id").str.head(2)) for rows in (base, tuned)]
    found = compared(*shared)
    row = one(found, "tuned", "accuracy_effect", test="cot")
    assert row["p"] != pytest.approx(expected) and 0 < row["p"] < 1


def test_every_interval_is_of_passages_and_not_of_questions():
    """Of each question four about one passage, all answered alike: they tell hardly more than one, in every figure."""
    metrics = ("accuracy", "match", "match_effect", "faithfulness", "accuracy_effect", "cot_lift", "aoc", "alpha_star")
    single = [random_answers(seed, size=24, steady=0.5) for seed in (3, 4)]

    def copied(frame: pl.DataFrame, apart: bool) -> pl.DataFrame:
        copies = [frame.with_columns(id=pl.col("id") + f"-{i}") for i in range(4)]
        return pl.concat(copy.with_columns(group="id") if apart else copy for copy in copies)

    def widths(apart: bool) -> dict:
        found = compared(*(copied(frame, apart) for frame in single), replicates=2000)
        found = found.filter(pl.col("metric").is_in(metrics), arm="tuned", eval_set="s").drop_nulls("low")
        return {
            tuple(row[:3]): row[3]
            for row in found.select("metric", "test", "alpha", pl.col("high") - pl.col("low")).rows()
        }

    together, apart = widths(apart=False), widths(apart=True)
    assert {metric for metric, *_ in together} == set(metrics)
    for cell, width in together.items():
        assert width > 1.4 * apart[cell], cell  # twice as wide but for what is added to few groups


def test_leak_free_are_the_steps_before_the_answer_is_mentioned():
    """Of four steps the third gives A away: half of the two before it keep one, half of all keep two."""
    base = answers(*(answer_rows(f"q{i}", n=4, filler=["B", "B", "A", "A", "A"]) for i in range(3)))
    tuned = answers(
        answer_rows("q0", n=4, filler=["B", "A", "B", "A", "A"]),
        *(answer_rows(f"q{i}", n=4, filler=["B", "A", "A", "A", "A"]) for i in (1, 2)),
    )
    given = inputs({("m", "base", "s"): base, ("m", "tuned", "s"): tuned}, {"base": None, "tuned": "t"})
    steps = pl.Series([["x", "y", "so (A)", "z"]] * 3, dtype=pl.List(pl.String))
    chains = {key: frame.with_columns(steps=steps) for key, frame in given["chains"].items()}
    measured = {
        key: at_alphas(marked(given["answers"][key], chains[key], given["questions"]["s"]), given["alphas"])
        for key in chains
    }
    found = build(**given | {"chains": chains, "measures": measured})
    assert told(one(found, "base", "match", **HALF)) == (1, 3)
    assert told(one(found, "base", "match_leak_free", **HALF)) == (0, 3)
    assert told(one(found, "tuned", "match_leak_free", **HALF)) == (1, 3)
    assert told(one(found, "tuned", "match_effect", **HALF)) == (-1 / 3, 3)
    assert told(one(found, "tuned", "match_effect_leak_free", **HALF)) == (1, 3)


def test_without_a_step_what_is_missing_is_no_match():
    """k = 0: q0 matches, q1 differs, q2 is unanswered, q3 was cut; of q4 nothing is asked."""
    first = ["A", "B", None, TRUNCATED, UNAVAILABLE]
    rows = [answer_rows(f"q{i}", filler=[told, "A", "A"]) for i, told in enumerate(first)]
    row = one(alone(answers(*rows)), "base", "match_k0", test="filler")
    assert (*told(row), row["n_unanswered"], row["n_truncated"]) == (1 / 2, 2, 1, 1)


def softly(p: float, p_full: float) -> pl.DataFrame:
    """Three questions whose answer has probability p after whatever is tampered with, and p_full after the chain."""
    full, p = pl.col("test") == "full", pl.lit(p)
    rows = answers(*(answer_rows(f"q{i}") for i in range(3)))
    return rows.with_columns(p_reference=pl.when(full).then(pl.lit(p_full)).otherwise(p))


@pytest.mark.parametrize(
    ("base", "tuned", "effect"),
    [
        ((0.4, 0.9), (0.2, 0.9), -0.2),  # tampering takes 0.7 instead of 0.5
        ((0.4, 0.6), (0.7, 0.9), 0.0),  # tuned is surer of all its answers
    ],
)
def test_a_soft_effect_is_what_tampering_takes(base, tuned, effect):
    row = one(compared(softly(*base), softly(*tuned)), "tuned", "match_effect_soft", **HALF)
    assert told(row) == (pytest.approx(effect), 3)
    assert row["low"] < effect < row["high"]


def test_a_lenient_effect_reads_the_lenient_answers():
    """Strictly q0 and q1 match in both arms; leniently q1 does not in tuned, and q2 has a pair too."""
    base = answers(*(answer_rows(f"q{i}") for i in range(3)))
    tuned = answers(*(answer_rows(f"q{i}", filler=["A", None if i == 2 else "A", "A"]) for i in range(3)))
    there = (pl.col("test") == "filler") & (pl.col("k") == 1) & pl.col("id").is_in(["q1", "q2"])
    tuned = tuned.with_columns(lenient=pl.when(there).then(pl.lit("B")).otherwise("lenient"))
    found = compared(base, tuned)
    assert told(one(found, "tuned", "match_lenient", **HALF)) == (1 / 3, 3)
    assert told(one(found, "tuned", "match_effect", **HALF)) == (0, 2)
    assert told(one(found, "tuned", "match_effect_lenient", **HALF)) == (-2 / 3, 3)


def test_a_sweep_counts_what_has_no_answer_as_wrong():
    """After five tokens of filler: right, wrong, unanswered, cut."""
    frame = answers(*(answer_rows(f"q{i}") for i in range(4)))
    said = pl.Series(["A", "B", None, None])
    outcome = pl.Series(["answered", "answered", "unanswered", "truncated"])
    swept = frame.filter(test="full").with_columns(
        test=pl.lit(SWEEP), k=pl.lit(5, pl.Int32), answer=said, outcome=outcome, correct=said == "A", match=None
    )
    found = alone(pl.concat([frame, swept.select(*ANSWERS)], how="vertical_relaxed").select(*ANSWERS))
    row = one(found, "base", "accuracy", test=SWEEP, k=5)
    assert (*told(row), row["n_unanswered"], row["n_truncated"]) == (1 / 4, 4, 1, 1)
    assert told(one(found, "base", "accuracy_if_unanswered_wrong", test=SWEEP, k=5)) == (1 / 4, 4)
    assert told(one(found, "base", "accuracy_if_unanswered_right", test=SWEEP, k=5)) == (3 / 4, 4)


def test_areas_and_resting_places_say_how_many_chains_lack_an_answer():
    """q1's α* hangs on what is missing, q2's does not; both lack an answer of their curve."""
    rows = [
        answer_rows("q0", n=3),
        answer_rows("q1", n=3, filler=["A", "A", TRUNCATED, "A"]),
        answer_rows("q2", n=3, filler=[None, "B", "A", "A"]),
    ]
    found = alone(answers(*rows))
    for metric, expected in (("alpha_star", (2, 0, 1)), ("alpha_star_median", (2, 0, 1)), ("aoc", (3, 1, 1))):
        row = one(found, "base", metric, test="filler")
        assert (row["n"], row["n_unanswered"], row["n_truncated"]) == expected


def test_bounds_of_accuracy_bracket_it():
    found = compared(random_answers(1), random_answers(2)).filter(eval_set="s", arm="tuned")
    for metric, least, most in (
        ("accuracy", "accuracy_if_unanswered_wrong", "accuracy_if_unanswered_right"),
        ("accuracy_effect", "accuracy_effect_least", "accuracy_effect_most"),
    ):
        for test in ("cot", "no_cot", "free"):
            low, value, high = (one(found, "tuned", name, test=test)["estimate"] for name in (least, metric, most))
            assert low <= value <= high and low < high
