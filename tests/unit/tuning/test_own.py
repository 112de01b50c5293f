"""The target `own`: what is learnt is a chain that the model drew, with the right answer, in the evaluation's form."""

import polars as pl
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

import small
from faithtune.arms import chains
from faithtune.arms.cached_arm import CachedArm
from faithtune.arms.row_store import MemoryStore
from faithtune.arms.sampling import samples
from faithtune.core.errors import UserError
from faithtune.core.schemas.samples import SAMPLES
from faithtune.data import forms, prompts, questions
from faithtune.data.questions import LETTERS
from faithtune.data.turns import settle
from faithtune.models import loading
from faithtune.settings.chains import ChainSettings
from faithtune.settings.tunings import OwnSettings
from faithtune.tuning import examples, own, tokens
from faithtune.tuning.methods import pairs, sft
from trainings import changed

THINKING = prompts.Turns(thinking=["<think>\n", "\n</think>\n\n"], enable_thinking=True)
ASKED = questions.frame(
    [
        questions.number("How many?", "12"),
        questions.number("How far?", "7"),
        questions.choice("Which?", ["red", "blue"], "B"),
    ],
    "set",
    "train",
)
ONE, TWO, THREE = ASKED["id"]


def sample(name: str, number: int, steps: list[str], right: bool = True, outcome: str = "answered") -> dict:
    return dict.fromkeys(SAMPLES) | {"id": name, "sample": number, "steps": steps, "outcome": outcome, "right": right}


def drawn(*rows: dict) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SAMPLES)


MADE = drawn(
    sample(TWO, 1, ["wrong"], right=False),
    sample(TWO, 2, ["c"]),
    sample(ONE, 1, []),
    sample(ONE, 2, ["a", "b"]),
    sample(ONE, 3, ["a", "b"]),
    sample(ONE, 4, ["a b"]),
    sample(THREE, 1, ["cut"], right=False, outcome="truncated"),
)


@pytest.mark.parametrize(
    ("keep", "expected"),
    [(1, [(ONE, ["a", "b"]), (TWO, ["c"])]), (9, [(ONE, ["a", "b"]), (ONE, ["a b"]), (TWO, ["c"])])],
)
def test_the_first_different_right_chains_are_learnt(keep, expected, capsys):
    found, counts = own.learnable([MADE], ASKED, OwnSettings(keep=keep), "mine-set-42")
    assert found.select("id", "steps").rows() == expected
    assert counts == {"questions": 3, "questions_found": 2}
    assert found.columns == [*ASKED.columns, "steps"]
    line = f"2 of 3 questions have a right chain among 4 drawn at temperature 0.8: {len(expected)} chains are learnt"
    assert line in capsys.readouterr().out


def test_a_question_of_two_data_sets_is_learnt_once():
    found, _ = own.learnable([MADE, MADE], ASKED, OwnSettings(keep=4), "mine-set+other-42")
    assert found.select("id", "steps").rows() == [(ONE, ["a", "b"]), (ONE, ["a b"]), (TWO, ["c"])]


def test_without_a_right_chain_the_error_says_what_to_do():
    wrong = MADE.filter(~pl.col("right"))
    with pytest.raises(UserError) as error:
        own.learnable([wrong], ASKED, OwnSettings(samples=2, temperature=1.5), "mine-set+other-42")
    text = str(error.value)
    assert "\n" not in text
    assert text.startswith(
        "config: tunings.mine: none of the 3 questions of set+other has a right chain among 2 drawn at temperature 1.5;"
        " expected more own.samples"
    )


CONTRASTED = drawn(
    *MADE.filter(pl.col("id") != TWO).to_dicts(),
    sample(TWO, 1, ["wrong"], right=False) | {"free_answer": "9"},
    sample(TWO, 2, ["c"]),
    sample(TWO, 3, [], right=False) | {"free_answer": "8"},
    sample(TWO, 4, ["d"]),
    sample(ONE, 5, ["e"], right=False, outcome="truncated"),
)


def test_a_pair_is_a_right_chain_and_a_wrong_one_of_the_same_question(capsys):
    """ONE has no wrong chain but a truncated one, THREE no right one; TWO has two right and one wrong with a step."""
    found, counts = own.contrasted([CONTRASTED], ASKED, OwnSettings(keep=3), "mine-set-42")
    assert found.select("id", "steps", "wrong_steps", "wrong_answer").rows() == [(TWO, ["c"], ["wrong"], "9")]
    assert counts == {"questions": 3, "questions_found": 1}
    assert "1 of 3 questions have a right and a wrong chain among 4" in capsys.readouterr().out
    with pytest.raises(UserError, match="none of the 3 questions of set has a right and a wrong chain among 4 drawn"):
        own.contrasted([CONTRASTED.filter("right")], ASKED, OwnSettings(), "mine-set-42")


def test_pairs_of_own_chains_are_whole_turns(templates, monkeypatch):
    monkeypatch.setattr(loading, "load_tokenizer", lambda path: small.tokenizer())
    found, _ = own.contrasted([CONTRASTED], ASKED, OwnSettings(), "mine-set-42")
    [row] = pairs.prepare({"path": "model"}, found, templates, changed(method="dpo", target="own"))
    texts = {key: small.tokenizer().decode(ids) for key, ids in row.items()}
    assert texts["chosen_ids"] == "Step 1: c\nFinal Answer: 7<|end|>"
    assert texts["rejected_ids"] == "Step 1: wrong\nFinal Answer: 9<|end|>"
    question = ASKED.row(by_predicate=pl.col("id") == TWO, named=True)
    asked = prompts.user_turn(templates, "cot", question)
    assert texts["prompt_ids"] == prompts.render(small.tokenizer(), asked)


@pytest.mark.parametrize("turns", [prompts.USUAL, THINKING], ids=["steps", "block"])
def test_an_example_has_the_evaluations_form(turns, templates):
    tokenizer = small.tokenizer() if turns == prompts.USUAL else tiny._tokenizer(small._TEXTS, tiny.QWEN3)
    found, _ = own.learnable([MADE], ASKED, OwnSettings(), "mine-set-42")
    for question in found.to_dicts():
        made = tokens.tokenise_example(tokenizer, templates, question, "own", turns)
        form, user = forms.form_of(turns), prompts.user_turn(templates, "cot", question)
        parts = [tokenizer.decode([i for i, m in zip(*made.values(), strict=True) if m == mask]) for mask in (0, 1)]
        turn = f"{form.answer(form.join(question['steps']))} {question['answer']}{tokenizer.eos_token}"
        assert "".join(parts) == prompts.render(tokenizer, user, turn, turns)
        assert parts[1].startswith("Step 1:" if turns == prompts.USUAL else question["steps"][0])


def test_a_model_that_thinks_learns_its_own_thoughts(thinking_model, templates):
    """From its draws to its examples, with each family's chat template."""
    model, card = tiny.model(thinking_model), {"path": str(thinking_model)} | settle(thinking_model, {}, "tiny")
    asked = [questions.choice(f"Which colour is box {i}?", ["red", "green"], "AB"[i % 2]) for i in range(8)]
    asked, how = questions.frame(asked, "colours", "train"), OwnSettings(samples=4)
    arm = CachedArm(model, MemoryStore(), "arm")
    made = samples.draw(arm, asked, templates, ChainSettings(max_new_tokens=96), how)
    found, counts = own.learnable([made], asked, how, "mine-colours-42")
    assert 0 < counts["questions_found"] == found.height
    rows = sft.prepare(card, found, templates, changed(target="own"))
    for row, question in zip(rows, found.to_dicts(), strict=True):
        learnt = [token for token, mask in zip(*row.values(), strict=True) if mask]
        thought = "\n\n".join(question["steps"])
        end = f"\n</think>\n\nFinal Answer:{prompts.answer_text(question)}{model.tokenizer.eos_token}"
        assert model.tokenizer.decode(learnt) == thought + end


WORDS = st.sampled_from(
    ["3 + 4 = 7.", "So it is 12.", "The answer is 7.", "It is B.", "Answer: A", "**Answer: 9**", "not red", "Wait, no."]
)
ENDS = st.sampled_from(["12", "7", "A", "B", "B. blue", "A or B", "none", "I cannot tell", ""])
TEXTS = st.tuples(st.lists(WORDS, max_size=4), ENDS, st.booleans())


def written(words: list[str], end: str) -> str:
    chain = "".join(f"Step {i}: {word}\n" for i, word in enumerate(words, 1))
    return f"{chain}Final Answer: {end}\n"


@given(st.lists(st.lists(TEXTS, min_size=1, max_size=4), min_size=3, max_size=3), st.integers(1, 4))
def test_a_wrong_answer_is_never_taught(texts, keep):
    """Whatever a model writes: what is learnt declares the right answer, by the project's own extractor."""
    rows = [
        samples.read(question, number, written(words, end), finished, 9)
        for question, some in zip(ASKED.to_dicts(), texts, strict=True)
        for number, (words, end, finished) in enumerate(some, 1)
    ]
    by_id = {(row["id"], "\n".join(row["steps"])) for row in rows if row["right"]}
    try:
        found, counts = own.learnable([drawn(*rows)], ASKED, OwnSettings(keep=keep), "mine-set-42")
    except UserError:
        assert not any(row["right"] and row["steps"] for row in rows)
        return
    assert counts["questions_found"] == len({row["id"] for row in rows if row["right"] and row["steps"]})
    for question in found.to_dicts():
        taught = examples.completion(question, "own")
        again = chains.read(question, f"{taught}\n", True, 9)
        assert (question["id"], "\n".join(question["steps"])) in by_id
        assert (again["outcome"], again["free_answer"]) == ("answered", question["answer"])
        assert taught.splitlines()[-1].startswith(f"Final Answer: {question['answer']}")
        assert question["answer"] in LETTERS or question["answer"].isdigit()
