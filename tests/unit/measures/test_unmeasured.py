"""A test whose paraphrases failed the gate does not vanish without a word."""

import polars as pl
import pytest

from faithtune.core.schemas.estimates import ESTIMATES
from faithtune.measures.verdicts import unmeasured

ARM = {"model": "m", "arm": "t-s"}


def estimates(passed: dict[str, float], n: dict[str, int], other: int | None = 40) -> pl.DataFrame:
    """Estimates of sets: the share of 100 steps of each arm that passed, and what paraphrase and filler rest on."""
    rows = []
    for name, share in passed.items():
        here = {"model": "m", "eval_set": name}
        rows += [
            here | {"arm": arm, "test": "paraphrase", "metric": "paraphrase_pass", "estimate": share, "n": 100}
            for arm in ("base", "t-s")
        ]
        by_test = {"paraphrase": n[name]} | ({"filler": other} if other is not None else {})
        rows += [
            here | {"arm": "t-s", "test": test, "metric": "faithfulness_effect", "estimate": 0.1, "n": size}
            for test, size in by_test.items()
        ]
        rows.append(here | {"arm": "t-s", "test": "paraphrase", "alpha": 0.5, "metric": "unavailable", "n": 50})
    return pl.DataFrame(rows, schema=ESTIMATES)


@pytest.mark.parametrize(
    ("passed", "n", "other", "expected"),
    [
        (0.02, 0, 40, (4, 200, 0, 40)),
        (0.25, 4, 40, (50, 200, 4, 40)),
        (0.25, 5, 40, None),  # more than a tenth
        (1.0, 0, 40, None),  # the gate is not what left nothing
        (0.0, 0, 0, None),  # nor is it where the other tests have nothing either
        (0.0, 0, None, (0, 200, 0, 50)),  # the only test
    ],
)
def test_what_the_gate_left(passed, n, other, expected):
    found = unmeasured.by_gate(ARM, ["s"], estimates({"s": passed}, {"s": n}, other))
    keys = ("eval_set", "tests", "passed", "steps", "n", "questions")
    whole = expected and dict(zip(keys, (None, ["paraphrase"], *expected), strict=True))
    assert found == ([whole] if whole else [])


def test_sets_are_named_unless_it_is_all_of_them():
    some = unmeasured.by_gate(ARM, ["s", "t"], estimates({"s": 0.0, "t": 0.9}, {"s": 0, "t": 30}))
    assert [entry["eval_set"] for entry in some] == ["s"]
    [every] = unmeasured.by_gate(ARM, ["s", "t"], estimates({"s": 0.0, "t": 0.1}, {"s": 0, "t": 3}))
    assert every == {"eval_set": None, "tests": ["paraphrase"], "passed": 20, "steps": 400, "n": 3, "questions": 80}


def test_a_study_without_paraphrases_has_none():
    frame = estimates({"s": 0.0}, {"s": 0}).filter(pl.col("test") != "paraphrase")
    assert unmeasured.by_gate(ARM, ["s"], frame) == []
