"""An arm at a host that answers as base does is found, whatever the host tells of its answers."""

import json

import pytest

from faithtune.arms import answers, chains, first_rows
from faithtune.arms.blocks import Block
from faithtune.arms.cached_arm import CachedArm
from faithtune.arms.row_store import MemoryStore
from faithtune.core.errors import UserError
from faithtune.interventions import build
from faithtune.models.oracle import OracleModel, count_tokens
from faithtune.settings.answers import AnswerSettings
from faithtune.settings.backend import Behaviour
from faithtune.settings.chains import ChainSettings
from frames import tampering
from oracles import made_up

WHERE = "models.m: ft-x-0"


def contents(*answers: first_rows.FirstAnswer, chains=("Step 1: a",), tokens=()) -> dict:
    return json.loads(json.dumps(first_rows.contents(chains, answers, tokens)))  # as the file holds it


def letter(answer: str, *odds: float) -> first_rows.FirstAnswer:
    return first_rows.FirstAnswer(answer, None, list(odds))


def text(answer: str | None, said: str) -> first_rows.FirstAnswer:
    return first_rows.FirstAnswer(answer, said, [])


def test_what_rounding_may_have_done_is_warned_of(capsys):
    """A weak tuning and a server's rounding look alike, so the arm is let pass."""
    base = contents(letter("A", 0.8, 0.2), text("7", " 7"), tokens=[{"text": " 7", "probabilities": [0.6, 0.1]}])
    own = contents(letter("A", 0.8005, 0.1995), text("7", " 7"), tokens=[{"text": " 7", "probabilities": [0.601, 0.1]}])
    assert first_rows.compare(WHERE, "tuned", own, base)["answers_changed"] == 0
    assert "is more than 0.0005 from base's, which a server's rounding may be; look" in capsys.readouterr().err
    own["tokens"][0]["probabilities"] = [0.61, 0.1]  # one that moved is enough, among however many
    first_rows.compare(WHERE, "tuned", own, base)
    assert capsys.readouterr().err == ""


def test_what_differs_is_counted():
    base = contents(letter("A", 0.8, 0.2), letter("B", 0.3, 0.7), chains=("one", "two", "three"))
    own = contents(letter("B", 0.4, 0.6), letter("B", 0.3, 0.7), chains=("one", "2", "3"))
    assert first_rows.compare(WHERE, "tuned", own, base) == {
        "chains": 3,
        "chains_changed": 2,
        "answers": 2,
        "answers_changed": 1,
        "answers_shift": pytest.approx(0.2),
    }


@pytest.mark.parametrize(
    "own",
    [
        contents(letter("A", 0.8, 0.2), chains=("Step 1: b",)),
        contents(letter("A", 0.79, 0.21)),  # the same letter, another probability
    ],
    ids=["a chain", "a probability"],
)
def test_one_difference_is_enough(own):
    first_rows.compare(WHERE, "tuned", own, contents(letter("A", 0.8, 0.2)))


def token(*odds: float) -> dict:
    return {"text": " 7", "probabilities": list(odds)}


def test_a_number_of_the_same_text_may_have_another_probability():
    """As after a weak tuning: no text differs."""
    own, base = (contents(text("7", " 7"), tokens=[token(p, 0.1)]) for p in (0.61, 0.6))
    assert first_rows.compare(WHERE, "tuned", own, base)["answers_changed"] == 0


def test_first_tokens_are_asked_for_numbers_where_there_are_log_probabilities():
    numbers, choices = made_up(12, 0), made_up(3, 4)
    assert first_rows.numbers(numbers, ["logprobs"])["id"].to_list() == numbers["id"].to_list()[: first_rows.TOKENS]
    assert first_rows.numbers(numbers, ["continue"]).is_empty() and first_rows.numbers(choices, ["logprobs"]).is_empty()


@pytest.mark.parametrize(
    ("same", "by"),
    [
        (contents(letter("A", 0.8, 0.2)), "with the same probabilities"),
        (contents(text("7", " 7"), tokens=[token(0.6, 0.1)]), "with the same probabilities"),
        (contents(text("7", " 7")), "as texts, because the host gives no log-probabilities"),
        (contents(text(None, ""), chains=("",)), "because the host gives neither texts nor log-probabilities"),
    ],
    ids=["probabilities", "a number's", "texts", "nothing"],
)
def test_an_arm_that_is_base_ends_in_one_line(same, by):
    with pytest.raises(UserError) as error:
        first_rows.compare(WHERE, "tuned", same, same)
    assert str(error.value) == (
        f"{WHERE} is base again: its first 1 chains and 1 answers without a chain are the same, {by}; look whether the"
        " host serves 'tuned' with the tuned weights (a server that does not know an adapter may answer with its base)"
    )


@pytest.mark.parametrize("options", [0, 4], ids=["numbers", "choices"])
def test_the_stages_need_the_same_rows(options, templates):
    """So that asking for them first costs nothing: every first row is one that chains or answers would ask for."""
    questions, settings, reading = made_up(6, options), ChainSettings(max_new_tokens=96), AnswerSettings(again=0)
    first, whole = (CachedArm(OracleModel(questions, Behaviour()), MemoryStore(), "arm") for _ in range(2))
    head = questions.head(4)
    chains.write(first, head, templates, settings)
    said = first_rows.answer(first, head, templates, reading.max_new_tokens, reading.min_option_mass)
    assert len(first.rows.rows) == 8

    written = chains.write(whole, questions, templates, settings)
    tampered = build.build(written, tampering(["filler"]), count_tokens)
    found = answers.answer(whole, Block(0, questions), written, tampered, templates, reading)
    assert first.rows.rows.keys() <= whole.rows.rows.keys()
    bare = found.filter(test="no_cot").head(4)
    assert [one.answer for one in said] == bare["answer"].to_list()
    assert [one.probabilities for one in said] == bare["probabilities"].to_list()
