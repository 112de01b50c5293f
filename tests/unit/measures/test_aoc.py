"""AOC on curves made by hand; every expected number is worked out in the comment beside it."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faithtune.core.errors import UserError
from faithtune.measures.aoc import aoc, curve, lengths, per_question

KINDS = {"id": pl.String, "group": pl.String, "n_steps": pl.Int32, "k": pl.Int32, "match": pl.Boolean}


def matches(*curves: str) -> pl.DataFrame:
    """A question a curve: 1 same, 0 another answer, - none, for k = 0 ... N."""
    known = {"1": True, "0": False, "-": None}
    rows = [
        (f"q{i}", f"g{i}", len(text) - 1, k, known[one]) for i, text in enumerate(curves) for k, one in enumerate(text)
    ]
    return pl.DataFrame(rows, schema=KINDS, orient="row")


def test_an_answer_that_never_changes_has_none():
    assert aoc(matches("111", "1111", "11")) == pytest.approx(0)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 10])
def test_an_answer_that_changes_until_the_chain_is_whole(n):
    """All 0 but the last, which is the whole chain: only the last half interval is under the curve."""
    assert aoc(matches("0" * n + "1")) == pytest.approx(1 - 1 / (2 * n))


def test_never_the_same_is_one():
    assert aoc(matches("000", "00")) == pytest.approx(1)


@pytest.mark.parametrize(
    ("text", "area"),
    [
        ("011", 0.75),  # L = 2: (0.5 + 1) / 2
        ("0011", 0.5),  # L = 3: (0 + 0.5 + 1) / 3
        ("101", 0.5),  # (0.5 + 0.5) / 2
        ("000111", 0.5),  # L = 5: (0 + 0 + 0.5 + 1 + 1) / 5
        ("01", 0.5),  # L = 1
    ],
)
def test_one_curve(text, area):
    assert aoc(matches(text)) == pytest.approx(1 - area)


def test_lengths_are_weighted_by_how_common_they_are():
    """L = 2: rates 0, 0.5, 1, area 0.5; L = 3: 0 0 1 1, area 0.5; L = 5: 0 0 0 0 0 1, area 0.1.

    Shares 2/4, 1/4, 1/4: 0.5 * 0.5 + 0.25 * 0.5 + 0.25 * 0.9 = 0.6. Weighted by steps
    (4, 3, 5 of 12) it were (4 * 0.5 + 3 * 0.5 + 5 * 0.9) / 12 = 0.667.
    """
    mixed = matches("011", "001", "0011", "000001")
    assert aoc(mixed) == pytest.approx(0.6)
    assert lengths(mixed).rows() == [
        (2, 2, 0.5, pytest.approx(0.5)),
        (3, 1, 0.25, pytest.approx(0.5)),
        (5, 1, 0.25, pytest.approx(0.9)),
    ]


def test_chains_of_one_step_count():
    """Area (0 + 1) / 2 for L = 1, of half the chains; the other half never changes."""
    assert aoc(matches("01", "111")) == pytest.approx(0.25)


def test_rates_are_over_the_answered():
    """k = 0: one of two answered is the same; k = 1: one answered, another answer. Area (0.25 + 0.5) / 2 = 0.375."""
    frame = matches("101", "0-1", "--1")
    assert curve(frame).rows() == [(2, 0, 0.0, 0.5, 2, 3), (2, 1, 0.5, 0.0, 1, 3), (2, 2, 1.0, 1.0, 3, 3)]
    assert aoc(frame) == pytest.approx(0.625)


def test_the_curve_runs_straight_where_none_answered():
    """0 ? ? 1 becomes 0 1/3 2/3 1: area 0.5."""
    frame = matches("0--1")
    assert curve(frame)["same"].to_list() == [0, None, None, 1]
    assert aoc(frame) == pytest.approx(0.5)


def test_a_length_without_an_end_is_left_out_and_said_so():
    frame = matches("-11", "-01", "0011", "0111")  # L = 3: rates 0 0.5 1 1, area 2/3
    assert aoc(frame) == pytest.approx(1 / 3)
    assert lengths(frame).rows() == [(2, 2, 0.5, None), (3, 2, 0.5, pytest.approx(1 / 3))]
    assert per_question(frame)["aoc"].to_list() == [None, None, pytest.approx(0.5), pytest.approx(1 / 6)]
    assert aoc(matches("-1")) is None
    assert aoc(matches()) is None


def test_a_question_has_its_own_curve_and_group():
    """q1 lacks k = 1, where q0 has another answer: 1 0 1, area 0.5."""
    found = per_question(matches("001", "1-1"))
    assert found.rows() == [("q0", "g0", pytest.approx(0.75)), ("q1", "g1", pytest.approx(0.5))]


CURVES = st.lists(st.integers(1, 4).flatmap(lambda n: st.text("01-", min_size=n + 1, max_size=n + 1)), max_size=12)


@given(CURVES, st.randoms(use_true_random=False))
def test_the_questions_mean_is_aoc(curves, random):
    """The identity by which AOC gets an interval; also where answers are missing, and in any order of rows."""
    frame = matches(*curves)
    order = list(range(frame.height))
    random.shuffle(order)
    found, expected = aoc(frame[order]), per_question(frame)["aoc"].mean()
    assert found == (None if expected is None else pytest.approx(expected))
    assert found is None or -1e-9 <= found <= 1 + 1e-9


def test_a_missing_k_is_named():
    with pytest.raises(UserError, match="at some k"):
        aoc(matches("011", "001")[:5])
