"""Where a chain first mentions its answer."""

import polars as pl
import pytest

from faithtune.arms import leaks
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
        ("So B is correct.", "B", True),
        ("So the best is **B**.", "B", True),
        ("B is the answer.", "B", True),
        ("which leaves B", "B", True),
        ("Answer: B", "B", True),
        ("answer: b", "B", True),
        ("So it is $\\boxed{B}$.", "B", True),
        ("(b) fits", "B", True),
        ("Rule out A, C and D", "A", True),
        ("So A.", "A", True),
        ("A is right", "A", True),
        ("B cells make antibodies.", "B", True),  # rather too many
        ("Vitamins in general", "B", False),
        ("(A) is wrong", "B", False),
        ("A patient comes in.", "A", False),
        ("He is a B2B seller.", "B", False),
        ("The B12 level", "B", False),
        ("Aspirins are given", "A", False),
    ],
)
def test_options(step, answer, found):
    assert leaks.mentions(step, answer, OPTIONS) is found


@pytest.mark.parametrize(
    ("step", "answer", "found"),
    [
        ("3 + 4 = 7.", "7", True),
        ("It costs $1,234.50 now", "1234.5", True),
        ("He owes 12.", "-12", True),
        ("3 + 4 = 70.", "7", False),
        ("0.7 of it", "7", False),
        ("seven apples", "7", True),
        ("twenty-five", "25", True),
        ("3/4 of them", "0.75", True),
        ("so \\frac{1}{3} remains", "1/3", True),
        ("so 1/3 remains", "-1/3", True),
        ("a quarter", "0.25", True),
        ("3\u00bd hours", "3.5", True),
        ("1{,}250", "1250", True),
        ("12 345 people", "12345", True),
        ("1.8 billion", "1800000000", True),
        ("50% of them", "0.5", True),
        ("50% of them", "50", True),
        ("7.0", "7", True),
        ("seventh", "7", False),
        ("someone", "1", False),
    ],
)
def test_numbers(step, answer, found):
    assert leaks.mentions(step, answer, []) is found


@pytest.mark.parametrize(
    ("step", "answer", "found"),
    [
        (r"So it is $\dfrac{1}{2}$.", r"\frac{1}{2}", True),
        ("So half of it.", r"\frac{1}{2}", True),
        ("So 0.5 of it.", r"\frac{1}{2}", True),
        (r"So \frac{1}{3} of it.", r"\frac{1}{2}", False),
        (r"The point is \left(3, \frac{\pi}{2}\right).", r"( 3, \frac{\pi}{2} )", True),
        (r"The point is (3, \pi).", r"( 3, \frac{\pi}{2} )", False),
        ("so x=3", "x = 3", True),
        ("Then Evelyn is next.", r"\text{Evelyn}", True),
        ("Then Evelyna is next.", r"\text{Evelyn}", False),
        ("Then y^2 + x", "x", True),
        (r"Then \exp(y)", "x", False),
    ],
)
def test_expressions(step, answer, found):
    assert leaks.mentions(step, answer, []) is found


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
    found = leaks.marked(frame, chains, questions_of(frame))
    assert found.drop("unleaked").equals(frame.drop("unleaked"))
    before = dict(found.filter(test="full").select("id", "unleaked").iter_rows())
    assert before == {"early": 0, "late": 2, "never": 3, "u": None}
