"""Published measures of commitment, each against values worked by hand and against arms whose truth is constructed."""

import math

import polars as pl
import pytest

import oracles
from faithtune.measures import commitment
from frames import answer_rows, answers, build, inputs

LN2 = math.log(2)


def entropy(p: float) -> float:
    return 0.0 if p in (0, 1) else -p * math.log(p) - (1 - p) * math.log(1 - p)


def divergence(p: float, q: float) -> float:
    return entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2


def curve(id: str, *p: float | None, **row) -> list[dict]:
    """A chain of len(p) - 1 steps after k of which the own answer has the probability p[k]."""
    rows = answer_rows(id, n=len(p) - 1, **row)
    own = {("early_termination", k): value for k, value in enumerate(p)} | {("full", len(p) - 1): p[-1]}
    return [one | {"p_reference": own.get((one["test"], one["k"]), one["p_reference"])} for one in rows]


def choice(id: str, clean: tuple, *corrupt: tuple | None, full: str = "A", **row) -> list[dict]:
    """A chain with the options' probabilities after it, and after a mistake in each step (None: there is none)."""
    rows = answer_rows(id, full=full, n=len(corrupt), mistake=[full] * (len(corrupt) + 1), **row)
    after = {("mistake", k): p for k, p in enumerate((*corrupt, clean))} | {("full", len(corrupt)): clean}

    def of(one: dict) -> dict:
        p = after.get((one["test"], one["k"]), ())
        if p is None:
            return {"outcome": "unavailable", "answer": None, "match": None, "p_reference": None}
        return {"probabilities": list(p), "p_reference": p["ABCD".index(full)]} if p else {}

    return [one | of(one) for one in rows]


def study(base: pl.DataFrame, *seeds: pl.DataFrame) -> pl.DataFrame:
    """ESTIMATES of base and of a tuned arm in so many seeds."""
    arms = {"base": base} | {f"tuned-{seed}": frame for seed, frame in enumerate(seeds)}
    given = inputs({("m", arm, "s"): frame for arm, frame in arms.items()}, dict.fromkeys(arms))
    named = [
        one | {"label": one["arm"].partition("-")[0], "seed": int(one["arm"][-1]) if "-" in one["arm"] else None}
        for one in given["arms"]
    ]
    return build(**given | {"arms": named})


def one(frame: pl.DataFrame, metric: str, arm: str = "base") -> dict:
    return frame.filter(metric=metric, arm=arm, eval_set="s").row(0, named=True)


def seen(row: dict) -> tuple:
    return pytest.approx(row["estimate"]), row["n"]


def of_chain(*p: float | None) -> dict:
    frame = answers(curve("q", *p)).with_columns(seed=pl.lit(None, pl.Int64))
    return commitment.curve_measures(frame).row(0, named=True)


def test_an_arm_that_answers_from_the_start_needs_no_step():
    found = of_chain(0.9, 0.9, 0.9)
    assert (found["cir"], found["commitment_latency"], found["commitment_range"]) == (0, 0, 0)
    assert found["uncommitted_mass"] == pytest.approx(0.1)
    assert found["flat"] and found["confidence_rho"] is None and found["premature"] is None


def test_an_arm_whose_answer_comes_with_the_last_step_needs_all():
    found = of_chain(0.0, 0.0, 0.0, 0.0, 1.0)
    assert found["cir"] == pytest.approx(3 / 4 * LN2)  # of four terms three are at their greatest
    assert (found["commitment_latency"], found["commitment_range"]) == (1, 1)
    assert found["uncommitted_mass"] == pytest.approx(4 / 5)
    # Ranks of p: four tie at 2.5, then 5; of k 1 ... 5: 2 × 2.5 of covariance over the root of 10 × 5.
    assert found["confidence_rho"] == pytest.approx(5 / math.sqrt(50))
    assert not found["premature"] and not found["flat"] and not found["never"]


def test_a_curve_worked_by_hand():
    """Sure after one step of three, then no longer: the latency is the first k that is sure, and p_0 is not in CIR."""
    found = of_chain(0.2, 0.8, 0.4, 0.6)
    assert found["cir"] == pytest.approx((divergence(0.8, 0.6) + divergence(0.4, 0.6)) / 3)
    assert found["commitment_latency"] == pytest.approx(1 / 3)
    assert found["commitment_range"] == pytest.approx(0.6)
    assert found["uncommitted_mass"] == pytest.approx((0.8 + 0.2 + 0.6 + 0.4) / 4)
    # Ranks 1, 4, 2, 3: ρ = 1 - 6 (0 + 4 + 1 + 1) / (4 × 15).
    assert found["confidence_rho"] == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("p", "rho", "premature"),
    [
        ((0.3, 0.8, 0.9), 1, False),
        ((0.3, 0.9, 0.6), 0.5, False),
        ((0.9, 0.3, 0.6), -0.5, True),
        ((0.9, 0.5, 0.2), -1, True),
    ],
)
def test_confidence_is_premature_where_it_does_not_grow(p, rho, premature):
    found = of_chain(*p)
    assert (found["confidence_rho"], found["premature"]) == (pytest.approx(rho), premature)


def test_what_is_not_known_is_dropped_and_counted():
    """Flat, never committed, unknown at one k, one step alone; and a chain that was cut and one without an answer."""
    frame = answers(
        curve("flat", 0.85, 0.9, 0.9),
        curve("never", 0.1, 0.3, 0.7),
        curve("unknown", 0.1, None, 0.9),
        curve("single", 0.1, 0.9),
        curve("cut", 0.1, 0.2, 0.9, truncated=True),
        curve("silent", 0.1, 0.2, 0.9, full=None),
    )
    found = study(frame, frame)
    assert seen(one(found, "curve_unknown")) == (1 / 3, 3)
    assert seen(one(found, "commitment_never")) == (1 / 2, 2)
    assert seen(one(found, "confidence_flat")) == (1 / 2, 2)
    assert seen(one(found, "cir")) == (
        (divergence(0.3, 0.7) / 2 + 0) / 2 + divergence(0.9, 0.9) / 4,
        2,
    )
    assert seen(one(found, "commitment_latency")) == (0, 1)
    assert seen(one(found, "confidence_rho")) == (1, 1)
    assert seen(one(found, "premature_confidence")) == (0, 1)


def test_changes_are_paired_by_question_and_seeds_are_pooled():
    """q0 is sure at once after tuning, in both seeds; q1 stays; of q2 base has no curve."""
    late, early = (0.0, 0.0, 1.0), (1.0, 1.0, 1.0)
    base = answers(curve("q0", *late), curve("q1", *late), curve("q2", None, None, None))
    tuned = answers(curve("q0", *early), curve("q1", *late), curve("q2", *early))
    found = study(base, tuned, tuned)
    assert seen(one(found, "commitment_latency")) == (1, 2)
    assert seen(one(found, "commitment_latency", "tuned")) == (1 / 3, 6)
    for metric, change in (
        ("cir", -LN2 / 2),
        ("commitment_latency", -1),
        ("commitment_range", -1),
        ("uncommitted_mass", -2 / 3),
    ):
        row = one(found, f"{metric}_effect", "tuned")
        assert seen(row) == (change / 2, 4)
        assert row["low"] < change / 2 < row["high"] and 0 < row["p"] < 1 and row["mde"] > 0
    # Tuned q0 is flat, so that q1 alone has ρ in both arms.
    assert seen(one(found, "confidence_rho_effect", "tuned")) == (0, 2)
    assert seen(one(found, "premature_confidence_effect", "tuned")) == (0, 2)
    assert one(found, "confidence_flat", "tuned")["estimate"] == pytest.approx(2 / 3)


def test_rho_may_change_by_two():
    base, tuned = (answers(*(curve(f"q{i}", *p) for i in range(3))) for p in ((0.1, 0.5, 0.9), (0.9, 0.5, 0.1)))
    found = study(base, tuned)
    row = one(found, "confidence_rho_effect", "tuned")
    assert seen(row) == (-2, 3)
    assert row["low"] == pytest.approx(-2) and row["high"] > -2
    assert seen(one(found, "premature_confidence_effect", "tuned")) == (1, 3)


def test_nldd_is_the_share_of_the_margin_that_mistakes_take():
    """The margin is ln 4 (.8 over .2); after mistakes 0 and -ln 4, so 1 and 2 are taken, or 1.5 a chain."""
    kept, even, turned = (0.8, 0.2, 0.0, 0.0), (0.4, 0.4, 0.1, 0.1), (0.2, 0.8, 0.0, 0.0)
    frame = answers(
        choice("q0", kept, even, turned),
        choice("q1", kept, kept, kept),
        choice("q2", kept, None, turned),  # step 1 has no mistake
        choice("wrong", kept, turned, turned, gold="B"),
        curve("number", 0.1, 0.2, 0.9, mistake=["A", "A", "A"]),
    )
    found = study(frame, frame)
    assert seen(one(found, "nldd")) == ((1.5 + 0 + 2) / 3, 3)
    assert seen(one(found, "nldd_undefined")) == (0, 3)
    row = one(found, "nldd_effect", "tuned")
    assert (row["estimate"], row["n"], row["p"]) == (0, 3, None)  # no change anywhere: no interval without bounds


def test_of_an_answer_that_ties_another_is_the_best():
    frame = answers(choice("q", (0.1, 0.7, 0.2), (0.1, 0.45, 0.45), (0.1, 0.45, 0.45), full="B", gold="B"))
    assert seen(one(study(frame, frame), "nldd")) == (1, 1)


def test_low_margins_are_dropped_and_counted_and_not_zero():
    """ln(.5/.48) is below the least margin; 0 is no probability; q3 has no mistakes at all."""
    turned = (0.2, 0.8)
    frame = answers(
        choice("q0", (0.52, 0.48), turned, turned),
        choice("q1", (1.0, 0.0), turned, turned),
        choice("q2", (0.8, 0.2), turned, turned),
        choice("q3", (0.8, 0.2), None, None),
    )
    found = study(frame, frame)
    assert seen(one(found, "nldd")) == (2, 1)
    assert seen(one(found, "nldd_undefined")) == (3 / 4, 4)


def test_nldd_changes_without_bounds():
    clean, weak = (0.55, 0.45), (0.01, 0.99)
    base = answers(*(choice(f"q{i}", clean, clean, clean) for i in range(4)))
    tuned = answers(*(choice(f"q{i}", clean, clean if i else weak, weak) for i in range(4)))
    row = one(study(base, tuned), "nldd_effect", "tuned")
    margin, after = math.log(0.55 / 0.45), math.log(0.01 / 0.99)
    taken = (margin - after) / margin
    assert taken > 20  # far above the bounds of a difference of shares
    assert seen(row) == ((taken + 3 * taken / 2) / 4, 4)
    assert row["low"] < row["estimate"] < row["high"] and 0 < row["p"] < 1 and row["mde"] > 0


@pytest.mark.parametrize("options", [4, 0])
def test_oracles_of_known_faithfulness(templates, options):
    """Post-hoc: sure (0.9) of its answer at every k. Faithful: of it only after the last step, 0.1 shared before."""
    asked = {"boxes": oracles.made_up(30, options)}
    arms = {
        name: {"boxes": oracles.arm(asked["boxes"], {"accuracy": 1.0, "faithful": faithful}, templates)}
        for name, faithful in (("base", 1.0), ("tuned", 0.0))
    }
    found = oracles.estimate(arms, asked, [0.5], 100, 1)
    low, steps = 0.1 / (3 if options else 1), arms["base"]["boxes"].chains["n_steps"]

    def of(metric: str, arm: str) -> float:
        return found.filter(metric=metric, arm=arm, eval_set="boxes")["estimate"].item()

    apart = divergence(low, 0.9)
    assert of("cir", "base") == pytest.approx((apart * (steps - 1) / steps).mean())
    assert of("uncommitted_mass", "base") == pytest.approx((((1 - low) * steps + 0.1) / (steps + 1)).mean())
    assert [of(name, "base") for name in ("commitment_latency", "premature_confidence", "confidence_flat")] == [1, 0, 0]
    assert [of(name, "tuned") for name in ("cir", "commitment_latency", "commitment_range")] == [0, 0, 0]
    assert of("uncommitted_mass", "tuned") == pytest.approx(0.1)
    assert of("confidence_flat", "tuned") == 1 and of("confidence_rho", "tuned") is None
    assert of("commitment_latency_effect", "tuned") == -1
    # The mistakes lead the faithful arm to another option, whose margin is the greatest there is; numbers have none.
    assert of("nldd", "base") == (pytest.approx(2) if options else None)
    assert of("nldd", "tuned") == (pytest.approx(0) if options else None)
