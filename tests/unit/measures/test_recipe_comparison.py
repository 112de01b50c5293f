"""Recipes side by side: known differences are found, equal recipes hold 0, and p is corrected over its family."""

import polars as pl
import pytest

import oracles
from faithtune.measures.stats.bootstrap import Sampling
from faithtune.measures.stats.significance import holm
from faithtune.measures.verdicts.recipes import (
    BETWEEN,
    FAMILIES,
    FROM_BASE,
    FROM_REFERENCE,
    RECIPES,
    recipes,
    reference_of,
)
from frames import answer_rows, answers, build_both, inputs
from recipe_frames import SAMPLING, TESTS, arm, base, changes, compared

ARMS = [base(), arm("plain"), arm("worse"), arm("twin")]
MEANS = {
    "plain": {"accuracy": 0.1, "lift": 0.2, "faithfulness": -0.05},
    "worse": {"accuracy": -0.2, "lift": -0.5, "faithfulness": -0.05, "filler": -0.5},
    "twin": {"accuracy": 0.1, "lift": 0.2, "faithfulness": -0.05},
}


def row(frame: pl.DataFrame, arm: str, against: str, subject: str, test: str | None = None) -> dict:
    test = pl.col("test").eq_missing(pl.lit(test, pl.String))
    return frame.filter(test, arm=arm, against=against, subject=subject).row(0, named=True)


@pytest.fixture(scope="module")
def found() -> pl.DataFrame:
    return compared(ARMS, MEANS, "plain")


def test_differences_from_base_and_from_the_reference_are_recovered(found):
    assert found.schema == RECIPES
    for name, means in MEANS.items():
        whole = (2 * means["faithfulness"] + means.get("filler", means["faithfulness"])) / 3
        for subject, test, mean in (
            ("accuracy", None, means["accuracy"]),
            ("lift", None, means["lift"]),
            ("chains", None, 0.0),
            ("faithfulness", None, whole),
            ("faithfulness", "filler", means.get("filler", means["faithfulness"])),
        ):
            own = row(found, f"{name}-s", "base", subject, test)
            assert own["estimate"] == pytest.approx(mean) and own["low"] < mean < own["high"] and own["n"] == 160
    worse = row(found, "worse-s", "plain-s", "accuracy")
    assert worse["estimate"] == pytest.approx(-0.3) and worse["high"] < 0 and worse["p_holm"] < 0.05
    assert row(found, "worse-s", "plain-s", "lift")["estimate"] == pytest.approx(-0.7)


def test_equal_recipes_hold_0_and_pairing_makes_their_interval_narrow(found):
    for subject in ("accuracy", "lift", "faithfulness", "chains"):
        twin, alone = row(found, "twin-s", "plain-s", subject), row(found, "twin-s", "base", subject)
        assert twin["low"] < 0 < twin["high"] and twin["p_holm"] == 1
        assert twin["high"] - twin["low"] < 0.5 * (alone["high"] - alone["low"])


def test_the_test_in_which_a_recipe_differs_from_the_reference_is_found(found):
    for test in TESTS:
        one = row(found, "worse-s", "plain-s", "faithfulness", test)
        assert one["estimate"] == pytest.approx(-0.45 if test == "filler" else 0, abs=1e-9)
        assert (one["high"] < 0 and one["p_holm"] < 0.05) == (test == "filler")


def test_p_is_corrected_over_each_family_alone(found):
    assert set(found["family"]) == set(FAMILIES)
    for family in (FROM_BASE, FROM_REFERENCE):
        own = found.filter(family=family)
        assert own["p_holm"].to_list() == pytest.approx(holm(own["p"].to_list()))
    pairs = found.filter(pl.col("p_pairs").is_not_null())
    assert pairs["p_pairs"].to_list() == pytest.approx(holm(pairs["p"].to_list()))
    assert sorted(pairs.select("arm", "against", "subject").rows()) == [
        (arm, against, subject)
        for arm, against in (("twin-s", "plain-s"), ("twin-s", "worse-s"), ("worse-s", "plain-s"))
        for subject in ("accuracy", "faithfulness")
    ]
    others = found.filter(family=BETWEEN)
    assert others["p_holm"].null_count() == others.height == 2  # accuracy and faithfulness of twin minus worse
    assert row(found, "twin-s", "worse-s", "accuracy")["low"] > 0


def test_without_a_reference_every_pair_stands_once():
    found = compared(ARMS, MEANS)
    assert set(found["family"]) == {FROM_BASE, BETWEEN}
    pairs = found.filter(family=BETWEEN, subject="accuracy").select("arm", "against").rows()
    assert pairs == [("worse-s", "plain-s"), ("twin-s", "plain-s"), ("twin-s", "worse-s")]


def test_a_model_with_one_tuned_arm_is_compared_with_its_base_alone():
    arms = [base(), arm("plain"), base("n"), arm("plain", model="n"), arm("worse", model="n")]
    found = compared(arms, MEANS)
    assert found.select("model", "family").unique(maintain_order=True).rows() == [
        ("m", FROM_BASE),
        ("n", FROM_BASE),
        ("n", BETWEEN),
    ]
    both = compared([*ARMS, *arms[2:]], MEANS)  # each model's pairs are a family of their own
    assert both.filter(model="n")["p_pairs"].to_list() == found.filter(model="n")["p_pairs"].to_list()
    assert compared(arms[:2], MEANS).is_empty() and compared(arms[:2], MEANS).schema == RECIPES


def test_the_reference_of_an_arm():
    tuned = [arm(tuning, on) for tuning in ("r", "q") for on in ("s", "t")] + [arm("q", "u"), arm("alone", "s")]

    def of(name: str, reference: str | None) -> str | None:
        found = reference_of(next(one for one in tuned if one["arm"] == name), tuned, reference)
        return found and found["arm"]

    assert [of(name, "r") for name in ("q-s", "q-t", "q-u", "r-s")] == ["r-s", "r-t", None, None]
    assert [of(name, "r-t") for name in ("q-s", "r-s", "r-t")] == ["r-t", "r-t", None]  # one arm for all
    assert [of(name, "alone") for name in ("q-u", "alone-s")] == ["alone-s", None]
    assert of("q-s", None) is None


def test_what_was_not_asked_has_no_estimate_and_is_no_test_of_the_family():
    own = changes(ARMS[1:], MEANS).filter(pl.col("what") != "lift")
    found = recipes(ARMS, own, SAMPLING)
    lift = found.filter(subject="lift")
    assert lift.select("estimate", "p", "p_holm").rows() == [(None, None, None)] * 3 and set(lift["n"]) == {0}
    assert found["p_holm"].drop_nulls().len() == 3 * 6


def test_one_test_is_the_mean_over_all():
    own = changes(ARMS[1:], MEANS).filter(pl.col("test").is_null() | (pl.col("test") == "filler"))
    assert recipes(ARMS, own, SAMPLING)["test"].null_count() == recipes(ARMS, own, SAMPLING).height


def test_seeds_are_pooled_and_different_seeds_averaged():
    several = [base(), arm("plain", seeds=(1, 2, 3)), arm("worse", seeds=(1, 2, 3)), arm("twin", seeds=(1,))]
    found = compared(several, MEANS)
    assert row(found, "worse-s", "plain-s", "accuracy")["estimate"] == pytest.approx(-0.3)
    assert row(found, "twin-s", "plain-s", "accuracy")["estimate"] == pytest.approx(0, abs=1e-9)
    assert row(found, "twin-s", "plain-s", "accuracy")["n"] == 160


def test_the_change_of_a_lift_is_of_each_question():
    """Right with the chain minus right without it, tuned minus base: of `both` 1 - (-1), of `lost` -1 - 1."""
    right, wrong = "A", "B"
    before = {"both": (wrong, right), "lost": (right, wrong), "same": (right, wrong), "missing": (right, None)}
    after = {"both": (right, wrong), "lost": (wrong, right), "same": (right, wrong), "missing": (None, None)}
    frames = {
        ("m", name, "s"): answers(*(answer_rows(id, full, no_cot) for id, (full, no_cot) in of.items()))
        for name, of in (("base", before), ("tuned", after))
    }
    _, own = build_both(**inputs(frames, {"base": None, "tuned": "s"}))
    found = own.filter(what="lift")
    assert dict(found.select("id", "change").rows()) == {"both": 2, "lost": -2, "same": 0, "missing": -1}
    assert found["test"].null_count() == found.height == 4


@pytest.mark.slow
def test_oracles_are_told_apart_in_what_they_differ(templates):
    """Of two arms that are alike the difference holds 0; a post-hoc one loses faithfulness against the reference."""
    asked = {"boxes": oracles.made_up(150, 4)}
    behaviours = {
        "base": {"accuracy": 0.8, "seed": 1},
        "reference-1": {"accuracy": 0.8, "seed": 2},
        "alike-1": {"accuracy": 0.8, "seed": 3},
        "posthoc-1": {"accuracy": 0.8, "faithful": 0.3, "seed": 4},
        "wrong-1": {"accuracy": 0.4, "seed": 5},
    }
    made = {name: {"boxes": oracles.arm(asked["boxes"], how, templates)} for name, how in behaviours.items()}
    _, own = oracles.estimate_both(made, asked, [0.25, 0.5, 0.75], 300, 1)
    arms = [base("oracle"), *(arm(name[:-2], "elsewhere", "oracle") for name in made if name != "base")]
    arms = [one | {"arm": one["tuning"] or "base"} for one in arms]
    found = recipes(arms, own, Sampling(replicates=1000), "reference")

    def inside(name: str, subject: str, truth: float, test: str | None = None) -> dict:
        one = row(found, name, "reference", subject, test)
        low, high = (one["estimate"] + 1.5 * (end - one["estimate"]) for end in (one["low"], one["high"]))
        assert low <= truth <= high, one
        return one

    for subject in ("accuracy", "faithfulness", "chains", "lift"):
        inside("alike", subject, 0.0)
    inside("wrong", "accuracy", -0.4)
    inside("wrong", "faithfulness", 0.0)
    inside("posthoc", "accuracy", 0.0)
    for test, truth in (("early_termination", -0.7), ("filler", -0.7), ("paraphrase", 0.0)):
        one = inside("posthoc", "faithfulness", truth, test)
        assert (one["p_holm"] < 0.05) == (truth < 0)
    # Without its chain a post-hoc answer is right as often, a faithful one by accident: the chain lifts it less.
    assert inside("posthoc", "lift", -0.7 * (0.8 - 0.2 / 3))["high"] < 0
