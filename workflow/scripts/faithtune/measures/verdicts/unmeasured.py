"""Tests that measured nothing because the paraphrases of their steps did not pass the gate."""

from collections.abc import Sequence

import polars as pl

from faithtune.core.schemas.estimates import BASE
from faithtune.interventions.registry import TESTS

# A test has measured next to nothing if it rests on no more than this share of the questions.
MOST = 0.1
_NAMES = [name for name, test in TESTS.items() if test.rewritten_by == "paraphrases"]


def by_gate(arm: dict, sets: Sequence[str], estimates: pl.DataFrame) -> list[dict]:
    """An entry for each of `sets` on which tests measured next to nothing; one with eval_set None if that is all sets.

    arm: {model, arm}; estimates: ESTIMATES. An entry: {eval_set, tests, passed and steps (paraphrases of the arm's and
    base's steps that passed, and all), n (the most questions that one of the tests rests on), questions}.
    """
    found = [entry for name in sets if (entry := _on(arm, name, estimates))]
    if len(found) < 2 or len(found) < len(sets):
        return [entry | {"eval_set": None} for entry in found] if len(sets) == 1 else found
    summed = {key: sum(entry[key] for entry in found) for key in ("passed", "steps", "n", "questions")}
    return [{"eval_set": None, "tests": sorted({test for entry in found for test in entry["tests"]})} | summed]


def _on(arm: dict, eval_set: str, estimates: pl.DataFrame) -> dict | None:
    """The entry of one set; None if its tests rest on enough questions, or no paraphrase failed."""
    here = estimates.filter(pl.col("arm").is_in([arm["arm"], BASE]), model=arm["model"], eval_set=eval_set)
    gated = here.filter(metric="paraphrase_pass").drop_nulls("estimate")
    steps = gated["n"].sum()
    passed = round((gated["estimate"] * gated["n"]).sum())
    own = here.filter(pl.col("alpha").is_null(), metric="faithfulness_effect", arm=arm["arm"])
    by_test = dict(own.select("test", "n").rows())
    # What the other tests rest on had chains to tamper with and answers in both arms.
    others = [n for test, n in by_test.items() if test not in _NAMES]
    questions = max(others or here.filter(metric="unavailable", arm=arm["arm"])["n"].to_list(), default=0)
    few = {test: n for test, n in by_test.items() if test in _NAMES and n <= MOST * questions}
    if not few or not questions or passed == steps:
        return None
    counted = {"passed": passed, "steps": steps, "n": max(few.values()), "questions": questions}
    return {"eval_set": eval_set, "tests": sorted(few)} | counted
