"""The expression that a text gives as its answer, or why it gives none."""

import pytest

from faithtune.extraction import extract

ANSWERED = [
    (r" $\frac{1}{2}$.", r"\frac{1}{2}"),
    (r" \frac{1}{2}", r"\frac{1}{2}"),
    (r" $$\dfrac{1}{2}$$" + "\nSo it is.", r"\frac{1}{2}"),
    (r" \boxed{\frac{\sqrt{3}}{2}}", r"\frac{\sqrt{3}}{2}"),
    (r" **\(x^2\)**", "x^2"),
    (r" $\$5.50$", "5.50"),
    (r" The area is $\frac{\pi}{4}$ square metres.", r"\frac{\pi}{4}"),
    (r" $x = 3$, that is $x=3$", "x = 3"),
    (" 3/4", "3/4"),
    (" x = 3", "x = 3"),
    (" f(x) = x^2 + 1.", "f(x) = x^2 + 1"),
    (" (1, 2]", "(1, 2]"),
    (" 10^{-3}", "10^{-3}"),
    (" sqrt(2)", r"\sqrt{2}"),
    (r" \begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}"),
    # one answer of several parts
    (r" $x = 3$ or $x = 4$", "x = 3, x = 4"),
    (" 3 and 4", "3, 4"),
    # units and words
    (r" 3\sqrt{2} cm", r"3\sqrt{2}"),
    (" 45 degrees", "45"),
    (" Evelyn", r"\text{Evelyn}"),
    (r" \text{Evelyn}.", r"\text{Evelyn}"),
    (" She has 66 of them.", "66"),
    # reasons
    (" $3$ since $y = 2$", "3"),
    (" 5 because $x > 3$", "5"),
    (" 5, and then $x > 3$", "5"),
    (" Evelyn, as $x > 3$", r"\text{Evelyn}"),
    (r" $x = 2k \text{ where } k = 1$ since $y = 2$", r"x = 2k \text{ where } k = 1"),
    # taken back
    (r" $3$. Wait, the answer is $4$.", "4"),
]
NOT_ANSWERED = [
    ("", "unanswered"),
    (" unclear", "unanswered"),
    (" i am not sure", "unanswered"),
    (r" $\frac{", "unanswered"),
    (" 2 + 3 =", "unanswered"),
    ("\nStep 4: 2 + 3 = 5.", "unanswered"),
    (" I cannot determine it", "refused"),
    (r" $3$, so $y = 2$", "ambiguous"),
]


@pytest.mark.parametrize(("text", "answer"), ANSWERED)
def test_after_the_cue(text, answer):
    found = extract.forced(text, "expression")
    assert (found.outcome, found.answer) == ("answered", answer)
    assert found.span and extract.forced(text, "expression", lenient=True) == found


@pytest.mark.parametrize(("text", "outcome"), NOT_ANSWERED)
def test_no_answer_after_the_cue(text, outcome):
    found = extract.forced(text, "expression")
    assert (found.outcome, found.answer, found.span) == (outcome, None, None)


@pytest.mark.parametrize(
    ("text", "outcome", "answer", "lenient"),
    [
        ("Step 1: $2+2 = 4$.\nFinal Answer: $\\frac{4}{5}$", "answered", r"\frac{4}{5}", r"\frac{4}{5}"),
        ("So it is $4$.\n\\[ \\boxed{\\{1,2\\}} \\]", "answered", r"\{1,2\}", r"\{1,2\}"),
        ("Thus the answer is \\(x=5\\).", "answered", "x=5", "x=5"),
        ("$\\frac{3}{4}$ is the answer.", "answered", r"\frac{3}{4}", r"\frac{3}{4}"),
        ("The final answer is $[2,5)$. I hope it is correct.", "answered", "[2,5)", "[2,5)"),
        ("We get \\boxed{3} or \\boxed{4}.", "ambiguous", None, "4"),
        ("Final Answer: $3$. Wait, it should be $7$.", "ambiguous", None, "7"),
        ("We get $x = 7$ and are done.", "unanswered", None, "x = 7"),
        ("We get 7 and are done.", "unanswered", None, "7"),
        ("This cannot be determined.", "refused", None, None),
        ("Step 1: Let me think.", "unanswered", None, None),
    ],
)
def test_in_a_free_text(text, outcome, answer, lenient):
    found, weak = (extract.declared(text, "expression", lenient=weak) for weak in (False, True))
    assert (found.outcome, found.answer, weak.answer) == (outcome, answer, lenient)
