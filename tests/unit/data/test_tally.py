"""The generated small sums: right, plentiful, reproducible, and their splits disjoint."""

import re
from collections import Counter

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faithtune.core.errors import UserError
from faithtune.data import questions, splits
from faithtune.data.readers import tally

_SIGNS = {"finds": 1, "buys": 1, "gets": 1, "loses": -1, "gives": -1, "sells": -1}


def shape(question: str) -> tuple[int, ...]:
    """The start and the changes, read from the words."""
    start = int(re.search(r" has (\d+) ", question)[1])
    changes = re.findall(rf" ({'|'.join(_SIGNS)})(?: away)? (\d+)", question)
    return (start, *(_SIGNS[verb] * int(number) for verb, number in changes))


@given(st.integers(0, 2**32), st.integers(1, 60))
def test_tally_is_right(seed, n):
    for question in tally.generate(n, seed):
        count, *changes = shape(question["question"])
        lines = question["rationale"].split("\n")
        assert len(lines) == len(changes) and 3 <= len(lines) <= 4
        for line, change in zip(lines, changes, strict=True):
            left, sign, right, result = re.fullmatch(r"(\d+) ([-+]) (\d+) = (\d+)\.", line).groups()
            assert (int(left), int(f"{sign}{right}")) == (count, change)
            count += change
            assert int(result) == count >= 0
        assert question["answer"] == str(count)


def test_tally_has_no_twins():
    generated = tally.generate(tally.MOST, 7)
    assert questions.frame(generated, "tally", "eval").height == tally.MOST
    assert max(Counter(shape(row["question"]) for row in generated).values()) == 1


def test_tally_is_reproducible_and_nested():
    assert tally.generate(50, 1) == tally.generate(200, 1)[:50]
    assert tally.generate(50, 1) != tally.generate(50, 2)


def test_tally_trains_on_no_question_that_it_asks():
    frame = questions.frame(tally.generate(400, 3), "tally", "eval")
    train, evaluation = splits.partition(frame, 0.5)
    shapes = [set(map(shape, part["question"])) for part in (train, evaluation)]
    assert not shapes[0] & shapes[1] and len(shapes[0] | shapes[1]) == frame.select(pl.len()).item()


@pytest.mark.parametrize("n", [0, -1, tally.MOST + 1])
def test_tally_has_its_limits(n):
    with pytest.raises(UserError, match="between 1 and"):
        tally.generate(n, 0)
