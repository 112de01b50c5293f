"""The texts of the assistant's turn, to the letter: prompts rest on them, and with prompts the keys of rows."""

import pytest

from faithtune.data import forms
from faithtune.data.forms import STEPS, ThinkingForm
from faithtune.data.prompts import Turns

THINKING = ThinkingForm("<think>\n", "\n</think>\n\n")


def test_numbered_steps():
    assert STEPS.join(["a b", "c d"]) == "Step 1: a b\nStep 2: c d"
    assert STEPS.continued(["a b", "c d"]) == "Step 1: a b\nStep 2: c d\n"
    assert STEPS.answer("Step 1: a b") == "Step 1: a b\nFinal Answer:"
    assert (STEPS.join([]), STEPS.answer(""), STEPS.reply("So:")) == ("", "Final Answer:", "So:")
    assert (STEPS.start(True), STEPS.start(False)) == ("Step 1:", "")


def test_a_thinking_block():
    assert THINKING.join(["a b", "c d"]) == "a b\n\nc d"
    assert THINKING.continued(["a b", "c d"]) == "<think>\na b\n\nc d\n\n"
    assert THINKING.answer("a b\n\nc d") == "<think>\na b\n\nc d\n</think>\n\nFinal Answer:"
    assert THINKING.answer("") == THINKING.reply("Final Answer:") == "<think>\n\n</think>\n\nFinal Answer:"
    assert THINKING.start(True) == THINKING.start(False) == "<think>\n"


@pytest.mark.parametrize(
    ("text", "divided"),
    [
        ("<think>\na\n</think>\n\nFinal Answer: 4", ("a\n", "\n\nFinal Answer: 4")),
        ("<think>\na", ("a", None)),
        ("a</think>", ("a", "")),
        ("<think>\na</think>b</think>c", ("a", "b</think>c")),
    ],
)
def test_what_stands_in_the_block_and_after_it(text, divided):
    assert THINKING.divide(text) == divided


def test_the_form_is_that_of_the_card():
    assert forms.form_of(Turns.of({})) is STEPS
    card = {"turns": {"enable_thinking": True, "thinking": ["<think>\n", "\n</think>\n\n"]}}
    assert forms.form_of(Turns.of(card)) == THINKING
