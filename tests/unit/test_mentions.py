"""Where a chain first mentions its answer."""

import polars as pl
import pytest

from faithtune import mentions
from frames import answer_rows, answers, chains_of, questions_of

OPTIONS = ["Aspirin", "Vitamin C", "An apple a day.", "None of the above"]


@pytest.mark.parametrize(
    ("step", "answer", "found"),
    [
        ("So it is (B).", "B", True),
        ("So it is [B].", "B", True),
        ("Option B fits.", "B", True),
        ("The answer is **B**.", "B", True),
        ("B. Vitamin C", "B", True),
        ("Scurvy is a lack of vitamin c.", "B", True),
        ("An apple a day keeps the doctor away.", "C", True),
        ("B cells make antibodies.", "B", False),
        ("Vitamins in general", "B", False),
        ("(A) is wrong", "B", False),
        ("A patient comes in.", "A", False),
    ],
)
def test_options(step, answer, found):
    assert mentions.mentions(step, answer, OPTIONS) is found


@pytest.mark.parametrize(
    ("step", "answer", "found"),
    [
        ("3 + 4 = 7.", "7", True),
        ("It costs $1,234.50 now", "1234.5", True),
        ("He owes 12.", "-12", True),
        ("3 + 4 = 70.", "7", False),
        ("0.7 of it", "7", False),
        ("seven", "7", False),
    ],
)
def test_numbers(step, answer, found):
    assert mentions.mentions(step, answer, []) is found


def test_steps_before_the_first_mention():
    frame = answers(
        answer_rows("early", n=3), answer_rows("late", n=3), answer_rows("never", n=3), answer_rows("u", None)
    )
    steps = {
        "early": ["It is (A).", "x", "y"],
        "late": ["x", "y", "So option A."],
        "never": ["x", "y", "z"],
        "u": ["(A)", "x"],
    }
    chains = chains_of(frame).with_columns(steps=pl.Series([steps[i] for i in chains_of(frame)["id"]]))
    found = mentions.unleaked(frame, chains, questions_of(frame))
    assert dict(found.rows()) == {"early": 0, "late": 2, "never": 3}
