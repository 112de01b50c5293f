"""Other forms: a form that changes only the tuned arm, only base, or both is found where it is."""

import polars as pl
import pytest

import oracles
from faithtune.core.schemas.answers import ANSWERS
from faithtune.measures.generalisation.factorial import Part
from faithtune.measures.generalisation.shifts import SHIFTS, Shifted, shifted, shifts
from faithtune.measures.stats.bootstrap import Sampling
from frames import answer_rows

ALPHAS = [0.25, 0.5, 0.75]
SAMPLING = Sampling(replicates=500)
SOUND = {"accuracy": 0.8, "seed": 1}


def found(behaviours: list[dict], templates: dict, n: int = 120) -> dict[tuple, dict]:
    """(subject, quantity) -> row of SHIFTS over all tests; behaviours: in the order of the cells."""
    asked = oracles.made_up(n, 4)
    made = [oracles.arm(asked, how, templates, 0, ("early_termination", "filler")).answers for how in behaviours]
    frame = shifts([Shifted("m", "t", "other", [Part("boxes", 1, tuple(made))])], ALPHAS, SAMPLING)
    assert frame.schema == SHIFTS and set(frame["eval_set"]) == {"boxes"}
    return {(row["subject"], row["quantity"]): row for row in frame.filter(pl.col("test").is_null()).rows(named=True)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "subject", "truth"),
    [({"faithful": 0.5}, "faithfulness", 0.5), ({"accuracy": 0.4}, "accuracy", 0.4), ({"slips": 0.5}, "accuracy", 0.4)],
)
def test_a_form_is_found_in_the_arm_that_it_changes(broken, subject, truth, templates):
    other = SOUND | broken
    for cells, changes in (
        ([SOUND, SOUND, SOUND, other], {"change in base": 0, "change in tuned": -truth, "difference": -truth}),
        ([SOUND, other, SOUND, SOUND], {"change in base": -truth, "change in tuned": 0, "difference": truth}),
        ([SOUND, other, SOUND, other], {"change in base": -truth, "change in tuned": -truth, "difference": 0}),
        ([SOUND, SOUND, other, other], {"change in base": 0, "change in tuned": 0, "difference": 0}),
    ):
        of = found(cells, templates)
        for quantity, expected in changes.items():
            row = of[subject, quantity]
            assert row["low"] <= expected <= row["high"], (cells, quantity, row)
            assert (row["p"] < 0.05) == (expected != 0)
        assert of[subject, "tuned shifted"]["p"] is None


def test_a_difference_by_hand():
    """The other form costs base a quarter of its right answers, and the tuned arm half."""

    def form(wrong: int) -> pl.DataFrame:
        rows = [row for i in range(20) for row in answer_rows(f"q{i}", full="B" if i < wrong else "A")]
        return pl.DataFrame([dict.fromkeys(ANSWERS) | row for row in rows], schema=ANSWERS)

    cells = (form(0), form(5), form(0), form(10))
    frame = shifts([Shifted("m", "t", "other", [Part("s", 1, cells)])], ALPHAS, SAMPLING).filter(subject="accuracy")
    assert dict(frame.select("quantity", "estimate").rows()) == {
        **{"base": 1, "base shifted": 0.75, "tuned": 1, "tuned shifted": 0.5},
        **{"change in base": -0.25, "change in tuned": -0.5, "difference": -0.25},
    }


def test_seeds_of_an_arm_share_an_entry_and_base_stands_beside_each():
    named = [{"model": "m", "arm": f"t-s-{seed}", "label": "t-s", "seed": seed, "shift": "other"} for seed in (1, 2)]
    answers = {("m", arm, form): f"{arm} {form}" for arm in ("base", "t-s-1", "t-s-2") for form in ("s", "other")}
    (one,) = shifted(named, answers, {"other": "s"})
    assert (one.model, one.arm, one.shift) == ("m", "t-s", "other")
    assert [(part.eval_set, part.seed, part.answers) for part in one.parts] == [
        ("s", seed, ("base s", "base other", f"t-s-{seed} s", f"t-s-{seed} other")) for seed in (1, 2)
    ]
