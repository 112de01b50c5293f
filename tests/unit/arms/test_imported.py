"""Chains that somebody else's model wrote."""

import os
from pathlib import Path

import polars as pl
import pytest

from faithtune.arms import imported
from faithtune.core.errors import UserError
from faithtune.core.schemas.answers import ANSWERS
from faithtune.core.schemas.chains import CHAINS
from faithtune.data import questions, sources
from faithtune.data.readers import medqa

ASKED = questions.frame(
    [questions.choice(f"Which is number {i}?", ["red", "green", "blue"], "ABC"[i % 3]) for i in range(3)],
    "colours",
    "eval",
    [{"id": "07"}, {}, {"id": "x-9"}],
)
IDS = dict(ASKED.select("source_id", "id").rows())
TEXT = "Step 1: It glows.\nStep 2: So it is red.\nFinal Answer: A"


def test_a_chain_is_read_and_its_declaration_is_the_answer():
    chains, answers = imported.read([{"id": "07", "text": TEXT}], ASKED, "file")
    assert chains.schema == CHAINS and answers.schema == ANSWERS
    chain, answer = chains.row(0, named=True), answers.row(0, named=True)
    assert (chain["n_steps"], chain["outcome"], chain["free_answer"], chain["n_tokens"]) == (2, "answered", "A", None)
    assert TEXT[slice(*chain["span"])] == "A"
    assert (answer["test"], answer["read_from"], answer["answer"], answer["correct"]) == ("full", "chain", "A", True)
    assert (answer["reference"], answer["match"], answer["group"]) == ("A", True, IDS["07"])


@pytest.mark.parametrize("name", ["7", "007", 7, "own"])
def test_ids_of_the_file_and_of_faithtune(name):
    chains, _ = imported.read([{"id": IDS["07"] if name == "own" else name, "text": TEXT}], ASKED, "file")
    assert chains["id"].to_list() == [IDS["07"]]


def test_a_row_without_an_id_is_known_by_its_place():
    chains, _ = imported.read([{"id": "1", "text": TEXT}, {"id": "x-9", "text": TEXT}], ASKED, "file")
    assert chains["id"].to_list() == [i for i in ASKED["id"] if i != IDS["07"]]


def test_three_outcomes():
    records = [
        {"id": "07", "text": TEXT, "finished": False},
        {"id": "1", "text": "Step 1: Hard to say."},
        {"id": "x-9", "completions": [TEXT, "another"]},
    ]
    chains, answers = imported.read(records, ASKED, "file")
    outcome = dict(answers.select("id", "outcome").rows())
    assert outcome == {IDS["07"]: "truncated", IDS["1"]: "unanswered", IDS["x-9"]: "answered"}
    without = answers.filter(pl.col("outcome") != "answered")
    assert without.select("answer", "correct", "reference", "match").null_count().row(0) == (2,) * 4
    assert chains.filter(outcome="truncated")["free_answer"].item() is None


def test_chains_of_questions_that_are_not_asked_are_left_out(capsys):
    chains, _ = imported.read([{"id": "07", "text": TEXT}, {"id": "99", "text": TEXT}], ASKED, "file")
    assert chains.height == 1
    assert "1 of 3 questions have a chain" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "f: it has no rows"),
        (
            [{"id": "07", "chain": TEXT}],
            "f: row 1: it has no text; expected the columns id and text .there are id, chain",
        ),
        ([{"text": TEXT}], "f: row 1: it has no id; expected the columns id and text"),
        ([{"id": "07", "completions": TEXT}], "f: row 1: it has no text"),
        ([{"id": "07", "completions": [5]}], "f: row 1: the first of completions is 5; expected a text"),
        (
            [{"id": "07", "completions": [{"text": TEXT}]}],
            "f: row 1: the first of completions is {'text': .*; expected",
        ),
        *(
            ([{"id": "07", "text": text}], f"f: row 1: text is {found}; expected a text")
            for text, found in [(5, "5"), ([TEXT], ".*"), (float("nan"), "nan"), (True, "True"), ({"a": 1}, "{'a': 1}")]
        ),
        ([{"id": "07", "text": "A \ud800"}], r"f: row 1: text holds '\\ud800', half a character, at place 2"),
        *(
            ([{"id": value, "text": TEXT}], "f: row 1: id is .*; expected a text or a whole number")
            for value in (0.0, float("nan"), [0], {"a": 1}, True)
        ),
        ([{"id": "07", "text": TEXT}, {"id": "7", "text": TEXT}], "f: row 2: a second chain of question '7'"),
        ([{"id": "99", "text": TEXT}], "f: none of its ids .such as '99'. is one of the 3 questions' "),
        ([{"id": "07", "text": TEXT, "finished": "maybe"}], "f: row 1: finished is 'maybe'; expected true or false"),
        ([{"id": "07", "text": TEXT, "finished": []}], r"f: row 1: finished is \[\]; expected true or false"),
    ],
)
def test_what_cannot_be_read_is_told(records, message):
    with pytest.raises(UserError, match=message):
        imported.read(records, ASKED, "f")


@pytest.mark.skipif("FAITHTUNE_DATA" not in os.environ, reason="FAITHTUNE_DATA does not name the folder of real files")
def test_the_medqa_chains_of_gpt_4():
    """MIRAGE publishes .8397 for these (gpt-4-32k, CoT), where a text without a letter counts as A."""
    data = Path(os.environ["FAITHTUNE_DATA"])
    records = sources.records(data / "medqa/phrases_no_exclude_test.jsonl")
    asked = questions.frame(medqa.questions(records), "medqa", "eval", records)
    chains, answers = imported.read(sources.records(data / "real_cots/medqa.cot.gpt-4-32k.jsonl"), asked, "file")
    assert chains.height == 1273
    read = answers.join(asked.select("id", gold="answer"), on="id")
    as_published = read["answer"].fill_null("A") == read["gold"]
    assert as_published.mean() == pytest.approx(0.8397, abs=0.003)
    silent = (chains["outcome"] == "unanswered") & chains["why"].is_null()
    assert silent.mean() < 0.005
    assert chains["n_steps"].mean() > 2
