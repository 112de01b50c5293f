import pytest
from hypothesis import given
from hypothesis import strategies as st

from faithtune.data.forms import STEPS
from faithtune.extraction.steps import split
from faithtune.interventions.gate import clean
from faithtune.interventions.paraphrases import gate

STEP = "39 * 2 = 78."
GOOD = "39 times 2 equals 78."


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"  {GOOD}\n",
        f'"{GOOD}"',
        f"\u201c{GOOD}\u201d",
        f"**{GOOD}**",
        f"Paraphrase: {GOOD}",
        f"**Paraphrased step:** {GOOD}",
        f"In other words: {GOOD}",
        f'Sure! Here is a paraphrase of the sentence: "{GOOD}"',
        f"Here's a rewritten version:\n\n{GOOD}",
        f"Sure, {GOOD}",
        f"{GOOD}\n\nSentence: 5 + 5 = 10.\nParaphrase: 5 plus 5 is 10.",
    ],
)
def test_clean_takes_the_paraphrase_alone(text):
    assert clean(text) == GOOD
    assert gate(STEP, clean(text)) is None


@pytest.mark.parametrize("text", ["", " \n ", "Sure!", "Here is a paraphrase:\n"])
def test_clean_of_nothing(text):
    assert clean(text) == ""
    assert gate(STEP, clean(text)) == "empty"


@given(st.text())
def test_clean_gives_one_line(text):
    assert len(clean(text).splitlines()) <= 1
    assert clean(text).strip() == clean(text)


@pytest.mark.parametrize(
    ("step", "paraphrase"),
    [
        ("78 - 12 = 66.", "Taking 12 away from 78 leaves 66."),
        ("2 + 3 = 5", "Adding 2 and 3 gives 5."),
        ("84 / 7 = 12.", "84 divided by 7 is 12."),
        ("He has 5 - 2 = 3 re-used pens.", "He owns 5 minus 2, which is 3 re-used pens."),
        ("She runs 3 miles 2 days a week.", "On 2 days a week she runs 3 miles."),
        ("She pays $1,200.50 for it.", "The price she pays is 1200.5 dollars."),
        ("It is a virus of the liver.", "This virus affects the liver."),
        ("So the answer is 66 apples.", "Thus the answer is 66 apples in all."),
        ("Option B fits, as (B) grows slowly.", "Since (B) is a slow grower, option B is fitting."),
        ("Here are 3 eggs.", "There are 3 eggs here."),
    ],
)
def test_good_paraphrases_pass(step, paraphrase):
    assert gate(step, paraphrase) is None


@pytest.mark.parametrize(
    ("step", "paraphrase", "reason"),
    [
        (STEP, "", "empty"),
        (STEP, f"{GOOD}\nSo 78.", "more than one line"),
        (STEP, "Sure, 39 times 2 equals 78.", "chatter"),
        (STEP, "A paraphrase is 39 times 2 equals 78.", "chatter"),
        (STEP, "39 times 2 equals 78. Final Answer: 78", "declares an answer"),
        (STEP, "The answer is 78, which is 39 times 2.", "declares an answer"),
        (STEP, "39 times 2 equals 78 (B).", "names an option"),
        (STEP, "39 times 2 equals 78, option B.", "names an option"),
        (STEP, "Step 2: 39 times equals 78.", "not one step"),
        (STEP, "78.", "not one step"),
        (STEP, "39 times 2 equals 79.", "other numbers"),
        (STEP, "39 times 2 equals 78, so 78.", "other numbers"),
        (STEP, "Double 39 equals 78.", "other numbers"),
        (STEP, "39 times two equals 78.", "other numbers"),
        (STEP, "39 plus 2 equals 78.", "other operations"),
        (STEP, "39 and 2 equals 78.", "other operations"),
        ("23 + 9 = 32.", "23 is 32 times 9.", "other operations"),
        ("78 - 12 = 66.", "12 minus 78 is 66.", "other operations"),
        (STEP, "39*2 = 78", "identical"),
        ("She buys eggs.", "she buys EGGS!", "identical"),
        ("She buys eggs on the market in the morning.", "She shops.", "too short"),
        ("She shops there.", "She goes to the market there in order to buy many good things.", "too long"),
    ],
)
def test_bad_paraphrases_are_refused(step, paraphrase, reason):
    assert gate(step, paraphrase) == reason


def test_the_answer_must_not_newly_appear():
    step, leak = "It is a virus of the liver.", "The virus in this liver is Hepatitis B."
    assert gate(step, leak, answers=["hepatitis B"]) == "leaks the answer"
    assert gate(step, leak, answers=["hepatitis"]) == "leaks the answer"
    assert gate(step, leak, answers=["B", "epatitis", "cirrhosis"]) is None  # letters are another rule's, words whole
    assert gate("Hepatitis B is a virus.", "One virus is hepatitis B.", answers=["hepatitis B"]) is None


def test_bounds_are_the_callers():
    assert gate(STEP, GOOD, longest=1.0) is None  # six pieces each
    assert gate(STEP, "39 times 2 equals just 78.", longest=1.0) == "too long"
    assert gate("one two three four", "four three", shortest=0.5) is None
    assert gate("one two three four", "four three", shortest=0.6) == "too short"


@given(
    st.lists(
        st.sampled_from(["Step 1:", "Final Answer:", "2 eggs", "are", "left.", "\n", "(B)", "1.", "So"]), max_size=6
    )
)
def test_what_passes_is_spliced_without_a_trace(words):
    paraphrase = " ".join(words).strip()
    if gate("So 2 eggs are left.", paraphrase) is None:
        steps = ["She buys 4.", paraphrase, "She has 2."]
        assert split(STEPS.join(steps)) == steps
