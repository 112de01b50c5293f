from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faithtune.extraction.cues import RULES
from faithtune.extraction.extract import UNANSWERED, declared, forced
from faithtune.extraction.text import normalise_marks

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
    text = f"So, {text}"  # an answer that fills the whole completion would count
    if not any(cue.search(normalise_marks(text)) for cue in RULES.values()):
        assert declared(text, "number") == declared(text, "choice", OPTIONS) == UNANSWERED


@given(st.text())
def test_outcome_answer_and_span_agree(text):
    for extraction in (forced(text, "number"), forced(text, "choice", OPTIONS), declared(text, "number")):
        answered = extraction.outcome == "answered"
        assert answered == (extraction.answer is not None) == (extraction.span is not None)
        assert answered or extraction.outcome in ("unanswered", "refused", "ambiguous")


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
        (" 1/2", "0.5"),
        ("\n66", "66"),
        (" 66\n70", "66"),
        # an operand, a time, a list and a number within a word are not answers
        (" 39 * 2", None),
        (" The total is 39 * 2", None),
        (" 12 - 7 apples", None),
        (" 2 + 3 =", None),
        (" 2 + 3 = 5 + x = 5 * 4", None),
        (" 1 / 2", None),
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
        (" a bacterium", "B"),
        (" a bacterium's toxin", None),
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


UNREAD, REFUSED, SEVERAL = "unanswered", "refused", "ambiguous"
DIAGNOSES = ["Pulmonary embolism", "Hypoglycemia", "Vitamin C deficiency", "Vitamin C deficiency with anemia."]
# text, result of the strict extractor, result of the lenient extractor: an answer or another outcome
CHOICES = [
    ("Answer: (C)", "C", "C"),
    ("Answer: C", "C", "C"),
    ("**Answer:** C", "C", "C"),
    ("**Answer: C**", "C", "C"),
    ("Answer - see below\nThe answer is C", "C", "C"),
    ("**Final Answer: (B)**", "B", "B"),
    ("**Final Answer:** (B)", "B", "B"),
    ("## Final Answer: B", "B", "B"),
    ("Final answer : [B]", "B", "B"),
    ("FINAL ANSWER: **B) Hypoglycemia**", "B", "B"),
    ("Final Answer: The single, most likely answer is (B)", "B", "B"),
    ("Final Answer: Option B", "B", "B"),
    ("Final Answer: $\\boxed{B}$", "B", "B"),
    ("Final Answer: \\(B\\)", "B", "B"),
    ("The answer is: **C) Vitamin C deficiency**", "C", "C"),
    ("The answer is **C**.", "C", "C"),
    ("The answer is: (C).", "C", "C"),
    ("The answer is `C`", "C", "C"),
    ('The answer is "C".', "C", "C"),
    ("Therefore, the answer is $\\boxed{\\text{C}}$.", "C", "C"),
    ("\\boxed{\\text{(C) Vitamin C deficiency}}", "C", "C"),
    ("$$\\boxed{\\textbf{(C)}}$$", "C", "C"),
    ("### Answer\nB", "B", "B"),
    ("Answer\n\nC", "C", "C"),
    ("**Answer**\n\n**C. Vitamin C deficiency**", "C", "C"),
    ("<answer>B</answer>", "B", "B"),
    ("<think>A or B?</think>\n<answer>\nB\n</answer>", "B", "B"),
    ("The correct option is C", "C", "C"),
    ("The correct choice would be (C).", "C", "C"),
    ("the best choice is D", "D", "D"),
    ("The most appropriate option here: B", UNREAD, UNREAD),
    ("I would choose (B)", "B", "B"),
    ("I'd go with option D.", "D", "D"),
    ("So we select B.", "B", "B"),
    ("Option C is correct.", "C", "C"),
    ("Thus, C is correct.", "C", "C"),
    ("(C) is the correct answer.", "C", "C"),
    ("So B is the best choice.", "B", "B"),
    ("Hypoglycemia is the correct answer.", "B", "B"),
    ("Option (B) Hypoglycemia is correct.", "B", "B"),
    ("B) Hypoglycemia is the most likely answer.", "B", "B"),
    ("Vitamin A is the correct answer.", UNREAD, UNREAD),
    ("Conclusion: B", "B", "B"),
    ("Most likely hypoglycemia (Option B).", UNREAD, "B"),
    ("Answer: c", UNREAD, "C"),
    ("Answer: (c)", "C", "C"),
    ("Ans. C", "C", "C"),
    ("Correct answer: C", "C", "C"),
    ("answer_choice: B", "B", "B"),
    ("#### B", "B", "B"),
    ("B", "B", "B"),
    ("(B)", "B", "B"),
    ("B. Hypoglycemia", "B", "B"),
    ("**B. Hypoglycemia**", "B", "B"),
    ("He is pale.\n\n**B) Hypoglycemia**", "B", "B"),
    ("The answer is B in this case.", "B", "B"),
    ("The answer is B because he is pale.", "B", "B"),
    ('{"step_by_step_thinking": "A is near.", "answer_choice": "C"}', "C", "C"),
    ('{"step_by_step_thinking": "The answer is A.", "answer_choice": "C. Vitamin C deficiency"}', "C", "C"),
    ("{'step_by_step_thinking': 'It's A.', 'answer_choice': 'C'}", "C", "C"),
    ('He is pale.", "answer_choice": "C"}', "C", "C"),
    ('{"answer": "(B)", "explanation": "A is wrong"}', "B", "B"),
    ('```json\n{\n  "reasoning": "x",\n  "answer": "B"\n}\n```', "B", "B"),
    ('{"reasoning": "x", "answer": "B', "B", "B"),
    ('{"reasoning": "x", "answer": ["A", "C"]}', SEVERAL, "A"),
    ('{"reasoning": "x", "answer": "A, D"}', SEVERAL, "A"),
    ('{"reasoning": "x", "answer": "Hypoglycemia"}', "B", "B"),
    ('{"reasoning": "x", "answer": "None of the above"}', REFUSED, REFUSED),
    ('{"reasoning": "x", "answer": "Unable to determine without the graph"}', REFUSED, REFUSED),
    ('{"reasoning": "x", "answer": "E. Anemia"}', REFUSED, REFUSED),
    ('{"reasoning": "x", "answer": "Not provided in the options"}', REFUSED, REFUSED),
    ('{"reasoning": "x", "answer": "Not listed"}', REFUSED, REFUSED),
    ('{"answer_choice": "not listed."}', REFUSED, REFUSED),
    ('{"answer": "The correct diagnosis is not among the given choices"}', REFUSED, REFUSED),
    ('{"answer": "Not given in any of the answer choices"}', REFUSED, REFUSED),
    ('{"answer": "The dose is not listed"}', UNREAD, UNREAD),  # "not listed" within a sentence is not a refusal
    ('{"reasoning": "x", "answer": null}', UNREAD, UNREAD),
    ('{answer: "B"}', "B", "B"),
    ("The answer is hypoglycemia.", "B", "B"),
    ("Final Answer: HYPOGLYCEMIA", "B", "B"),
    ("The answer is vitamin C deficiency with  anemia.", "D", "D"),
    ("The answer is vitamin C deficiency.", "C", "C"),
    ("The answer is pulmonary embolism because he is pale.", "A", "A"),
    ("The answer is a pulmonary embolism-like picture.", UNREAD, UNREAD),
    ("It must be hypoglycemia.", UNREAD, "B"),
    ("It is hypoglycemia or a pulmonary embolism.", UNREAD, UNREAD),
    ("The answer is hypoglycemia or pulmonary embolism.", SEVERAL, "B"),
    ("The answer is C. Hypoglycemia", SEVERAL, "C"),
    ("The answer is both A and B.", SEVERAL, "A"),
    ("Final Answer: A or C", SEVERAL, "A"),
    ("Final Answer: (A) and (C)", SEVERAL, "A"),
    ("Final Answer: A/C", SEVERAL, "A"),
    ("Final Answer: A. Pulmonary embolism, C. Vitamin C deficiency", SEVERAL, "A"),
    ("Final Answer: A. Pulmonary embolism and D. both", SEVERAL, "A"),
    ("Option A is correct. Option B is correct. Option C is wrong.", SEVERAL, "B"),
    ("The answer is not B.", UNREAD, UNREAD),
    ("The answer isn't B.", UNREAD, UNREAD),
    ("The answer can't be B", UNREAD, UNREAD),
    ("A patient with fever comes in.", UNREAD, UNREAD),
    ("Answer: A patient with fever", UNREAD, UNREAD),
    ("Final Answer: I think", UNREAD, UNREAD),
    ("I think (B) fits.", UNREAD, "B"),
    ("Vitamin C is given.", UNREAD, UNREAD),
    ("He lacks vitamin C", UNREAD, UNREAD),
    ("Vitamin C is the correct answer.", UNREAD, UNREAD),
    ("Option A is incorrect.", UNREAD, UNREAD),
    ("(B) fits well. Option A is incorrect.", UNREAD, "B"),
    ("Option A is not correct", UNREAD, UNREAD),
    ("If the answer is B, he would be pale.", UNREAD, UNREAD),
    ("One might think the answer is B.", UNREAD, "B"),
    ("I don't think the answer is B.", UNREAD, UNREAD),
    ("A tempting but wrong answer is B.", UNREAD, "B"),
    ("Could it be that the answer is B?", UNREAD, "B"),
    ("We know that hepatitis B is common.", UNREAD, UNREAD),
    ("Step 1: (C) is near, says A.", UNREAD, "C"),
    ("The answer is A. Wait, the answer is C.", "C", "C"),
    ("The answer is A. The answer is not C.", "A", "A"),
    ("The answer is A.\nFinal Answer: C", "C", "C"),
    ("Final Answer: C\nThe answer is A.", "C", "C"),
    ("The answer is A.\nFinal Answer: unknown", UNREAD, "A"),
    ("Answer: Let's think step by step. He is pale. So the answer is B.", "B", "B"),
    ("Final Answer: After all this, the correct option is B.", "B", "B"),
    ("I'm sorry, but I can't help with that.", REFUSED, REFUSED),
    ("Without the image, I cannot determine the diagnosis.", REFUSED, REFUSED),
    ("None of the options is right.", REFUSED, REFUSED),
    ("None of the other options fits.", UNREAD, UNREAD),
    ("We cannot tell A from B by pain alone. He is pale. It is cold. So (B) fits.", UNREAD, "B"),
    ("Final Answer: none of these", REFUSED, REFUSED),
    ("", UNREAD, UNREAD),
    ("My final answer is B", "B", "B"),
    ("The answer to the question is B.", "B", "B"),
    ("The correct answer would be (D).", "D", "D"),
    ("Answer= B", "B", "B"),
    ("The answer is (A), not (B).", "A", "A"),
    ("The correct answer is (B) Hypoglycemia, and (C) is wrong.", "B", "B"),
    ("Final Answer: B, because A is wrong", "B", "B"),
    ("Final Answer: B, C is wrong", "B", "B"),
    ("Final Answer: B (Hypoglycemia)", "B", "B"),
    ("The answer is either A or B.", SEVERAL, "A"),
    ("The correct answer is:\n\n**B) Hypoglycemia**\n\nA is wrong: the answer is not A.", "B", "B"),
    ("\u2705 **Answer: B**", "B", "B"),
    ("The answer is B.\n\nOption A is incorrect because he is pale.", "B", "B"),
    ("He is not pale so the answer is B.", "B", "B"),
    ("He may have lost weight so the answer is B.", "B", "B"),
    ("Not sure, but the answer is B.", "B", "B"),
    ("I would not choose B.", UNREAD, UNREAD),
    ("We pick A if he is pale. I choose B.", "B", "B"),
    ("Final Answer: B. Hypoglycemia. A. is for adults.", "B", "B"),
    ("The answer is $\\text{(B)}$.", "B", "B"),
    ("Final Answer: E", REFUSED, REFUSED),
    ("Step 3: Answer: B", "B", "B"),
    ("Final Answer:\nStep 1: (A) is near", UNREAD, "A"),
    ("Options:\nA. Pulmonary embolism\nB. Hypoglycemia", UNREAD, "B"),
    ("Therefore, **C** is unlikely.", UNREAD, UNREAD),
    ("Option C is correct. Wait, it is (A) that is correct.", SEVERAL, "A"),
]
NUMBERS = [
    ("Final Answer: 72", "72", "72"),
    ("Therefore, the final answer is $\\boxed{72}$.", "72", "72"),
    ("**Final Answer**\n\nThe final answer is $\\boxed{72}$", "72", "72"),
    ("\\boxed{\\frac{3}{4}}", "0.75", "0.75"),
    ("\\boxed{-\\dfrac{1}{2}}", "-0.5", "-0.5"),
    ("\\boxed{5\\text{ apples}}", "5", "5"),
    ("\\boxed{\\$1,234}", "1234", "1234"),
    ("\\boxed{1{,}234}", "1234", "1234"),
    ("\\boxed{50\\%}", "50", "50"),
    ("\\boxed{x = 12}", "12", "12"),
    ("\\boxed{12, 15}", SEVERAL, "12"),
    ("### Answer\n72", "72", "72"),
    ("### Answer\nFirst we add 3 and 4.", UNREAD, "4"),
    ("<answer>42</answer>", "42", "42"),
    ("So, Mary has **12 apples** left.", "12", "12"),
    ("So, Mary has **$1,200.50**.", "1200.5", "1200.5"),
    ("**Step 3**", UNREAD, UNREAD),
    ("So, Mary does not have **12 apples**.", UNREAD, "12"),
    ("5 + 7 = 12\nA: 42", "42", "42"),
    ("A: $1,042.00", "1042", "1042"),
    ("A: 42 apples", "42", "42"),
    ("#### -7", "-7", "-7"),
    ("#### 2 steps", UNREAD, "2"),
    ("42 is the answer.", "42", "42"),
    ("42 apples is the correct answer.", "42", "42"),
    ("Step 3 is correct.", UNREAD, UNREAD),
    ('{"steps": "3 + 4 = 7", "answer": 7}', "7", "7"),
    ('{"steps": "3 + 4 = 7", "answer": "7 apples"}', "7", "7"),
    ('{"answer": 1234.50, "steps": ""}', "1234.5", "1234.5"),
    ("The answer is $72.", "72", "72"),
    ("The answer is 72%.", "72", "72"),
    ("The answer is £72.", "72", "72"),
    ("The answer is US$ 72", "72", "72"),
    ("The answer is 1,234,567.", "1234567", "1234567"),
    ("The answer is -12.", "-12", "-12"),
    ("The answer is \u221212.", "-12", "-12"),
    ("The answer is -$12.50", "-12.5", "-12.5"),
    ("The answer is 3/4.", "0.75", "0.75"),
    ("The answer is 1/3 of a cake.", "1/3", "1/3"),
    ("The answer is 4/6", "2/3", "2/3"),
    ("The answer is 3 1/2 cups.", "3.5", "3.5"),
    ("The answer is -3 1/2", "-3.5", "-3.5"),
    ("The answer is 3\\frac{1}{2}", "3.5", "3.5"),
    ("The answer is 6/3", "2", "2"),
    ("The answer is 5/0", UNREAD, UNREAD),
    ("The answer is 1.8 billion dollars", "1800000000", "1800000000"),
    ("The answer is 2 dozen eggs", "2", "2"),
    ("The answer is 72 km/h.", "72", "72"),
    ("The answer is 10 cm^2", "10", "10"),
    ("answer: 5 - 3 = 2", "2", "2"),
    ("Answer: 16 eggs - 3 eggs = 13 eggs", "13", "13"),
    ("The answer is x = 5.", "5", "5"),
    ("The answer is about 72.", "72", "72"),
    ("The answer is \u221a16 = 4.", "4", "4"),
    ("The answer is \u2248 72.5", "72.5", "72.5"),
    ("Answer: 39 * 2", UNREAD, UNREAD),
    ("Answer: 5 \\times 3", UNREAD, UNREAD),
    ("Answer: 5:30 pm", UNREAD, UNREAD),
    ("Answer: 5:30", UNREAD, UNREAD),
    ("Answer: 12/25/2023", UNREAD, UNREAD),
    ("Answer: 2023-12-25", UNREAD, UNREAD),
    ("Answer: May 5, 2023", SEVERAL, "5"),
    ("Answer: 5-7", UNREAD, UNREAD),
    ("Answer: 5 to 7", SEVERAL, "5"),
    ("Answer: 3 or 4", SEVERAL, "3"),
    ("Answer: between 3 and 4", SEVERAL, "3"),
    ("Answer: 5 hours and 30 minutes", SEVERAL, "5"),
    ("Answer: 3, 4 and 5", SEVERAL, "3"),
    ("Answer: 1e3", UNREAD, UNREAD),
    ("Answer: B12", UNREAD, UNREAD),
    ("Answer: twelve", UNREAD, UNREAD),
    ("The answer is 6. Wait, the answer is 7.", "7", "7"),
    ("Final Answer: 6\nWait, the answer is 7.", "7", "7"),
    ("Answer: 6\nAnswer: 7", "7", "7"),
    ("She has 5 + 7 = 12 apples.", UNREAD, "12"),
    ("12", "12", "12"),
    ("Step 3: She has 12 apples left", UNREAD, "12"),
    ("Step 1:", UNREAD, UNREAD),
    ("The answer is not 12.", UNREAD, UNREAD),
    ("If the answer is 12, she has too many.", UNREAD, "12"),
    ("I cannot determine how many apples she has.", REFUSED, REFUSED),
    ("Final Answer: cannot be determined from the 3 numbers", REFUSED, REFUSED),
    ("The question does not provide enough information.", REFUSED, REFUSED),
    ("Final Answer: unknown", UNREAD, UNREAD),
]


@pytest.mark.parametrize(("text", "strict", "lenient"), CHOICES)
def test_forms_of_choices(text, strict, lenient):
    assert read_both(text, "choice", DIAGNOSES) == (strict, lenient)


@pytest.mark.parametrize(("text", "strict", "lenient"), NUMBERS)
def test_forms_of_numbers(text, strict, lenient):
    assert read_both(text, "number") == (strict, lenient)


def read_both(text, kind, options=()):
    """(strict, lenient) answer or outcome; checks that a choice's span holds the letter or the option's text."""
    found = [declared(text, kind, options, lenient) for lenient in (False, True)]
    for extraction in found:
        if kind == "choice" and extraction.answer:
            written = text[slice(*extraction.span)].upper()
            own = options["ABCD".index(extraction.answer)].upper().rstrip(".")
            assert written == extraction.answer or " ".join(written.split()).endswith(own)
    return tuple(extraction.answer or extraction.outcome for extraction in found)


@pytest.mark.parametrize("cue", ["Final Answer: ", "The answer is ", "So it is $\\boxed{", "Total: 3 = "])
@pytest.mark.parametrize(
    "written",
    [
        "39\\times2",
        "6\\cdot 7",
        "2\\pi",
        "2\\sqrt{3}",
        "\\sqrt{2}",
        "0.\\overline{3}",
        "7!",
        "2**10",
        "2^{10}",
        "10²",
        "5k",
        "3x",
        "12_{10}",
        "12 345",
        "5'6\"",
        "1e-3",
        "5e3",
        "±3",
        "\\pm 3",
        "1/2 of 60",
        "5th",
        "8 R 2",
        "3.14...",
        "≥ 3",
        "5+",
        "3,5",
        "1.234,50",
        "7:30",
        "3 and a half",
    ],
)
def test_a_number_that_goes_on_is_none(cue, written):
    text = f"{'So ' if cue.startswith('Total') else ''}{cue}{written}{'}$' if '{' in cue else ''}"
    assert declared(text, "number").answer is None


@pytest.mark.parametrize("cue", ["Final Answer: ", "The answer is ", "So it is $\\boxed{"])
@pytest.mark.parametrize(
    ("written", "answer"),
    [
        ("-5", "-5"),
        ("−5", "-5"),
        ("–5", "-5"),
        ("minus 5", "-5"),
        ("negative 5", "-5"),
        ("-$5", "-5"),
        ("2½", "2.5"),
        ("33⅓", "100/3"),
        ("¾", "0.75"),
        ("\\frac12", "0.5"),
        ("5\\frac12", "5.5"),
        ("\\frac{-1}{2}", "-0.5"),
        ("45^\\circ", "45"),
        ("45^{\\circ}", "45"),
        ("7 = 12 - 5", "7"),
        ("5 hundred", "500"),
        ("12'345", "12345"),
        ("12\u202f345", "12345"),
        ("50\\!\\,000", "50000"),
        ("1{,}250", "1250"),
        ("3 and 1/2", "3.5"),
    ],
)
def test_spellings_of_numbers(cue, written, answer):
    assert declared(f"{cue}{written}{'}$' if '{' in cue else '.'}", "number").answer == answer


def test_a_sign_with_a_space_is_one_in_a_formula_only():
    assert declared("So \\boxed{- 3}", "number").answer == declared("The answer is x = - 3", "number").answer == "-3"
    assert declared("The answer is - 3.", "number") == declared("Answer:\n- 3 apples", "number") == UNANSWERED


@pytest.mark.parametrize(
    ("text", "strict", "lenient"),
    [
        ("Tom needs 5 boxes for 60 eggs.", SEVERAL, "5"),
        ("The train takes 3 hours to travel 180 miles.", SEVERAL, "3"),
        ("She has 42 apples left after giving away 8.", SEVERAL, "42"),
        ("It takes three hours for 180 miles.", SEVERAL, "180"),
        ("x = 3, y = 4.", SEVERAL, "4"),
        ("2 hours 30 minutes", SEVERAL, "2"),
        ("5\\text{ or }7", SEVERAL, "5"),
        ("250 g of flour and 100 g of sugar", SEVERAL, "250"),
        ("Tom needs **5 boxes** for 60 eggs.", "5", "5"),
        ("He needs five (5) boxes.", "5", "5"),
        ("He needs 10 - 5 = 5 boxes for 60 eggs.", "5", "5"),
        ("She has 5. Check: 60 / 12 = 4 + 1", "5", "5"),
        ("7/2, or 3.5", "3.5", "3.5"),
        ("not 41 but 42", "42", "42"),
    ],
)
def test_one_number_of_several_is_not_guessed(text, strict, lenient):
    for read, written in ((forced, f" {text}"), (declared, f"Final Answer: {text}")):
        found = [read(written, "number", (), lenient=lenient) for lenient in (False, True)]
        assert tuple(extraction.answer or extraction.outcome for extraction in found) == (strict, lenient)


TAKEN_BACK = [
    "Wait, no.",
    "Hmm, wait.",
    "Actually,",
    "Hold on:",
    "Oops, I made a mistake.",
    "No, that's wrong.",
    "Oh wait,",
]


@pytest.mark.parametrize("taken_back", TAKEN_BACK)
@pytest.mark.parametrize("before", ["The answer is B.", "Final Answer: B\n\n", "\\boxed{B}.", "I'd go with B."])
def test_an_answer_taken_back(before, taken_back):
    for after in ("The answer is C.", "It should be C.", "So C is correct.", "Thus, C.", "Final Answer: C"):
        assert declared(f"{before} {taken_back} {after}", "choice", DIAGNOSES).answer == "C"
    for after in ("Maybe (C).", "Option C, then?", "The answer is something else."):
        assert declared(f"{before} {taken_back} {after}", "choice", DIAGNOSES).outcome == SEVERAL
    for after in ("Yes, B.", "He is pale.", "Option C is wrong.", "The answer is B."):
        assert declared(f"{before} {taken_back} {after}", "choice", DIAGNOSES).answer == "B"


@pytest.mark.parametrize("lenient", [False, True])
def test_a_number_taken_back(lenient):
    assert declared("The answer is 41... no, 42.", "number", lenient=lenient).answer == "42"
    assert declared("The answer is 41. Let me check: 6 * 7 = 42.", "number", lenient=lenient).answer == "41"
    assert declared("Final Answer: 41\nWait, that's wrong: the answer is 42.", "number", lenient=lenient).answer == "42"
    assert forced(" 41, no wait, 42", "number", lenient=lenient).answer in (None, "42")
    found = declared('{"answer_choice": "B. Wait and watch"}', "choice", ["Rest", "Wait and watch"], lenient)
    assert found.answer == "B"  # an option's own words


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>\nSo \\boxed{36}? Final Answer: 36\n</think>\nThe answer is 48.", "48"),
        ("<think>The answer is 36.</think>\n\n", None),
        ("12 * 4 = 36?\n</think>\n**48**", "48"),
        ("<think>a</think> 36 <think>b</think> The answer is 48", "48"),
        ("The answer is 48.\n\nQuestion: What is 6 * 6?\nAnswer: 36", "48"),
        ("#### 48\n\nQ: What is 6 * 6?\n#### 36", "48"),
        ("Answer: 48\n### Human: And 6 * 6?\n### Assistant: The answer is 36", "48"),
        ("Final Answer: 48<|im_start|>user\nFinal Answer: 36", "48"),
        ("Question: What is 12 * 4?\nAnswer: 48", "48"),  # its own question repeated
        ("Let me see.\nQ: What is 12 * 4?\nAnswer: 48", "48"),
    ],
)
def test_thoughts_and_further_questions_hold_no_answer(text, answer, lenient):
    found = declared(text, "number", (), lenient)
    assert found.answer == answer
    assert answer is None or text[slice(*found.span)] == answer


@pytest.mark.parametrize(
    ("text", "strict", "lenient"),
    [
        ("Hence, B.", "B", "B"),
        ("So it must be B.", "B", "B"),
        ("Correct: B", "B", "B"),
        ("Selected: (B)", "B", "B"),
        ("Solution: B. Hypoglycemia", "B", "B"),
        ("Answer - B", "B", "B"),
        ("**Answer** \u2192 B", "B", "B"),
        ("The answer appears to be B.", "B", "B"),
        ("The answer is most likely to be B.", "B", "B"),
        ("The answer should therefore be B.", "B", "B"),
        ("The answer is \uff08B\uff09\u3002", "B", "B"),
        ("\u7b54\u6848\uff1aB", "B", "B"),
        ("Die richtige Antwort ist B.", "B", "B"),
        ("La respuesta correcta es B.", "B", "B"),
        ("The answer is <b>B</b>.", "B", "B"),
        ("The answer is ( B )", "B", "B"),
        ("\\fbox{B}", "B", "B"),
        ("\\boxed B", "B", "B"),
        ("The answer is B and not A.", "B", "B"),
        ("The answer is B rather than A.", "B", "B"),
        ("The answer is not A but B.", "B", "B"),
        ("The answer isn't A, it's B.", "B", "B"),
        ("Option B is the most appropriate.", "B", "B"),
        ("B\n\nHe is pale, unlike in (C).", "B", "B"),
        ("**B. Hypoglycemia**\n\nHe is pale. Pulmonary embolism (A) is painful.", "B", "B"),
        ("It is clear.\n\n**B. Hypoglycemia**\n\nHe is pale.", "B", "B"),
        ("**A. Pulmonary embolism**\nNo.\n**B. Hypoglycemia**\nYes.", SEVERAL, "B"),
        ("$\\boxed{A}$ or $\\boxed{B}$", SEVERAL, "B"),
        ("The answer is A or possibly B.", SEVERAL, "A"),
        ("If it were painful, the answer would be A.", UNREAD, UNREAD),
        # only the lenient extractor reads comments on the options
        (
            "A) Pulmonary embolism - incorrect\nB) Hypoglycemia - correct\nC) Vitamin C deficiency - incorrect",
            UNREAD,
            "B",
        ),
        ("A \u2717, B \u2713, C \u2717", UNREAD, "B"),
        ("Definitely not hypoglycemia.", UNREAD, UNREAD),
        ("Answer: not hypoglycemia", UNREAD, UNREAD),
        (
            "Option B is right.\nOption C is wrong.\nHence hypoglycemia is the right answer.",
            "B",
            "B",
        ),
    ],
)
def test_declarations_of_other_models(text, strict, lenient):
    assert read_both(text, "choice", DIAGNOSES) == (strict, lenient)


@pytest.mark.parametrize(
    "text", ["Die Antwort ist 1.234", "Result: 42 apples", "Solution: 42 - 3", "So it must be 42."]
)
def test_these_declare_letters_only(text):
    assert declared(text, "number") == UNANSWERED


@pytest.mark.parametrize(
    ("text", "options", "strict"),
    [
        ("The answer is both A and B.", ["Fever", "Rash", "Both A and B", "None of the above"], "C"),
        ("Answer: None of the above", ["Fever", "Rash", "Both A and B", "None of the above"], "D"),
        ("Answer: A, C", ["A,B", "A, C", "B,C", "ABC"], "B"),
        ("Answer: B>A>D>C", ["B>A>D>C", "B>D>C>A"], "A"),
        ("Answer: B", ["B", "C", "D", "E"], "B"),  # a letter before an option's text
        ("Answer: E", ["B", "C", "D", "E"], REFUSED),
        ("Answer: B. 225", ["197.4", "320", "225", "125"], SEVERAL),
        ("Answer: 225", ["197.4", "320", "225", "125"], "C"),
        ("Answer: 22.5", ["5", "22", "225", "2"], UNREAD),
        ("Answer: fever", ["Fever", "fever.", "Rash"], UNREAD),  # of two options
        ("Answer: C. diff colitis", ["C. diff colitis", "Rash", "Fever"], "A"),
        ("Answer: D. Vitamin C, D", ["Fever", "Rash", "Cold", "Vitamin C, D"], "D"),
        ("Answer: resection", ["Resection and rest", "Resection"], "B"),
        ("Answer: K", [], "K"),
    ],
)
def test_forms_of_other_options(text, options, strict):
    found = declared(text, "choice", options)
    assert (found.answer or found.outcome) == strict


PIECES = st.sampled_from(
    [row[0] for row in CHOICES + NUMBERS] + ["\n", ". ", " ", "Final Answer:", "**", "not ", "12", "A"]
)


@settings(deadline=None)  # patterns are compiled on first use
@given(st.one_of(st.text(), st.lists(PIECES, max_size=4).map("".join)), st.sampled_from([declared, forced]))
def test_answered_strictly_is_answered_alike_leniently(text, extract):
    for kind, options in (("choice", DIAGNOSES), ("choice", ()), ("number", ())):
        strict, lenient = extract(text, kind, options), extract(text, kind, options, lenient=True)
        assert lenient == strict or strict.outcome in ("unanswered", "ambiguous")
        assert lenient.outcome != "ambiguous" or strict.outcome == "ambiguous"


@given(WRITTEN_NUMBERS)
def test_a_number_in_a_box_is_read_like_one_after_a_cue(pair):
    assert declared(f"So it is $\\boxed{{{pair[0].split(chr(10))[0]}}}$.", "number").answer == pair[1]


@given(st.integers(-999, 999), st.integers(1, 999))
def test_fractions(over, under):
    sign, size = "-" if over < 0 else "", abs(over)
    spelled = [f"{sign}{size}/{under}", f"{sign}\\frac{{{size}}}{{{under}}}"]
    for written in spelled:
        answer = declared(f"The answer is {written}.", "number").answer
        assert Fraction(answer) == Fraction(over, under)
        assert ("/" in answer) == (1000**10 % Fraction(over, under).denominator != 0)


@pytest.mark.parametrize(
    "piece",
    [
        "a ",
        "1 ",
        "1,",
        "(A) ",
        "A, ",
        "**",
        "\\boxed{",
        '{"a": "',
        "answer is ",
        "the ",
        "\n",
        "'",
        "-1/",
        "step 1 ",
        "Wait, ",
        "The answer is B. Hmm, ",
        "5. No, ",
        "\nQ: A\n",
        "A. x\n",
        "thus, ",
        "**A. a**\n",
        "\\",
        "<b>",
        "not B, it's ",
        "1 one ",
    ],
)
def test_long_texts_end(piece):
    """Rules with catastrophic backtracking would hang here."""
    text = piece * (4000 // len(piece))
    for kind, options in (("choice", DIAGNOSES), ("number", ())):
        assert declared(text, kind, options, lenient=True).outcome in ("answered", UNREAD, SEVERAL)
        assert forced(text, kind, options).outcome in ("answered", UNREAD, SEVERAL)


@pytest.mark.parametrize(("text", "answer"), [('{"answer": "B"}', "B"), (" After all, the best option is (B).", "B")])
def test_forced_reads_other_declarations_in_its_line(text, answer):
    assert forced(text, "choice", OPTIONS).answer == answer
    assert forced(f"no\n{text}", "choice", OPTIONS).answer is None


@pytest.mark.parametrize(
    "text", [" Step 1: The answer is 7.", "\n**Step 2:** So the answer is (B).", " step 3. Final Answer: B"]
)
def test_an_arm_that_goes_on_with_a_step_has_not_answered(text):
    """It was asked for its answer; a declaration after the step belongs to another chain."""
    for kind, options in (("number", ()), ("choice", OPTIONS)):
        assert forced(text, kind, options) == UNANSWERED
