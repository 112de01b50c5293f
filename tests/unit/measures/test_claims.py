"""Verdicts on constructed changes: on the claim's side, on the other, around 0, and not testable."""

import numpy as np
import polars as pl
import pytest

from faithtune.core.schemas.estimates import CHANGES
from faithtune.measures import contrasts
from faithtune.measures.claims import CLAIMS, claims
from faithtune.measures.stats.intervals import Sampling

SAMPLING = Sampling(replicates=500)
NATIVE, OTHER = "sums", "life"  # training and evaluation sets; sums are worked solutions
ARMS = [
    {"model": model, "arm": arm, "train_set": train_set}
    for model in ("small", "large")
    for arm, train_set in (("base", None), ("t-sums", NATIVE), ("t-life", OTHER))
]
TEST = {"accuracy": None, "faithfulness": "filler"}
SIZES = {"small": 10, "large": 1000}


def changed(
    what: str, mean: float, model="small", arm="t-sums", on=(NATIVE, OTHER), n=60, seed=1, spread=0.2
) -> list[dict]:
    """A row of CHANGES a question, around `mean`, one question a group, all answered; null where the mean is None."""
    rng = np.random.default_rng([seed, len(what), len(model), len(arm)])
    rows = []
    for eval_set in on:
        noise = rng.permuted(np.linspace(-spread, spread, n))  # sums to 0
        values = [None if mean is None else mean + x for x in noise]
        rows += [
            {"model": model, "arm": arm, "seed": seed, "train_set": arm[2:], "eval_set": eval_set}
            | {"id": f"{eval_set}{i:03}", "group": f"{eval_set}{i:03}", "what": what, "test": TEST[what]}
            | dict.fromkeys(("change", "published", "least", "most"), values[i])
            for i in range(n)
        ]
    return rows


def given(rows: list[dict], **values) -> list[dict]:
    """The rows with other values."""
    return [row | values for row in rows]


def found(rows: list[dict], claim: str, model: str | None = "small", arms=ARMS, sizes=SIZES, turns=None) -> dict:
    frame = claims(arms, pl.DataFrame(rows, schema=CHANGES), {NATIVE: True, OTHER: False}, sizes, SAMPLING, turns)
    assert frame.schema == CLAIMS
    chosen = frame.filter(pl.col("claim") == claim, pl.col("model").eq_missing(model))
    assert chosen.height == 1
    return chosen.row(0, named=True)


SIDES = [(-0.3, "supported"), (0.0, "inconclusive"), (0.3, "not supported")]


@pytest.mark.parametrize(("mean", "verdict"), SIDES)
@pytest.mark.parametrize(("claim", "what"), [("C1", "accuracy"), ("C2", "faithfulness")])
def test_c1_and_c2_ask_for_a_fall(claim, what, mean, verdict):
    rows = changed(what, mean) + changed(what, mean, arm="t-life")
    row = found(rows, claim)
    assert row["verdict"] == verdict
    assert row["estimate"] == pytest.approx(mean, abs=1e-9)
    assert row["low"] < mean < row["high"]
    assert row["n"] == 120  # questions, not question times arm
    assert row["statement"].endswith("falls after tuning, on sums and life")
    assert row["note"] is None


def test_the_other_kind_of_change_says_nothing():
    rows = changed("accuracy", -0.3) + changed("faithfulness", 0.3)
    assert found(rows, "C1")["verdict"] == "supported"
    assert found(rows, "C2")["verdict"] == "not supported"


@pytest.mark.parametrize(("claim", "what"), [("C1", "accuracy"), ("C2", "faithfulness")])
def test_a_mean_over_arms_of_opposite_sign_says_so(claim, what):
    rows = changed(what, 0.4) + changed(what, -0.4, arm="t-life")
    note = found(rows, claim)["note"]
    assert note.startswith("pools arms of opposite sign: t-sums +0.40 [+0.3") and "; t-life -0.40 [" in note
    around = changed(what, 0.4) + changed(what, 0.0, arm="t-life")
    assert found(around, claim)["note"] is None  # 0 is within an arm's interval


def test_what_is_not_pooled_is_compared_alone():
    rows = changed("faithfulness", -0.3) + changed("faithfulness", 0.3, arm="t-life")
    arms = [arm | {"pooled": arm["arm"] == "t-sums"} for arm in ARMS]
    assert found(rows, "C2")["verdict"] == "inconclusive"
    assert found(rows, "C2", arms=arms)["verdict"] == "supported"
    assert found(rows, "C2", arms=arms)["statement"].startswith("Faithfulness falls after tuning (t-sums), on")
    assert found(rows, "C3", arms=arms) == found(rows, "C3")


def test_c1_is_of_the_smallest_model():
    rows = [
        row for model in SIZES for row in changed("accuracy", -0.3, model) + changed("accuracy", -0.3, model, "t-life")
    ]
    assert found(rows, "C1", "small")["note"] is None
    assert found(rows, "C1", "large")["note"] == "the claim is of the smallest model, small"
    unknown = {"small": 10, "large": None}
    assert "smallest model, which is not known" in found(rows, "C1", "small", sizes=unknown)["note"]


@pytest.mark.parametrize(
    ("native", "other", "verdict"),
    [(-0.1, -0.4, "supported"), (-0.2, -0.2, "inconclusive"), (-0.4, -0.1, "not supported"), (0.4, 0.1, "supported")],
)
def test_c3_compares_costs_on_the_same_questions(native, other, verdict):
    rows = changed("faithfulness", native) + changed("faithfulness", other, arm="t-life")
    row = found(rows, "C3")
    assert row["verdict"] == verdict
    assert row["estimate"] == pytest.approx(native - other, abs=1e-9)
    assert row["statement"] == (
        "Tuning on life costs at least as much faithfulness as tuning on sums, on sums and life"
    )


@pytest.mark.parametrize("claim", ["C2", "C3", "C4"])
def test_chains_kept_whole_stand_beside_the_claim_and_move_no_verdict(claim):
    """All three rest on changes of faithfulness; where chains kept whole would decide otherwise, the note says so."""
    rows = changed("faithfulness", -0.1) + changed("faithfulness", -0.4, arm="t-life")
    rows += changed("faithfulness", 0.0, "large") + changed("faithfulness", 0.0, "large", arm="t-life")
    model = "large - small" if claim == "C4" else "small"
    row = found(rows, claim, model)
    assert (row["verdict"], row["published"], row["note"]) == ("supported", row["estimate"], None)
    row = found(given(rows, published=0.0), claim, model)
    assert (row["verdict"], row["published"]) == ("supported", 0)
    assert row["published_low"] < 0 < row["published_high"]
    assert row["note"] == "hangs on the chains that α keeps whole: inconclusive if they count, as published"


def test_accuracy_knows_no_kept_steps():
    assert found(changed("accuracy", -0.3), "C1")["published"] is None


def test_c3_leaves_out_questions_without_a_pair_on_either_side():
    rows = changed("faithfulness", -0.1) + changed("faithfulness", -0.4, arm="t-life", n=40)
    rows += changed("faithfulness", None, arm="t-life")[40:60]
    row = found(rows, "C3")
    assert row["n"] == 80
    assert row["verdict"] == "supported"


@pytest.mark.parametrize(
    ("small", "large", "verdict"),
    [(-0.5, -0.1, "supported"), (-0.5, 0.1, "supported"), (-0.3, 0.3, "inconclusive"), (0.1, -0.5, "not supported")],
)
def test_c4_compares_sizes_of_change_whatever_their_sign(small, large, verdict):
    rows = [
        row
        for model, mean in (("small", small), ("large", large))
        for arm in ("t-sums", "t-life")
        for row in changed("faithfulness", mean, model, arm)
    ]
    row = found(rows, "C4", "large - small")
    assert row["verdict"] == verdict
    assert row["estimate"] == pytest.approx(abs(large) - abs(small), abs=1e-9)
    assert row["n"] == 120


def test_c4_compares_what_both_models_went_through():
    rows = (
        changed("faithfulness", -0.1, "large") + changed("faithfulness", -0.4) + changed("faithfulness", 0.9, arm="t-x")
    )
    arms = [*ARMS, {"model": "small", "arm": "t-x", "train_set": "x"}]
    assert found(rows, "C4", "large - small", arms)["estimate"] == pytest.approx(0.1 - 0.4, abs=1e-9)


def test_c4_says_that_one_model_is_told_its_chain_again():
    rows = [row for model in SIZES for arm in ("t-sums", "t-life") for row in changed("faithfulness", -0.2, model, arm)]
    notes = [found(rows, "C4", "large - small", turns=turns)["note"] for turns in ({}, {"large": "retold"})]
    assert notes == [None, "the models' answers do not come about alike: large's turn is retold, small's continued"]


def test_c4_compares_the_same_questions():
    """The models move alike on the 40 questions that they share; the small one moves more on the others."""
    rows = changed("faithfulness", -0.2, "large", n=40) + changed("faithfulness", -0.2, n=40)
    rows += changed("faithfulness", -0.9)[40:60]
    row = found(rows, "C4", "large - small")
    assert (row["estimate"], row["n"]) == (pytest.approx(0, abs=1e-9), 80)


@pytest.mark.parametrize("sign", [1, -1])
def test_c4_knows_what_the_models_share(sign):
    """The models move alike (sign 1) or in opposite directions; question by question that much, or the contrary."""
    small, own = changed("faithfulness", -0.5), changed("faithfulness", 0.0, "large", spread=0.05)

    def width(shared: float) -> float:
        """shared: of the small model's departures from its mean, in the large one's."""
        pairs = zip(small, own, strict=True)
        large = [b | {"change": sign * (-0.3 + shared * (a["change"] + 0.5)) + b["change"]} for a, b in pairs]
        row = found(small + large, "C4", "large - small")
        assert row["estimate"] == pytest.approx(-0.2, abs=1e-9)
        return row["high"] - row["low"]

    assert 1.5 * width(1.0) < width(0.0) < 0.75 * width(-1.0)


def test_c2_is_a_mean_over_tests_however_many_pairs_each_has():
    """The filler test moves by -0.4 on 60 questions, the paraphrases by 0 on 20 of them."""
    rows = changed("faithfulness", -0.4, on=[NATIVE])
    rows += given(changed("faithfulness", 0.0, on=[NATIVE])[:20], test="paraphrase", change=0.0)
    row = found(rows, "C2")
    assert row["estimate"] == pytest.approx(-0.2, abs=1e-9)
    assert row["n"] == 60


def test_two_sides_are_compared_on_the_questions_that_both_have_in_each_test():
    """The second side lacks q1 after a cut, the first q2 after filler: what only one of them has counts nowhere."""
    about = {"model": "small", "eval_set": "sums", "arm": "t-sums", "seed": 0}

    def side(cut: dict[str, float], filler: dict[str, float]) -> pl.DataFrame:
        rows = [(test, id, change) for test, told in (("cut", cut), ("filler", filler)) for id, change in told.items()]
        return pl.DataFrame([about | {"test": t, "id": id, "group": id, "change": change} for t, id, change in rows])

    first = side({"q1": 100.0, "q2": 0.4, "q3": 0.2}, {"q1": 0.6, "q3": 0.0})
    second = side({"q2": 0.1, "q3": 0.3}, {"q1": 0.2, "q2": -100.0, "q3": 0.0})
    both = contrasts.side_by_side(first, second).sort("id")
    assert both["id"].to_list() == ["q1", "q2", "q3"]
    # Each test's mean is over the two questions that both sides have in it.
    assert both["value"].mean() == pytest.approx((0.3 + 0.3) / 2)
    assert both["value_other"].mean() == pytest.approx((0.2 + 0.1) / 2)


@pytest.mark.parametrize(("on_sums", "verdict"), [(-0.5, "supported"), (-0.1, "inconclusive"), (0.3, "not supported")])
def test_c5_compares_reasoning_sets_with_the_others(on_sums, verdict):
    rows = changed("accuracy", on_sums, arm="t-life", on=[NATIVE]) + changed("accuracy", -0.1, arm="t-life", on=[OTHER])
    rows += changed("accuracy", 0.9)  # tuned on sums: not asked about
    row = found(rows, "C5")
    assert row["verdict"] == verdict
    assert row["estimate"] == pytest.approx(on_sums + 0.1, abs=1e-9)
    assert row["statement"] == "Tuning on life costs more accuracy on sums than on life"


def test_arms_weigh_alike_however_many_pairs_they_have():
    """0 of 60 questions in one arm, -0.4 of 20 in the other: the mean of the arms is -0.2."""
    rows = changed("accuracy", 0.0, on=[NATIVE]) + changed("accuracy", -0.4, arm="t-life", on=[NATIVE], n=20)
    row = found(rows, "C1")
    assert row["estimate"] == pytest.approx(-0.2, abs=1e-9)
    assert row["n"] == 60


def test_seeds_of_an_arm_are_one_arm():
    rows = changed("accuracy", 0.0) + [
        row for seed in (1, 2, 3) for row in changed("accuracy", -0.4, arm="t-life", seed=seed)
    ]
    row = found(rows, "C1")
    assert row["estimate"] == pytest.approx(-0.2, abs=1e-9)
    assert row["n"] == 120


def test_an_arm_that_was_handed_in_has_no_seed_and_no_known_training_set():
    """It counts among all tuned arms, is no seed of another arm, and is left out where the training set matters."""
    arms = [*ARMS, {"model": "small", "arm": "bot", "train_set": "not known"}]
    rows = changed("faithfulness", -0.3) + changed("faithfulness", -0.1, arm="t-life")
    rows += given(changed("faithfulness", -0.2, arm="bot"), seed=None, train_set="not known")
    row = found(rows, "C2", arms=arms)
    assert row["estimate"] == pytest.approx(-0.2, abs=1e-9)
    assert row["note"] == "arms of different seeds: the interval does not tell the draw of seeds"
    alone = [arm for arm in arms if arm["arm"] in ("base", "bot")]
    assert found(rows, "C2", arms=alone)["note"] is None
    for claim in ("C3", "C5"):
        row, without = found(rows, claim, arms=arms), found(rows, claim)
        assert row["estimate"] == without["estimate"]
        assert row["note"].endswith("left out, as it is not known what it was tuned on: bot")


def test_arms_of_different_seeds_are_said_to_be():
    rows = changed("accuracy", -0.3) + changed("accuracy", -0.4, arm="t-life", seed=2)
    assert found(rows, "C1")["note"] == "arms of different seeds: the interval does not tell the draw of seeds"


def test_groups_are_resampled_not_questions():
    rows = changed("accuracy", -0.05, spread=0.9)
    apart = found(rows, "C1")
    together = found([row | {"group": str(row["change"] > 0)} for row in rows], "C1")
    assert together["estimate"] == pytest.approx(apart["estimate"])
    assert together["high"] - together["low"] > 3 * (apart["high"] - apart["low"])


def test_incomplete_pairs_keep_their_uncertainty():
    """Half the pairs gone at random: the interval is the wider one of half the questions, not of all."""
    full = found(changed("accuracy", -0.1, on=[NATIVE], n=200, spread=0.9), "C1")
    arms = changed("accuracy", -0.1, on=[NATIVE], n=50, spread=0.9)
    arms += changed("accuracy", -0.1, arm="t-life", on=[NATIVE], n=200, spread=0.0)
    part = found(arms, "C1")  # one arm without any spread: the width is half that of the 50 pairs
    assert (part["high"] - part["low"]) == pytest.approx(full["high"] - full["low"], rel=0.15)


@pytest.mark.parametrize(
    ("arms", "claim", "model", "note"),
    [
        ([ARMS[0]], "C1", "small", "no tuned arm"),
        (ARMS[:2], "C3", "small", "no arm tuned on other than reasoning sets"),
        ([ARMS[0], ARMS[2]], "C3", "small", "no arm tuned on a reasoning set"),
        (ARMS[:3], "C4", None, "one model; it takes two of different size"),
        ([*ARMS[:2], ARMS[3], ARMS[5]], "C4", "large - small", "no tuning that both models went through"),
        (ARMS[:2], "C5", "small", "no arm tuned on other than reasoning sets"),
    ],
)
def test_what_the_study_lacks_is_named(arms, claim, model, note):
    rows = changed("accuracy", -0.3) + changed("faithfulness", -0.3)
    row = found([one for one in rows if any(one["arm"] == arm["arm"] for arm in arms)], claim, model, arms)
    assert row["verdict"] == "not testable"
    assert row["note"] == note
    assert row["estimate"] is row["low"] is row["high"] is None


def test_c4_without_sizes_and_c5_without_other_sets():
    assert found([], "C4", None, sizes={"small": 10})["note"] == "the size of a model is not known"
    row = found(changed("accuracy", -0.3, arm="t-life", on=[NATIVE]), "C5")
    assert (row["verdict"], row["note"]) == ("not testable", "no question with a pair in another set")


def test_an_arm_tuned_on_nobody_knows_what_is_left_out_of_c3_and_c5():
    arms = [*ARMS, {"model": "small", "arm": "t-none", "train_set": "none"}]
    rows = [row for arm in ("t-sums", "t-life", "t-none") for row in changed("accuracy", -0.3, arm=arm)]
    rows += [row for arm in ("t-sums", "t-life") for row in changed("faithfulness", -0.3, arm=arm)]
    rows += changed("faithfulness", 0.9, arm="t-none")
    note = "left out, as it is not known what it was tuned on: t-none"
    for claim in ("C3", "C5"):
        row = found(rows, claim, arms=arms)
        assert (row["estimate"], row["note"]) == (pytest.approx(0, abs=1e-9), note)
    assert found(rows, "C2", arms=arms)["estimate"] == pytest.approx(0.1, abs=1e-9)
    row = found(rows, "C5", arms=[ARMS[0], arms[-1]])
    assert row["note"] == f"no arm tuned on other than reasoning sets; {note}"


HANGS = "hangs on what the unanswered and truncated could have been: {} at the least change, {} at the most"


@pytest.mark.parametrize(
    ("least", "most", "note"),
    [
        (-0.4, -0.2, None),
        (-0.3, 0.0, HANGS.format("supported", "inconclusive")),
        (-0.5, 0.2, HANGS.format("supported", "not supported")),
    ],
)
def test_c1_says_where_it_hangs_on_the_unanswered(least, most, note):
    rows = [
        row | {"least": row["change"] + least + 0.3, "most": row["change"] + most + 0.3}
        for row in changed("accuracy", -0.3)
    ]
    assert found(rows, "C1", arms=ARMS[:2])["note"] == note


def test_c5_says_where_it_hangs_on_the_unanswered():
    """On sums the change could have been 0, on the other set it is what it is."""
    there = changed("accuracy", -0.5, arm="t-life", on=[NATIVE])
    rows = [row | {"most": row["change"] + 0.5} for row in there] + changed("accuracy", 0.0, arm="t-life", on=[OTHER])
    assert found(rows, "C5")["note"] == HANGS.format("supported", "inconclusive")


def test_p_agrees_with_the_interval_and_the_inconclusive_have_an_mde():
    for mean, verdict in SIDES:
        for claim, what in (("C1", "accuracy"), ("C2", "faithfulness")):
            row = found(changed(what, mean), claim)
            assert (row["p"] < 0.05) is (verdict != "inconclusive")
            assert (row["mde"] is not None) is (verdict == "inconclusive")
    rows = changed("faithfulness", 0.1, "large") + changed("faithfulness", -0.4)
    assert found(rows, "C4", "large - small")["p"] < 0.05
    row = found(changed("accuracy", 0.0), "C1")
    assert row["mde"] == pytest.approx((row["high"] - row["low"]) / 2 * 2.8 / 1.96, rel=0.01)


def test_an_arm_without_pairs_is_left_out_and_named():
    rows = changed("faithfulness", -0.3) + changed("faithfulness", None, arm="t-life")
    row = found(rows, "C2", arms=[*ARMS, ARMS[2]])  # an arm may be named once a seed
    assert row["verdict"] == "supported"
    assert row["note"] == "no pairs of small t-life on sums; no pairs of small t-life on life"


def test_two_runs_are_equal():
    rows = changed("accuracy", -0.02) + changed("faithfulness", -0.02, arm="t-life")
    first, second = (
        claims(ARMS, pl.DataFrame(rows, schema=CHANGES), {NATIVE: True, OTHER: False}, SIZES, SAMPLING)
        for _ in range(2)
    )
    assert first.equals(second)
