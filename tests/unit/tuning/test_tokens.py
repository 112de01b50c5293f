"""Training examples as tokens: the prompt is the evaluation prompt, and only the rest is learnt."""

import polars as pl
import pytest
import tiny

import small
from faithtune.core.errors import UserError
from faithtune.data import prompts, questions
from faithtune.data.readers import arithmetic
from faithtune.models import loading
from faithtune.tuning import examples, tokens
from faithtune.tuning.methods import sft
from trainings import SETTINGS

CHOICE = questions.choice("Which?", ["red", "blue"], "B", rationale="It is not red.\nSo it is blue.") | {"id": "choice"}


@pytest.fixture(scope="module")
def sums() -> pl.DataFrame:
    return questions.frame(arithmetic.generate(24, seed=5), "sums", "train")


@pytest.fixture(scope="module")
def tokenizer():
    return small.tokenizer()


@pytest.mark.parametrize(
    ("target", "form", "start"), [("rationale", "cot", "Step 1:"), ("answer_only", "no_cot", "Final Answer:")]
)
def test_the_evaluation_prompt_is_a_token_prefix_and_is_not_learnt(sums, tokenizer, templates, target, form, start):
    for question in sums.to_dicts():
        made = tokens.tokenise_example(tokenizer, templates, question, target)
        prompt = prompts.render(tokenizer, prompts.user_turn(templates, form, question))
        evaluation = prompts.token_ids(tokenizer, prompt + start)
        assert made["input_ids"][: len(evaluation)] == evaluation
        learnt = [token for token, mask in zip(*made.values(), strict=True) if mask]
        text = tokenizer.decode(learnt)
        assert text.startswith(start)
        assert text.endswith(f"Final Answer: {question['answer']}<|end|>")
        assert tokenizer.decode(made["input_ids"][: -len(learnt)]) == prompt


def test_the_whole_turn_is_learnt_and_nothing_of_the_prompt(sums, tokenizer, templates):
    for question in [*sums.to_dicts()[:3], CHOICE]:
        for target in ("rationale", "answer_only"):
            made = tokens.tokenise_example(tokenizer, templates, question, target)
            ids, mask = made["input_ids"], made["completion_mask"]
            assert mask == sorted(mask) and len(mask) == len(ids)  # the prompt, then the turn
            user, turn = (
                tokenizer.decode([i for i, m in zip(ids, mask, strict=True) if m == wanted]) for wanted in (0, 1)
            )
            assert user == prompts.render(tokenizer, examples.user_turn(templates, question, target))
            assert turn == examples.completion(question, target) + tokenizer.eos_token
            assert ids[-1] == tokenizer.eos_token_id and mask[-1] == 1  # it learns to stop


@pytest.mark.parametrize("family", tiny.THINKING.values(), ids=tiny.THINKING)
def test_a_model_that_thinks_is_taught_to_think_or_to_answer_at_once(sums, templates, family):
    """The block that evaluation writes into the prompt is given: its opening, and without a chain its closing."""
    tokenizer = tiny._tokenizer(small._TEXTS, family)
    spoken = prompts.Turns(thinking=["<think>\n", "\n</think>\n\n"], enable_thinking=True)
    for question in [*sums.to_dicts()[:3], CHOICE]:
        answer = f"Final Answer:{prompts.answer_text(question)}{tokenizer.eos_token}"
        thought = "\n\n".join(question["rationale"].splitlines())
        expected = {
            "rationale": ("cot", "<think>\n", f"{thought}\n</think>\n\n{answer}"),
            "answer_only": ("no_cot", "<think>\n\n</think>\n\n", answer),
        }
        for target, (form, given, learnt) in expected.items():
            made = tokens.tokenise_example(tokenizer, templates, question, target, spoken)
            user = prompts.user_turn(templates, form, question)
            parts = [tokenizer.decode([i for i, m in zip(*made.values(), strict=True) if m == mask]) for mask in (0, 1)]
            assert parts == [prompts.render(tokenizer, user, given, spoken), learnt]


def test_a_training_speaks_as_its_models_card_says(sums, templates, monkeypatch):
    monkeypatch.setattr(loading, "load_tokenizer", lambda path: small.tokenizer())
    cards = {"path": "model"}, {"path": "model", "turns": {"system": "Be brief."}}
    plain, brief = (sft.prepare(card, sums.head(1), templates, SETTINGS) for card in cards)
    texts = [small.tokenizer().decode(rows[0]["input_ids"]) for rows in (plain, brief)]
    assert texts[1] == f"<|system|>\nBe brief.<|end|>\n{texts[0]}"


def test_another_prompt_than_the_evaluations_is_refused(sums, tokenizer, templates, monkeypatch):
    monkeypatch.setattr(tokens.forms, "CHAIN_START", "First step:")
    with pytest.raises(UserError, match="not a token-prefix"):
        tokens.tokenise_example(tokenizer, templates, sums.to_dicts()[0], "rationale")
