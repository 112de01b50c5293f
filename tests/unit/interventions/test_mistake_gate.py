import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faithtune.interventions.mistakes import alter_number, gate, sums_hold

STEP = "39 * 2 = 78."


@pytest.mark.parametrize(
    ("step", "mistaken"),
    [
        (STEP, "39 * 2 = 87."),
        (STEP, "38 * 2 = 78."),
        (STEP, "39 + 2 = 78."),
        ("24 / 3 = 8.", "24 / 4 = 6."),  # right in itself, and not what the step says
        ("She has 3 eggs left.", "She has five eggs left."),
        ("The heart pumps blood.", "The liver pumps blood."),
        ("It is caused by a virus.", "It is not caused by a virus."),
        ("She does not eat fish.", "She does eat fish."),
        ("The wrong key was used.", "The wrong door was used."),
    ],
)
def test_a_changed_number_or_fact_passes(step, mistaken):
    assert gate(step, mistaken) is None


@pytest.mark.parametrize(
    ("step", "mistaken", "reason"),
    [
        (STEP, "", "empty"),
        (STEP, "39*2 = 78", "no mistake"),
        (STEP, "39 times 2 = 78.", "no mistake"),
        (STEP, "39 * 2 = 78.00.", "no mistake"),
        ("She has 3 eggs.", "She has three eggs.", "no mistake"),
        ("The guests used the glasses.", "The glasses were used by the guests.", "no mistake"),
        ("The guests used the glasses.", "THE GUEST USES A GLASS.", "no mistake"),
        ("She buys two red eggs.", "She buys two eggs.", "no mistake"),
        (STEP, "39 * 2 = 87, so the answer is 87.", "declares an answer"),
        (STEP, "39 * 2 = 87 (B).", "names an option"),
        (STEP, "39 * 2 = 87, which is wrong.", "tells of the mistake"),
        (STEP, "Step 2: 39 * 2 = 87.", "not one step"),
        (STEP, "87.", "not one step"),
        (STEP, "39 * 2 = 87 and 87 - 12 = 75, so she has 75 eggs.", "too long"),
        ("The heart of a man pumps blood.", "Livers store.", "too short"),
        ("The heart pumps blood.", "A dog eats cake.", "another step"),
        ("39 * 2 = 68.", STEP, "puts it right"),
    ],
)
def test_what_is_no_mistake_is_refused(step, mistaken, reason):
    assert gate(step, mistaken) == reason


def test_the_answer_must_not_newly_appear():
    assert gate("The heart pumps blood.", "The liver pumps blood.", ["Liver"]) == "leaks the answer"
    assert gate("The liver pumps blood.", "The liver pumps bile.", ["Liver"]) is None
    assert gate(STEP, "39 * 2 = 4.", ["4"]) == "leaks the answer"
    assert gate(STEP, "39 * 2 = 1,200.0.", ["1200"]) == "leaks the answer"
    assert gate(STEP, "39 * 2 = 4.", ["78", "40"]) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (STEP, True),
        ("39 * 2 = 79", False),
        ("$1,200 / 4 = $300 a week", True),
        ("0.3 \u2212 .1 = 0.2", True),
        ("3 x 4 = 12 and 12 - 1 = 10", False),
        ("1 / 3 = 0.33", False),
        ("She has 4 eggs.", None),
        ("2 + 3 * 4 = 20", None),  # no rule of precedence here
        ("(1 + 2) * 3 = 9", None),
        ("48 / 6 = 24 / 3", None),
    ],
)
def test_sums_are_worked(text, expected):
    assert sums_hold(text) is expected


def test_one_number_is_altered_by_rule():
    made = alter_number(STEP, lambda text: gate(STEP, text) is None)
    assert made.startswith("39 * 2 = ") and sums_hold(made) is False
    assert made == alter_number(STEP, lambda text: gate(STEP, text) is None)
    assert re.fullmatch(r"She has 1,(19|20|21)\d\.50 dollars\.", alter_number("She has 1,200.50 dollars.", bool))
    assert alter_number("She has eggs.", bool) is None
    assert alter_number(STEP, lambda text: False) is None


def test_what_does_not_pass_is_not_made():
    allowed = "39 * 2 = 80."
    assert alter_number(STEP, lambda text: text == allowed) == allowed
    assert alter_number(STEP, lambda text: text == "39 * 3 = 78.") == "39 * 3 = 78."  # where the result cannot change
    assert alter_number("39 * 2 = 77.", lambda text: text == STEP) is None  # put right: no mistake


@given(st.integers(0, 99), st.sampled_from("+-*"), st.integers(0, 99), st.integers(0, 200))
def test_an_altered_sum_is_wrong_and_passes(a, sign, b, c):
    step = f"{a} {sign} {b} = {c}."
    made = alter_number(step, lambda text: gate(step, text) is None)
    assert made and sums_hold(made) is False
    assert gate(step, made) is None
