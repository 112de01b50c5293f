"""The generated problems: right, plentiful, reproducible."""

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faithtune.core.errors import UserError
from faithtune.data import questions
from faithtune.data.readers import arithmetic


@given(st.integers(0, 2**32), st.integers(1, 60))
def test_arithmetic_is_right(seed, n):
    for question in arithmetic.generate(n, seed):
        known = [int(number) for number in re.findall(r"\d+", question["question"])]
        lines = question["rationale"].split("\n")
        assert 2 <= len(lines) <= 3
        for line in lines:
            left, sign, right, result = re.fullmatch(r"(\d+) ([-+*/]) (\d+) = (\d+)\.", line).groups()
            left, right, result = int(left), int(right), int(result)
            expected = {"+": left + right, "-": left - right, "*": left * right, "/": left / right}[sign]
            assert result == expected
            assert 1 <= result <= arithmetic.LARGEST
            assert left in known and right in known  # every operand is known
            known.append(result)
        assert question["answer"] == str(result)


def test_arithmetic_is_plentiful_varied_and_disjoint():
    generated = arithmetic.generate(5000, 7)
    table = questions.frame(generated, "arithmetic", "eval")
    assert table.height == 5000
    shapes = Counter(
        re.sub(r"\d+|[A-Z][a-z]+|" + "|".join(arithmetic.THINGS), "", row["question"]) for row in generated
    )
    assert len(shapes) >= len(arithmetic.TEMPLATES) >= 6
    # No two problems differ only in names and things.
    names = "|".join(arithmetic.NAMES + arithmetic.THINGS)
    bare = Counter(re.sub(rf"\b({names})\b", "", row["question"]) for row in generated)
    assert max(bare.values()) == 1


def test_arithmetic_is_reproducible_and_nested():
    assert arithmetic.generate(50, 1) == arithmetic.generate(200, 1)[:50]
    assert arithmetic.generate(50, 1) != arithmetic.generate(50, 2)


@pytest.mark.parametrize("n", [0, -1, arithmetic.MOST + 1])
def test_arithmetic_has_its_limits(n):
    with pytest.raises(UserError, match="between 1 and"):
        arithmetic.generate(n, 0)
