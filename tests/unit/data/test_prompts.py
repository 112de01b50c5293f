"""Prompts: one form of conversation, whose last turn is continued."""

from types import SimpleNamespace

import pytest
import tiny

import small
from configurations import ROOT
from faithtune.core.errors import UserError
from faithtune.data import prompts
from faithtune.data.forms import STEPS

CHOICE = {
    "kind": "choice",
    "context": "A wall.",
    "question": "Which colour?",
    "options": ["red", "blue"],
    "answer": "B",
}
NUMBER = {"kind": "number", "context": None, "question": "How many?", "options": [], "answer": "42"}


@pytest.fixture(scope="module")
def tokenizer():
    return small.tokenizer()


def test_the_users_turn_is_the_template_with_the_question():
    template = {"cot_choice": "Think.\n\n{question}\n\nNow."}
    assert prompts.user_turn(template, "cot", CHOICE) == "Think.\n\nA wall.\n\nWhich colour?\n\nA. red\nB. blue\n\nNow."


def test_braces_in_a_question_stay():
    template = {"cot_number": "{question}"}
    assert prompts.user_turn(template, "cot", NUMBER | {"question": "What is {x}?"}) == "What is {x}?"


def test_the_cue_follows_the_chain():
    assert STEPS.answer("Step 1: a") == "Step 1: a\nFinal Answer:"
    assert STEPS.answer("") == "Final Answer:"


def test_the_assistants_turn_is_left_open(tokenizer):
    text = prompts.render(tokenizer, "Hello", "Step 1:")
    assert text == "<|user|>\nHello<|end|>\n<|assistant|>\nStep 1:"


def test_without_a_chat_template_turns_are_plain(tokenizer, monkeypatch):
    monkeypatch.setattr(tokenizer, "chat_template", None)
    assert prompts.render(tokenizer, "Hello", "Step 1:") == "Hello\n\nStep 1:"


def test_a_plain_turn_begins_with_the_bos_token():
    assert prompts.render(prompts.PLAIN, "Hello") == "Hello\n\n"
    base = SimpleNamespace(chat_template=None, bos_token="<s>")
    assert prompts.render(base, "Hello", "Step 1:") == "<s>Hello\n\nStep 1:"


def test_answers_as_they_follow_the_cue():
    assert prompts.answer_text(CHOICE) == " B. blue"
    assert prompts.answer_text(NUMBER) == " 42"
    assert prompts.answer_text(NUMBER | {"kind": "expression", "answer": r"\pi"}) == r" \pi"


def test_the_folders_have_the_same_templates():
    """So another one can be chosen without a change of the data sets or the tests.

    Those that are other forms (`short_…`) have the questions' templates alone.
    """
    folders = sorted((ROOT / "resources/prompts").glob("*/"))
    names = {folder.name: {path.name for path in folder.glob("*.txt")} for folder in folders}
    assert len(names) == 5 and names["zero_shot"] == names["one_shot"] == names["short"]
    of_questions = {name for name in names["short"] if "cot_" in name}
    assert names["short_reworded"] == names["short_turned"] == of_questions
    for form in ("cot", "no_cot"):
        for kind in ("choice", "number", "expression"):
            texts = [prompts.read_template(folder / f"{form}_{kind}.txt") for folder in folders]
            assert all("{question}" in text for text in texts)


def test_letters_are_one_token_after_the_cue(tokenizer):
    ids = prompts.option_token_ids(tokenizer, 3)
    assert [tokenizer.decode([i]) for i in ids] == [" A", " B", " C"]


def test_a_tokenizer_that_splits_letters_is_refused(templates):
    texts = ["no such letters here"] * 3
    with pytest.raises(UserError, match="' A' after 'Final Answer:' is not one token"):
        prompts.option_token_ids(tiny._tokenizer(texts), 3)
