"""Frames of what was found inside arms, made up."""

import polars as pl

from faithtune.core.schemas.probes import PROBES
from faithtune.core.schemas.questions import QUESTIONS
from faithtune.measures.inside.estimates import Probes
from frames import arm_of

MODEL, SET = "tiny", "set"
ARM = "t-set-1"  # the tuned arm; its label is t-set


def row_of(id: str | None, measure: str, value: float | None, **columns) -> dict:
    """A row of PROBES; columns that are not given are null."""
    return dict.fromkeys(PROBES) | {"id": id, "measure": measure, "value": value} | columns


def hidden(id: str, values: list[float], measure: str = "knockout_changed", part: str = "chain") -> list[dict]:
    """Rows of a question with a part hidden after 1, 2, … steps."""
    outcome = "answered" if measure.endswith("_changed") else None
    return [row_of(id, measure, value, part=part, k=k, outcome=outcome) for k, value in enumerate(values, start=1)]


def found_in(rows: list[dict]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=PROBES)


def questions_of(ids: list[str], groups: dict[str, str] | None = None) -> pl.DataFrame:
    """QUESTIONS with these ids, by default each a group of its own."""
    rows = [dict.fromkeys(QUESTIONS) | {"id": id, "group": (groups or {}).get(id, id)} for id in ids]
    return pl.DataFrame(rows, schema=QUESTIONS)


def probes_of(arms: dict[str, list[dict]], groups: dict[str, str] | None = None, sets=(SET,), model=MODEL) -> Probes:
    """The arms of one model, each with the same rows on each evaluation set; base or LABEL-SEED."""
    facts = [_facts(model, arm, list(sets)) for arm in arms]
    found = {(model, arm, name): found_in(rows) for arm, rows in arms.items() for name in sets}
    ids = sorted({row["id"] for rows in arms.values() for row in rows if row["id"]})
    return Probes(facts, found, {name: questions_of(ids, groups) for name in sets})


def _facts(model: str, arm: str, sets: list[str]) -> dict:
    if arm == "base":
        return arm_of(model, arm, None, sets)
    _, train_set, seed = arm.split("-")
    return arm_of(model, arm, train_set, sets, int(seed))
