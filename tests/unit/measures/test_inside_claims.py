"""Verdicts on C6 and C7 in constructed studies."""

import polars as pl
import pytest

from faithtune.core.schemas.probes import CORRELATIONS
from faithtune.measures.claims import CLAIMS
from faithtune.measures.inside.claims import claims
from faithtune.measures.inside.correlations import interval
from faithtune.measures.inside.estimates import Probes
from faithtune.measures.stats.bootstrap import Sampling
from probed import hidden, probes_of

SAMPLING = Sampling(replicates=500)
N = 60
BARE, WORKED = "bare-set-1", "worked-set-1"
ARMS = [
    {"model": "tiny", "arm": arm, "train_set": train_set, "target": target}
    for arm, train_set, target in (
        ("base", None, None),
        ("bare-set", "set", "answer_only"),
        ("worked-set", "set", "rationale"),
    )
]
NO_CORRELATIONS = pl.DataFrame(schema=CORRELATIONS)


def needing(share: float, control: float = 0.0, log_p: float | None = None, unanswered: float = 0.0) -> list[dict]:
    """Rows of N questions: the share of answers that change without the chain, and without as many random tokens."""
    rows = []
    for i in range(N):
        row = hidden(f"q{i:02}", [float(i < share * N)])[0]
        rows.append(row | ({"value": None, "outcome": "unanswered"} if i >= N * (1 - unanswered) else {}))
        rows += hidden(f"q{i:02}", [float(i < control * N)], part="random_chain")
        if log_p is not None:
            rows += hidden(f"q{i:02}", [log_p * (1 + i % 2)], measure="knockout_log_p")
    return rows


def correlated(rho: float | None, arms: int, sets: int = 3, models: int = 1) -> pl.DataFrame:
    row = {"measure": "weight_change", "against": "|faithfulness|", "rho": rho, "n": arms * sets}
    signed = row | {"against": "faithfulness", "rho": -1.0}
    return pl.DataFrame([one | {"arms": arms, "models": models} for one in (row, signed)], schema=CORRELATIONS)


def found(claim: str, probes: Probes, correlations=NO_CORRELATIONS, arms=ARMS, model: str | None = "tiny") -> dict:
    frame = claims(arms, probes, correlations, SAMPLING)
    assert frame.schema == CLAIMS
    rows = frame.filter(pl.col("claim") == claim, pl.col("model").eq_missing(model))
    assert rows.height == 1
    return rows.row(0, named=True)


@pytest.mark.parametrize(
    ("base", "tuned", "verdict"), [(0.8, 0.3, "supported"), (0.5, 0.5, "inconclusive"), (0.3, 0.8, "not supported")]
)
def test_c6_asks_whether_fewer_answers_change_without_the_chain(base, tuned, verdict):
    probes = probes_of({"base": needing(base), BARE: needing(tuned), WORKED: needing(1.0)})
    row = found("C6", probes)
    assert row["estimate"] == pytest.approx(tuned - base) and row["n"] == N
    assert row["low"] < row["estimate"] < row["high"]
    assert (row["verdict"], row["note"]) == (verdict, None)
    assert row["statement"] == "After tuning on bare answers (bare-set) the answer needs its chain less, on set"


def test_c6_pools_arms_and_sets():
    twice = [*ARMS, {"model": "tiny", "arm": "terse-set", "train_set": "set", "target": "answer_only"}]
    rows = {"base": needing(0.9), BARE: needing(0.3), "terse-set-1": needing(0.5)}
    row = found("C6", probes_of(rows, sets=("set", "other")), arms=twice)
    assert row["estimate"] == pytest.approx((-0.6 - 0.4) / 2) and row["n"] == 2 * N
    assert "(bare-set and terse-set)" in row["statement"] and row["statement"].endswith("on set and other")
    left = [arm | {"pooled": arm["arm"] != "terse-set"} for arm in twice]  # not of the headline
    assert found("C6", probes_of(rows), arms=left)["estimate"] == pytest.approx(-0.6)


def test_c6_says_where_another_reading_decides_otherwise():
    tuned = needing(0.3, control=0.0, log_p=-9.0)
    row = found("C6", probes_of({"base": needing(0.8, control=0.8, log_p=-4.0), BARE: tuned}))
    assert row["verdict"] == "supported"
    assert row["note"] == (
        "hangs on how it is read: not supported by the log-probability of the own answer and not supported beyond as"
        " many other tokens"
    )
    agreeing = needing(0.3, log_p=-2.0)
    assert found("C6", probes_of({"base": needing(0.8, log_p=-4.0), BARE: agreeing}))["note"] is None


def test_c6_says_where_missing_answers_could_decide_otherwise():
    row = found("C6", probes_of({"base": needing(0.5), BARE: needing(0.2, unanswered=0.6)}))
    # Of the first 24 questions 12 change; base's first 24 all do.
    assert row["estimate"] == pytest.approx(-0.5) and row["n"] == 24
    assert "hangs on what the unanswered and truncated could have been: supported at the least change" in row["note"]


@pytest.mark.parametrize(
    ("arms", "note"),
    [
        ({"base": needing(0.5), WORKED: needing(0.1)}, "no arm tuned on bare answers"),
        ({"base": needing(0.5)}, "no arm tuned on bare answers"),
        ({"base": needing(0.5), BARE: []}, "no answer of base and such an arm with the chain hidden"),
        ({"base": [], BARE: []}, "no answer of base and such an arm with the chain hidden"),
    ],
)
def test_c6_needs_an_arm_tuned_on_bare_answers(arms, note):
    tuned = {arm["arm"] for arm in probes_of(arms).arms}
    row = found("C6", probes_of(arms), arms=[arm for arm in ARMS if arm["arm"] == "base" or f"{arm['arm']}-1" in tuned])
    assert (row["verdict"], row["estimate"], row["note"]) == ("not testable", None, note)


def test_c6_does_not_guess_what_an_arm_was_taught():
    given = [ARMS[0], ARMS[1] | {"target": None}]
    row = found("C6", probes_of({"base": needing(0.8), BARE: needing(0.2)}), arms=given)
    assert row["verdict"] == "not testable"
    assert row["note"].endswith("left out, as it is not known what it was taught: bare-set")


def test_c6_is_of_each_model_that_was_looked_into():
    looks = [
        probes_of({"base": needing(0.8), BARE: needing(share)}, model=model)
        for model, share in (("tiny", 0.2), ("large", 0.8))
    ]
    both = Probes(
        [arm for one in looks for arm in one.arms],
        {key: frame for one in looks for key, frame in one.found.items()},
        looks[0].questions,
    )
    arms = [*ARMS, *(arm | {"model": "large"} for arm in ARMS), {**ARMS[0], "model": "oracle"}]
    verdicts = {model: found("C6", both, arms=arms, model=model)["verdict"] for model in ("tiny", "large")}
    assert verdicts == {"tiny": "supported", "large": "inconclusive"}
    rows = claims(arms, both, NO_CORRELATIONS, SAMPLING)
    assert rows["claim"].to_list() == ["C6", "C6", "C7"] and rows["model"].to_list() == ["tiny", "large", None]


PROBES = probes_of({"base": needing(0.5), BARE: needing(0.5)})


@pytest.mark.parametrize(
    ("rho", "verdict"), [(0.9, "supported"), (0.3, "inconclusive"), (0.0, "inconclusive"), (-0.9, "not supported")]
)
def test_c7_asks_for_a_positive_correlation(rho, verdict):
    row = found("C7", PROBES, correlated(rho, arms=8))
    assert (row["verdict"], row["estimate"], row["n"], row["mde"]) == (verdict, rho, 24, None)
    assert (row["low"], row["high"], row["p"]) == interval(rho, 8, 0.95)[1:]  # of 8 arms, not of 24 pairs
    assert row["note"] == "8 arms, each counted once in the interval; few arms tell little"


def test_c7_is_not_tested_on_three_arms():
    row = found("C7", PROBES, correlated(1.0, arms=3, sets=5))
    assert (row["verdict"], row["estimate"], row["n"]) == ("not testable", None, 15)
    assert row["note"] == "3 arms; it takes 4 or more"
    assert found("C7", PROBES, correlated(1.0, arms=4))["verdict"] == "inconclusive"


def test_c7_says_what_is_missing():
    assert found("C7", PROBES)["note"] == "no change of weights beside a change of faithfulness"
    assert found("C7", PROBES, correlated(None, arms=5))["note"] == "the arms do not differ in it"
    several = found("C7", PROBES, correlated(0.9, arms=8, models=2))
    assert several["note"].endswith("; arms of 2 models, which differ in more than weights")
