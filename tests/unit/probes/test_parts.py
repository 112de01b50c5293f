"""The parts of a prompt are the tokens of its texts, in every form of turn."""

import pytest
import tiny

import small
from faithtune.core.errors import UserError
from faithtune.data import prompts
from faithtune.models import local
from faithtune.probes import parts

CHOICE = {
    "kind": "choice",
    "context": "It was red.",
    "question": "What was it?",
    "options": ["red thing", "blue"],
    "answer": "A",
}
NUMBER = {"kind": "number", "context": None, "question": "red plus 3?", "options": [], "answer": "3"}
TEMPLATES = {"cot_choice": "Read.\n\n{question}\n\nThink.", "cot_number": "{question}\n\nThink."}
STEPS = ["It is red plus 3.", "So 7", "blue"]


def texts(model, found: parts.Parts, places: list[int]) -> str:
    ids = model.token_ids(found.prompt)
    return model.tokenizer.decode([ids[place] for place in places])


@pytest.mark.parametrize("question", [CHOICE, NUMBER], ids=["choice", "number"])
@pytest.mark.parametrize("n", [0, 1, 3])
def test_parts_are_the_tokens_of_their_texts(question, n):
    model = small.model()
    found = parts.divide(model, TEMPLATES, question, STEPS[:n])
    ids = model.token_ids(found.prompt)
    block = "It was red.\n\nWhat was it?\n\nA. red thing\nB. blue" if question is CHOICE else "red plus 3?"
    assert texts(model, found, found.question).strip() == block
    assert texts(model, found, found.user).replace(" ", "").split() == (
        ["Read.", "Think."] if question is CHOICE else ["Think."]
    )
    assert [texts(model, found, step).strip() for step in found.steps] == [
        f"Step {i}: {step}" for i, step in enumerate(STEPS[:n], start=1)
    ]
    assert texts(model, found, range(found.start, len(ids))).strip() == prompts.CUE
    assert texts(model, found, [found.before]).endswith("\n") and found.before == found.start - 1 - len(found.chain)
    # Together with the first token and the marks of turns they are all.
    everything = [0, *found.template, *found.question, *found.user, *found.chain, *range(found.start, len(ids))]
    assert sorted(everything) == list(range(len(ids)))
    assert "<|user|>" in texts(model, found, [0, *found.template]) and "Think" not in texts(
        model, found, found.template
    )


def test_deleting_a_part_leaves_the_rest():
    model = small.model()
    found = parts.divide(model, TEMPLATES, NUMBER, STEPS[:2])
    assert found.without("question") == model.render(
        "\n\nThink.", "Step 1: It is red plus 3.\nStep 2: So 7\nFinal Answer:"
    )
    assert found.without("chain") == model.render("red plus 3?\n\nThink.", "\nFinal Answer:")


def test_a_question_that_the_example_repeats_is_the_last_one():
    model, templates = small.model(), {"cot_number": "red plus 3? It is 4.\n\n{question}"}
    found = parts.divide(model, templates, NUMBER, STEPS)
    assert min(found.question) > max(found.user) and texts(model, found, found.question).strip() == "red plus 3?"


def test_without_a_first_mark_the_first_token_is_in_no_part():
    tokenizer = small.tokenizer()
    kept, tokenizer.chat_template = tokenizer.chat_template, None
    try:
        found = parts.divide(small.model(), TEMPLATES, NUMBER, STEPS)
        assert 0 not in found.question and min(found.question) == 1
    finally:
        tokenizer.chat_template = kept


@pytest.mark.parametrize("name", tiny.THINKING)
def test_a_model_that_thinks(name):
    family = tiny.THINKING[name]
    tokenizer = tiny._tokenizer(small._TEXTS, family)
    turns = prompts.Turns(thinking=("<think>\n", "\n</think>\n\n"))
    model = local.LocalModel(tokenizer, lambda: None, turns=turns)
    found = parts.divide(model, TEMPLATES, NUMBER, STEPS)
    assert [texts(model, found, step).strip() for step in found.steps] == STEPS
    tail = texts(model, found, range(found.start, len(model.token_ids(found.prompt))))
    assert tail.strip().startswith("</think>") and tail.endswith(prompts.CUE)
    assert "<think>" in texts(model, found, found.template)


def test_a_template_that_changes_the_question_is_refused():
    tokenizer = small.tokenizer()
    kept = tokenizer.chat_template
    tokenizer.chat_template = kept.replace("m['content']", "m['content'] | upper")
    try:
        with pytest.raises(UserError, match="chat template changes the text of the user's turn"):
            parts.divide(small.model(), TEMPLATES, NUMBER, STEPS)
    finally:
        tokenizer.chat_template = kept
