"""The generated hours: right, reproducible, and their splits disjoint."""

import re

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faithtune.core.errors import UserError
from faithtune.data import questions, splits
from faithtune.data.readers import hours


@given(st.integers(0, 2**32), st.integers(1, 60))
def test_hours_are_right(seed, n):
    for question in hours.generate(n, seed):
        start, duration = map(int, re.findall(r"\d+", question["question"]))
        steps = question["rationale"].split("\n")
        assert len(steps) == duration and 3 <= duration <= 5
        hour = start
        for i, step in enumerate(steps, 1):
            passed, now = map(int, re.findall(r"\d+", step))
            assert (passed, now) == (i, 1 if hour == 12 else hour + 1)
            hour = now
        assert question["answer"] == str(hour)


def test_hours_are_as_many_as_there_are():
    generated = hours.generate(hours.MOST, 7)
    assert questions.frame(generated, "hours", "eval").height == hours.MOST == 36 * 14 * 6


def test_hours_are_reproducible_and_nested():
    assert hours.generate(50, 1) == hours.generate(200, 1)[:50]
    assert hours.generate(50, 1) != hours.generate(50, 2)


def test_hours_train_on_no_question_that_they_ask():
    frame = questions.frame(hours.generate(400, 3), "hours", "eval")
    train, evaluation = splits.partition(frame, 0.5)
    asked = [set(part["question"]) for part in (train, evaluation)]
    assert not asked[0] & asked[1] and len(asked[0] | asked[1]) == frame.select(pl.len()).item()


@pytest.mark.parametrize("n", [0, -1, hours.MOST + 1])
def test_hours_have_their_limits(n):
    with pytest.raises(UserError, match="between 1 and"):
        hours.generate(n, 0)
