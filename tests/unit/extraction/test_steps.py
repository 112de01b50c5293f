import contextlib
import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faithtune.data.forms import STEPS
from faithtune.extraction.cues import FINAL_LINE
from faithtune.extraction.steps import chain_ended, split
from faithtune.extraction.text import unwrap_json

WORDS = st.sampled_from(
    ["she", "buys", "Dr. Lee", "e.g. two", "3.5", "$4", "1,200", "39 * 2 = 78", "(B)", "eggs.", "Then", "step 2", "no"]
)
CLEAN_STEP = st.lists(WORDS, min_size=1, max_size=6).map(lambda words: "Now " + " ".join(words) + " left.")
# Pieces that confuse splitters, joined at random.
PIECES = st.sampled_from(
    [
        "Step 1:",
        "Step 2: ",
        "**Step 3:**",
        "step 4. ",
        "### Step 5\n",
        "Final Answer: 66",
        "**Final Answer:**",
        "B",
        "66.",
        "#### 66",
        "A: 5",
        "Answer: (C)",
        "The answer is 66.",
        "So the correct answer is (B).",
        "1. ",
        "- ",
        "2) do it",
        "\n",
        "\n\n",
        " ",
        "39 * 2 = 78.",
        "She has 3.5 eggs, e.g. brown ones.",
        "Dr. Lee agrees",
        "why?",
        "\u2028",
        "\r\n",
        "****",
    ]
)
MESSY = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=12).map("".join))


@given(st.lists(CLEAN_STEP, min_size=2, max_size=6))
def test_join_and_split_are_inverse(steps):
    assert split(STEPS.join(steps)) == steps


@given(
    st.lists(CLEAN_STEP, min_size=2, max_size=6),
    st.sampled_from(["66", "(B)", "B. text", "$4 each", " The answer is B"]),
)
def test_a_final_answer_line_adds_no_step(steps, answer):
    assert split(f"{STEPS.join(steps)}\nFinal Answer: {answer}\nStep 9: more text") == steps


@settings(max_examples=400)
@given(MESSY)
def test_steps_are_clean_and_splitting_again_changes_nothing(text):
    steps = split(text)
    assert all(step.strip() == step and len(step.splitlines()) == 1 for step in steps)
    assert not any(cue.search(step) for step in steps for cue in FINAL_LINE.values())
    if len(steps) > 1:  # a sentence may be split differently without its context
        assert split(STEPS.join(steps)) == steps


@pytest.mark.parametrize(
    "text",
    [
        '{"step_by_step_thinking": "Add them.\\nHalve it, \\"quickly\\".", "answer_choice": "C"}',
        '{"step_by_step_thinking": "Add them.\nHalve it, "quickly".", "answer_choice": "C"}',
        "{'step_by_step_thinking': 'Add them.\\nHalve it, \"quickly\".', 'answer_choice': 'C. six'}",
        '```json\n{\n  "answer": 7,\n  "reasoning": ["Add them.", "Halve it, \\"quickly\\"."]\n}\n```',
        'Add them. Halve it, \\"quickly\\".", "answer_choice": "C"}',
        '{"thinking": {"one": "Add them.", "two": "Halve it, \\"quickly\\"."}, "final_answer": "C"}',
        '{"reasoning": "Add them.\\nHalve it, \\"quickly\\".',
    ],
)
def test_the_reasoning_of_a_chain_written_as_json(text):
    assert split(text) == ["Add them.", 'Halve it, "quickly".']


@pytest.mark.parametrize("text", ['{"answer": "C"}', "{'answer_choice': 'C. six'}", '```json\n{"answer": 7}\n```'])
def test_json_without_reasoning_is_a_collapsed_chain(text):
    assert split(text) == []


@pytest.mark.parametrize(
    "text",
    [
        'He said "no", "answer": that is it',
        "{x: 5} is a set.\nSo x = 5.",
        "[1, 2]\nNow add.",
        '{"step_by',
        '{"The sky is blue"}',
    ],
)
def test_text_that_is_no_json_is_left_alone(text):
    assert unwrap_json(text) == text


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("Step 1: 39 * 2 = 78.\nStep 2: 78 - 12 = 66.\nFinal Answer: 66", ["39 * 2 = 78.", "78 - 12 = 66."]),
        (
            "Step 1: Sum:\n3 + 4. Yes\n\nStep 2: halve it",
            ["Sum: 3 + 4. Yes", "halve it"],
        ),  # several lines in one of several marked steps
        ("**Step 1:** add them\n**Step 2:** halve it\n\n**Final Answer:** 5", ["add them", "halve it"]),
        ("### Step 1 - add them\n### Step 2 - halve it", ["add them", "halve it"]),
        ("To solve this:\nStep 1: add them.\nStep 2: halve it.", ["add them.", "halve it."]),
        ("Step 1: 3 + 4 = 7. Step 2: 7 * 2 = 14.", ["3 + 4 = 7.", "7 * 2 = 14."]),
        ("Step 1: add them.\nStep 2: From Step 1: it is 5", ["add them.", "From Step 1: it is 5"]),
        ("add them\nhalve it\n", ["add them", "halve it"]),
        ("1. add them\n2. halve it\n3.\n", ["add them", "halve it"]),
        (
            "It costs $3.5 each, e.g. for Dr. Lee. So two cost 7.",
            ["It costs $3.5 each, e.g. for Dr. Lee.", "So two cost 7."],
        ),
        # a single marked step does not show how the model divides its reasoning
        ("Step 1: add them\nhalve it", ["add them", "halve it"]),
        ("Step 1: Add them. Halve it. The answer is 66.\nFinal Answer: 66", ["Add them.", "Halve it."]),
    ],
)
def test_markers_then_lines_then_sentences(text, steps):
    assert split(text) == steps


@pytest.mark.parametrize(
    "final",
    [
        "Final Answer: B",
        "final answer : B",
        "**Final Answer**: (B) text",
        "Answer: 42",
        "#### 42",
        "A: 1,234",
        "The answer is 66.",
        "So, the correct answer is (B).",
        "Therefore, the single, most likely answer is C. Some text.",
        "Step 3: Final Answer: 66",
        "Step 3: The answer is 3.5",
        "Step 3: 66",
        "### Answer\nB",
        "**Answer**\n\n**(B) text**",
        "**Final Answer**\n\nThe final answer is $\\boxed{66}$",
        "<answer>\nB\n</answer>",
        "#### (B)",
        "Correct answer: B",
        "\n---\n",
    ],
)
def test_the_final_answer_is_no_step(final):
    assert split(f"Step 1: add them\nStep 2: halve it\n{final}") == ["add them", "halve it"]


@pytest.mark.parametrize("answer", ["Answer: 17", "**Final Answer:** 17", "#### 17", "### Answer\n17", "Answer:\n17"])
def test_an_explanation_after_the_answer_is_the_chain(answer):
    assert split(f"{answer}\n\nHe has 12.\nHe buys 5 = 17.") == ["He has 12.", "He buys 5 = 17."]
    assert split(f"{answer}\n\nExplanation: He has 12. He buys 5.") == ["Explanation: He has 12.", "He buys 5."]
    assert split(f"{answer}\n\nQuestion: What now?\nHe has 12.") == []


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("<think>\nadd them\nhalve it\n</think>\n\nThe answer is 7.", ["add them", "halve it"]),
        ("</think>\nadd them\nhalve it", ["add them", "halve it"]),
        ("add them\n|:---|---|\nhalve it", ["add them", "halve it"]),
        ("```python\nadd = 3\n```\nhalve it", ["add = 3", "halve it"]),
        ("add them\nhalve it\n\\[\n\\boxed{60}\n\\]", ["add them", "halve it"]),
        ("add them\nhalve it\n$$\\boxed{\\frac{1}{2}}$$", ["add them", "halve it"]),
    ],
)
def test_tags_rules_fences_and_boxes_are_no_steps(text, steps):
    assert split(text) == steps


@pytest.mark.parametrize(
    "last",
    [
        "So the answer is 5 + 3 = 8.",
        "The answer is not A, as it is too small.",
        "The answer is B because it rains.",
        "A: too small",
        "#### Sums",
        "### Answer to this",
        "So they have \\boxed{8}.",
        "I know the answer is near.",
    ],
)
def test_a_closing_sentence_that_reasons_stays(last):
    assert split(f"Step 1: add them\nStep 2: {last}") == ["add them", last]


@pytest.mark.parametrize(
    "text", ["", " \n", "Step 1:", "Step 1: B", "Step 1: (B)\nFinal Answer: B", "Final Answer: 66", "Step 1: ..."]
)
def test_a_collapsed_chain_has_no_steps(text):
    assert split(text) == []


def test_a_chain_ends_with_the_line_of_the_answer():
    text = "Step 1: add them\nFinal Answer: 66\n"
    ended = [chain_ended(text[:length]) for length in range(len(text) + 1)]
    assert ended == [False] * len(text) + [True]
    assert not chain_ended("Final Answer:\n")
    assert chain_ended("Final Answer:\n66\n")
    assert chain_ended("**Final Answer:** (B)\nmore")
    assert not chain_ended("Step 1: add them\n\n\n")


def real_chains():
    """(chain, its final line) of the 6B model's solutions; (completion, None) of GPT-4."""
    folder = os.environ.get("FAITHTUNE_DATA")
    if not folder or not (Path(folder) / "real_cots").is_dir():
        pytest.skip("FAITHTUNE_DATA names no folder with real_cots/ in it")
    folder = Path(folder) / "real_cots"
    for line in (folder / "gsm8k.model_solutions.6b.jsonl").read_text().splitlines():
        for model in ("6b_finetuning", "6b_verification"):
            text = json.loads(line)[model]["solution"]
            last = text.strip().splitlines()[-1]
            yield text, last if re.fullmatch(r"A: [-$]*[\d,.]+", last) else None
    for name in ("medqa.cot.gpt-4-32k.jsonl", "medmcqa.cot.gpt-4-32k.first2000.jsonl"):
        for line in (folder / name).read_text().splitlines():
            text = json.loads(line)["completions"][0]
            yield text, None


def test_real_chains():
    n_chains = n_final = n_json = n_steps = 0
    for text, final in real_chains():
        steps = split(text)
        n_chains, n_final, n_steps = n_chains + 1, n_final + bool(final), n_steps + len(steps)
        assert steps, text
        assert all(step.strip() for step in steps)
        assert final is None or not any(final in step for step in steps), text
        assert split(STEPS.join(steps)) == steps
        if text.startswith("{"):
            n_json += 1
            with contextlib.suppress(ValueError):  # some completions are invalid JSON
                assert steps == split(json.loads(text, strict=False)["step_by_step_thinking"])
            assert not any("answer_choice" in step or "step_by_step" in step for step in steps), text
    # 2 x 1,319 solutions and 3,273 completions
    assert (n_chains, n_final, n_json) == (5911, 2631, 3241)
    assert 4 < n_steps / n_chains < 5
