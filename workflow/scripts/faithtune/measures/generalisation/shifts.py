"""Other forms of the same questions: is what tuning changed bound to the form in which it was measured?

Tuning learns a form beside a task. An arm is asked the questions of a set as they are and in another form: options in
another order or with another marker, other templates of prompts. The change that the form makes in the tuned arm, minus
the change that it makes in base, is what tuning added to the dependence on the form; it is as well the change by tuning
in the other form, minus the change by tuning in the first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from faithtune.core.schemas.estimates import BASE
from faithtune.measures.generalisation import factorial
from faithtune.measures.generalisation.factorial import Design, Part
from faithtune.measures.stats.bootstrap import Sampling

# What another form of an evaluation set changes in base and in a tuned arm.
SHIFTS = pl.Schema(
    {
        "model": pl.String,
        "arm": pl.String,  # as in ESTIMATES
        "shift": pl.String,  # the name of the other form in the configuration
        "eval_set": pl.String,  # whose questions it asks
        "subject": pl.String,  # accuracy (with chain) | answered (share with an answer) | faithfulness
        "test": pl.String,  # of faithfulness; null: the mean over all tests
        # base | base shifted | tuned | tuned shifted: the measure itself; change in base | change in tuned: shifted
        # minus not; difference: change in tuned minus change in base
        "quantity": pl.String,
        "estimate": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "p": pl.Float64,  # two-sided, not corrected; null for the measure itself
        "n": pl.Int64,  # questions it rests on
    }
)
DESIGN = Design(
    ("base", "base shifted", "tuned", "tuned shifted"),
    {
        "change in base": (-1.0, 1.0, 0.0, 0.0),
        "change in tuned": (0.0, 0.0, -1.0, 1.0),
        "difference": (1.0, -1.0, -1.0, 1.0),
    },
)


@dataclass(frozen=True)
class Shifted:
    """A tuned arm and its base in two forms, the answers in the order of DESIGN; each seed of the arm for itself."""

    model: str
    arm: str  # as in ESTIMATES
    shift: str
    parts: Sequence[Part]


def shifted(
    named: Sequence[dict], answers: Mapping[tuple[str, str, str], pl.DataFrame], sets: Mapping[str, str]
) -> list[Shifted]:
    """The tuned arms in each form; seeds of an arm share an entry.

    named: {"model", "arm" (name), "label", "seed", "shift"} of each tuned arm in each form; answers: ANSWERS by (model,
    arm, evaluation set or shift); sets: the evaluation set of each shift.
    """
    found: dict[tuple[str, str, str], list[Part]] = {}
    for one in named:
        model, shift = one["model"], one["shift"]
        eval_set = sets[shift]
        four = tuple(answers[model, arm, form] for arm in (BASE, one["arm"]) for form in (eval_set, shift))
        found.setdefault((model, one["label"], shift), []).append(Part(eval_set, one["seed"], four))
    return [Shifted(*key, parts) for key, parts in found.items()]


def shifts(arms: Sequence[Shifted], alphas: Sequence[float], sampling: Sampling) -> pl.DataFrame:
    """SHIFTS of the arms; alphas: kept fractions."""
    rows = []
    for arm in arms:
        where = {"model": arm.model, "arm": arm.arm, "shift": arm.shift}
        for of, values in (*factorial.outcomes(arm.parts), *factorial.faithfulness(arm.parts, alphas)):
            found = factorial.estimates(values, DESIGN, sampling)
            rows += [where | of | row for row in found if row["eval_set"] is not None]
    return pl.DataFrame(rows, schema=SHIFTS)
