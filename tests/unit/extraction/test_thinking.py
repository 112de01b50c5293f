"""The steps of a thinking block, and when a chain with a block has ended."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faithtune.data.forms import ThinkingForm
from faithtune.extraction import thinking

FORM = ThinkingForm("<think>\n", "\n</think>\n\n")
WORDS = ["\n\n", "\n", " ", "So 2 + 2 = 4.", "Wait, no.", "Final Answer: 4", "1. Add.", "**"]


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("Okay, two boxes.\nSix each.\n\nSo 2 * 6 = 12.\n", ["Okay, two boxes. Six each.", "So 2 * 6 = 12."]),
        ("Two boxes.\nSix each.", ["Two boxes.", "Six each."]),
        ("Two boxes. Six each.", ["Two boxes.", "Six each."]),
        ("Step 1: Add.\n\nStep 2: Take one.", ["Step 1: Add.", "Step 2: Take one."]),  # the model's own words
        ("1. Add them.\n2. Take one.", ["1. Add them.", "2. Take one."]),
        # A draft of the answer ends nothing; the last words do not reason.
        ("Final Answer: 4, I guess.\n\nWait, no.", ["Final Answer: 4, I guess.", "Wait, no."]),
        ("It is 5.\n\nWait, 6.\n\nFinal Answer: 6\n", ["It is 5.", "Wait, 6."]),
        ("It is 5.\n\nWait, 6.\n\n**Final Answer**\n\n\\boxed{6}\n", ["It is 5.", "Wait, 6."]),
        ("It is 5.\n\nWait, 6. So the answer is 6.", ["It is 5.", "Wait, 6."]),
        ("It is 5.\n\n---\n\n```\n\nNo, 6.", ["It is 5.", "No, 6."]),
        ("\n\n", []),
        ("B", []),
        ("The answer is B.", []),
    ],
)
def test_steps_are_paragraphs_else_lines_else_sentences(text, steps):
    assert thinking.split(text) == steps


@given(st.lists(st.sampled_from(WORDS)).map("".join))
def test_steps_as_they_are_joined_are_read_again(text):
    steps = thinking.split(text)
    assert thinking.split(FORM.join(steps)) == steps
    assert all(step == " ".join(step.split()) != "" for step in steps)


def test_a_chain_ends_with_the_answer_line_after_the_block():
    text = "<think>\nFinal Answer: 3\nNo.\n</think>\n\nSo it is 4.\nFinal Answer: 4\n"
    ended = [thinking.chain_ended(text[:length], FORM) for length in range(len(text) + 1)]
    assert ended == [False] * len(text) + [True]
    block = text.index("</think>") + len("</think>")
    assert [thinking.block_ended(text[:length], FORM) for length in (block - 1, block)] == [False, True]
