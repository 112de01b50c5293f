import pytest
from hypothesis import given
from hypothesis import strategies as st

from faithtune.extraction import RULES, UNANSWERED, declared, forced

OPTIONS = ["a virus", "a bacterium", "a fungus", "none"]
WRITTEN_NUMBERS = st.builds(
    lambda number, decimals, before, after: (f"{before}{number:,}{decimals}{after}", f"{number}{decimals}"),
    st.integers(-(10**7), 10**7),
    st.sampled_from(["", ".5", ".25"]),
    st.sampled_from(["", "$", "**", "about ", "x = ", "2 + 3 = ", "She has "]),
    st.sampled_from(["", ".", " apples", "%", "**", " dollars.", "\nStep 2: 5 + 5 = 10", " km (rounded)"]),
)


@given(WRITTEN_NUMBERS)
def test_a_written_number_is_read_after_the_cue(pair):
    written, canonical = pair
    assert forced(f" {written}", "number").answer == canonical
    assert declared(f"Step 1: 7 * 7 = 49.\nFinal Answer: {written}", "number").answer == canonical


@given(WRITTEN_NUMBERS, st.sampled_from(["Final Answer: ", "The answer is "]))
def test_the_span_holds_the_answer(pair, cue):
    text = f"Step 1: 7 * 7 = 49.\n{cue}{pair[0]}"
    start, end = declared(text, "number").span
    assert text[start:end].replace(",", "").replace("$", "") == pair[1]


@given(st.text())
def test_nothing_is_taken_without_a_declaration(text):
    if not any(cue.search(text) for cue in RULES.values()):
        assert declared(text, "number") == declared(text, "choice", OPTIONS) == UNANSWERED


@given(st.text())
def test_outcome_answer_and_span_agree(text):
    for extraction in (forced(text, "number"), forced(text, "choice", OPTIONS), declared(text, "number")):
        answered = extraction.outcome == "answered"
        assert answered == (extraction.answer is not None) == (extraction.span is not None)
        assert answered or extraction.outcome == "unanswered"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (" 66", "66"),
        (" $66.", "66"),
        (" 66 apples in 3 bags", "66"),
        (" 66 max 5 people", "66"),
        (" 2 + 3 = 5", "5"),
        (" 16 eggs - 3 eggs = 13 eggs a day for 7 days", "13"),
        (" 3 boxes x 22 = $66", "66"),
        (" 66. Check: 66 - 6 = 60.", "66"),
        (" She has 66. Tom has 70.", "66"),
        (" 1,234,567.50", "1234567.5"),
        (" -$12", "-12"),
        (" $-12", "-12"),
        (" \u221212", "-12"),
        (" .5", "0.5"),
        (" 007", "7"),
        ("\n66", "66"),
        (" 66\n70", "66"),
        # an operand, a fraction, a time, a list and a number within a word are no answers
        (" 39 * 2", None),
        (" The total is 39 * 2", None),
        (" 12 - 7 apples", None),
        (" 2 + 3 =", None),
        (" 2 + 3 = 5 + x = 5 * 4", None),
        (" 1/2", None),
        (" 5:30", None),
        (" 1,2", None),
        (" 10e3", None),
        (" B12", None),
        (" five", None),
        ("", None),
        ("\nStep 1: 3 + 4 = 7", None),
    ],
)
def test_forced_number(text, answer):
    assert forced(text, "number").answer == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (" B", "B"),
        (" (B)", "B"),
        (" [B]", "B"),
        (" B. a bacterium", "B"),
        (" B) a bacterium", "B"),
        (" B: a bacterium", "B"),
        (" B - a bacterium", "B"),
        (" **B**", "B"),
        (" Option B", "B"),
        (" The single, most likely answer is (B)", "B"),
        (" the correct answer is: B.", "B"),
        (" B because it rains", "B"),
        (" B. Vitamin A.", "B"),
        ("\n(B)\n", "B"),
        (" A patient with fever", None),
        (" A or B", None),
        (" (A) and (B)", None),
        (" A, B, or C", None),
        (" E", None),  # there are four options
        (" b", None),
        (" a bacterium", None),
        (" not B", None),
        ("", None),
    ],
)
def test_a_letter(text, answer):
    assert forced(text, "choice", OPTIONS).answer == answer
    assert declared(f"Step 1: (C) is near, says A.\nFinal Answer:{text}", "choice", OPTIONS).answer == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Final Answer: 66", "66"),
        ("**Final Answer:** $66", "66"),
        ("**Final Answer**: 66 apples", "66"),
        ("Final answer: 60\nNo.\nFinal Answer: 66", "66"),  # the last
        ("The answer is 60. Final Answer: 66. The answer is 70.", "66"),  # the line over the sentence
        ("The answer is 60.\nFinal Answer: unknown", None),  # also when it cannot be read
        ("The answer is 60.\nFinal Answer:", None),
        ("Final Answer: 66\nFinal Answer: unknown", "66"),
        ("So the correct answer is 66 apples.", "66"),
        ("The answer is 60 + 6 = 66. She is happy.", "66"),
        ("Step 2: Answer: 66", "66"),
        ("5 * 2 = 10\n#### 1,066", "1066"),
        ("5 * 2 = 10\nA: 10", "10"),
        ("She has 66 apples.", None),
        ("The answer is simple. She has 5 + 5 = 10 apples", None),
        ("#### 2 steps", None),
    ],
)
def test_declared_number(text, answer):
    assert declared(text, "number").answer == answer


def test_declared_letters_of_sentences():
    assert declared("Therefore, the answer is C. A fungus.", "choice", OPTIONS).answer == "C"
    assert declared("The answer is not A, B, or C.", "choice", OPTIONS) == UNANSWERED
    assert declared("A: a virus is small\nB: so the answer is (B).", "choice", OPTIONS).answer == "B"
