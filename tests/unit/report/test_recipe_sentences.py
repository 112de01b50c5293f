"""The sentences on recipes follow from words and intervals, and stay short."""

import polars as pl
import pytest

from faithtune.core.schemas.estimates import ESTIMATES
from faithtune.measures.verdicts.recipes import RECIPES, recipes
from faithtune.measures.verdicts.verdict import Study
from faithtune.report.verdict import conditions, document
from faithtune.report.verdict.recipes import summaries
from recipe_frames import SAMPLING, arm, base, changes


def judged(model: str, **words: tuple[str, str]) -> list[dict]:
    """Entries of verdict.json by arm: the words for accuracy and faithfulness."""
    return [
        {"model": model, "arm": name, "accuracy": {"word": of_accuracy}, "faithfulness": {"word": of_faithfulness}}
        for name, (of_accuracy, of_faithfulness) in words.items()
    ]


def differences(*intervals: tuple[float, float], subject: str = "accuracy", n: int = 50, p: float = 1) -> pl.DataFrame:
    """RECIPES between arms of `m`; p: corrected over all pairs."""
    rows = [
        {"model": "m", "arm": f"b{i}", "against": "a", "subject": subject, "family": "others", "n": n}
        | {"estimate": (low + high) / 2, "low": low, "high": high, "p_pairs": p}
        for i, (low, high) in enumerate(intervals)
    ]
    return pl.DataFrame(rows, schema=RECIPES)


def said(arms: list[dict], frame: pl.DataFrame | None = None) -> list[str]:
    return summaries(arms, differences() if frame is None else frame, 0.1, 0.95)[0]["sentences"]


GAIN, LOSE, FLAT, MIXED = ("rose", "kept"), ("rose", "fell"), ("kept", "not enough evidence"), ("fell", "mixed")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            {"a": GAIN, "b": ("rose", "rose"), "c": LOSE},
            "Of the 3 recipes, a and b gain accuracy without losing faithfulness; c loses faithfulness.",
        ),
        (
            {"a": GAIN, "b": FLAT},
            "Of the 2 recipes, a gains accuracy without losing faithfulness; none is shown to lose it.",
        ),
        (
            {"a": FLAT, "b": ("rose", "not enough evidence")},
            "Of the 2 recipes, none is shown to gain accuracy without losing faithfulness; none is shown to lose it.",
        ),
        (
            {"a": LOSE, "b": ("kept", "fell")},
            "Of the 2 recipes, none is shown to gain accuracy without losing faithfulness; both lose faithfulness.",
        ),
        (
            {"a": MIXED, "b": GAIN, "c": ("not testable", "not testable")},
            "Of the 3 recipes, b gains accuracy without losing faithfulness; a loses it on one set and gains it on"
            " another.",
        ),
        (
            dict.fromkeys("abc", GAIN),
            "Of the 3 recipes, all gain accuracy without losing faithfulness; none is shown to lose it.",
        ),
    ],
)
def test_which_recipes_gain_and_which_lose(words, sentence):
    assert said(judged("m", **words)) == [sentence]


def test_of_many_arms_four_names_at_most():
    many = {f"g{i}": GAIN for i in range(6)} | {f"l{i}": LOSE for i in range(4)} | {f"f{i}": FLAT for i in range(20)}
    (sentence,) = said(judged("m", **many))
    assert sentence == (
        "Of the 30 recipes, g0, g1, g2 and 3 others gain accuracy without losing faithfulness; l0, l1, l2 and l3 lose"
        " faithfulness."
    )


FLATS = judged("m", a=FLAT, b0=FLAT, b1=FLAT)


def test_arms_that_cannot_be_told_apart_and_what_would_tell():
    frame = pl.concat([differences((-0.2, 0.2)), differences((-0.05, 0.05), (-0.3, 0.1), subject="faithfulness")])
    found = summaries(FLATS, frame, 0.1, 0.95)[0]
    assert found["sentences"][1] == (
        "No two of them can be told apart in accuracy or faithfulness: no difference is significant, corrected over all"
        " 2 pairs. About 200 questions may tell, and there are 50."
    )
    assert (found["pairs"], found["apart"], found["n"], found["n_needed"]) == (2, [], 50, 200)
    alone = said(FLATS[:2], differences((-0.2, 0.2)))[1]
    assert alone.startswith("The two cannot be told apart in accuracy: no difference is significant. About")


def test_arms_that_differ_by_less_than_the_margin():
    assert (
        said(FLATS, differences((-0.05, 0.1), (-0.01, 0.0)))[1]
        == "No two of them differ by as much as 0.1 in accuracy."
    )
    assert said(FLATS[:2], differences((0.0, 0.1)))[1] == "The two do not differ by as much as 0.1 in accuracy."


@pytest.mark.parametrize("interval", [(-0.05, 0.101), (-0.101, 0.05)])
def test_an_end_beyond_the_margin_leaves_it_open(interval):
    assert said(FLATS, differences((0.0, 0.0), interval))[1].startswith("No two of them can be told apart")


@pytest.mark.parametrize(
    ("interval", "shown"),
    [
        ((0.002, 0.4), "b0 has more faithfulness than a, by 0.20 [0.00, 0.40]"),
        ((-0.4, -0.1), "a has more faithfulness than b0, by 0.25 [0.10, 0.40]"),
    ],
)
def test_a_difference_that_is_significant_tells_arms_apart(interval, shown):
    frame = pl.concat([differences((-0.2, 0.2), (-0.3, 0.3)), differences(interval, subject="faithfulness", p=0.04)])
    found = summaries(FLATS, frame, 0.1, 0.95)[0]
    assert found["sentences"][1] == (
        f"1 of their 2 pairs differs significantly in accuracy or faithfulness, corrected over all pairs: {shown}."
    )
    assert [(row["arm"], row["against"], row["p_pairs"]) for row in found["apart"]] == [("b0", "a", 0.04)]
    assert found["n_needed"] is None
    assert said(FLATS[:2], frame.filter(subject="faithfulness"))[1] == f"They differ: {shown}."
    assert said(FLATS, frame.with_columns(p_pairs=pl.lit(0.06)))[1].startswith("No two of them can be told apart")


def test_whether_an_arm_gains_may_be_open():
    arms = judged("m", a=LOSE, b0=("not enough evidence", "kept"), b1=("not enough evidence", "fell"))
    arms[1]["accuracy"] |= {"n": 50, "n_needed": 180}
    arms[2]["accuracy"] |= {"n": 50, "n_needed": 900}
    assert said(arms, differences((0.1, 0.3), p=0.001))[2] == (
        "Whether b0 gains accuracy is open: about 180 questions may tell, and there are 50."
    )
    assert len(said(arms)) == 1  # nothing can be compared


def test_of_several_differences_the_greatest_is_named():
    frame = differences((0.1, 0.3), (-0.6, -0.4), p=0.001)
    assert said(FLATS, frame)[1] == (
        "2 of their 2 pairs differ significantly in accuracy, corrected over all pairs; most of all, a has more"
        " accuracy than b1, by 0.50 [0.40, 0.60]."
    )


def test_without_an_interval_nothing_is_said():
    unknown = differences((-0.2, 0.2)).with_columns(low=pl.lit(None, pl.Float64), high=pl.lit(None, pl.Float64))
    found = summaries(FLATS, unknown, 0.1, 0.95)[0]
    assert len(found["sentences"]) == 1 and found["apart"] is None


def test_estimates_alone_change_no_word():
    frame = differences((-0.2, 0.2))
    assert said(FLATS, frame) == said(FLATS, frame.with_columns(estimate=pl.lit(0.19)))


def test_each_model_with_several_arms_has_its_own():
    arms = [*judged("one", a=GAIN), *judged("m", a=GAIN, b=FLAT), *judged("n", a=LOSE, b=FLAT)]
    found = summaries(arms, differences(), 0.1, 0.95)
    assert [one["model"] for one in found] == ["m", "n"]
    assert [one["sentences"][0][:22] for one in found] == ["Of the 2 recipes of m,", "Of the 2 recipes of n,"]


def test_the_verdict_opens_with_them():
    arms = [base(), arm("good"), arm("bad")]
    means = {"good": {"accuracy": 0.4}, "bad": {"accuracy": 0.4, "faithfulness": -0.4}}
    own = changes(arms[1:], means, noise=0.1)
    known = [
        {"model": "m", "arm": one["arm"], "eval_set": name, "metric": "accuracy", "test": "cot", "estimate": 0.5}
        for one in arms
        for name in ("a", "b")
    ]
    study = Study(pl.DataFrame(known, schema=ESTIMATES), own, SAMPLING, 0.1)
    found = document.build(arms, study, recipes(arms, own, SAMPLING))
    opening = "Of the 2 recipes, good-s gains accuracy without losing faithfulness; bad-s loses faithfulness."
    difference = "They differ: good-s has more faithfulness than bad-s, by 0.40 ["
    (own,) = found["recipes"]
    assert own["sentences"][0] == opening and own["sentences"][1].startswith(difference)
    assert (own["gain"], own["lose"], own["mixed"], own["pairs"]) == (["good-s"], ["bad-s"], [], 1)
    assert [(row["arm"], row["subject"]) for row in own["apart"]] == [("bad-s", "faithfulness")]
    assert document.markdown(found).split("\n\n")[1] == " ".join(own["sentences"])
    assert conditions.text(found).startswith(opening)
    assert document.opening(document.build(arms[:2], study, recipes(arms[:2], own, SAMPLING))) == []
