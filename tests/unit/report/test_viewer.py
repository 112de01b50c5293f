"""The item viewer's data: what became of every answer, and everything that was written, by part."""

import json

import polars as pl
import pytest

import viewed
from faithtune.core.schemas.interventions import INTERVENTIONS
from faithtune.report import viewer
from frames import answer_rows, answers, chains_of
from viewed import HOSTILE, N


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return viewed.write(tmp_path_factory.mktemp("viewer")).parent


def read(folder, name):
    """The name and data that a part hands over."""
    text = (folder / f"{name}.js").read_text("ascii")
    assert text.startswith("faithtune(") and text.endswith(")\n") and text.count("\n") == 1
    return json.loads("[" + text.removeprefix("faithtune(").removesuffix(")\n") + "]")


def test_the_index_says_what_there_is(folder):
    name, about = read(folder, "index")
    assert name == "index" and about["eval_sets"] == ["sums", "colours"] and len(about["ids"]) == N
    assert about["arms"] == [{"model": "tiny", "arm": "base"}, {"model": "tiny", "arm": "qlora-sums-1"}]
    assert about["alphas"] == [["0.25", 1, 4], ["0.5", 1, 2], ["0.75", 3, 4]]
    assert all(len(title) <= 90 for title in about["titles"])


def test_parts_hold_every_question_once(folder):
    parts = [read(folder, f"questions/{i}") for i in range(3)]
    assert [name for name, _ in parts] == ["questions/0", "questions/1", "questions/2"]
    asked = [row for _, rows in parts for row in rows]
    assert [row["question"].rsplit(" ", 1)[1] for row in asked] == [str(i) for i in range(N)]
    assert not (folder / "questions/3.js").exists()
    assert asked[0]["options"][0] == asked[0]["context"] == asked[0]["rationale"] == HOSTILE


def test_the_overview_marks_every_k():
    frame = answers(
        answer_rows("right", "A", early_termination=["B", None, "A"]),
        answer_rows("wrong", "B", no_cot=None, paraphrase=["unavailable", "truncated", "B"]),
        answer_rows("silent", None, early_termination=["A", "B", None]),
        answer_rows("cut", truncated=True),
    )
    found = viewer.overview(
        ["right", "none", "wrong", "silent", "cut"], viewer.ArmItems("m", "a", chains_of(frame), None, frame)
    )
    assert found["full"] == "r-w?t"
    assert found["steps"] == [2, None, 2, 2, 2]
    assert found["tests"]["early_termination"] == ["x?=", "", "===", "..?", ""]
    assert found["tests"]["paraphrase"] == ["===", "", "-t=", "???", ""]


def test_what_stood_before_the_answer_is_told_line_by_line(folder):
    _, rows = read(folder, "tiny.qlora-sums-1/0")
    one = rows[0]
    own = [f"Step 1: first {HOSTILE}", "Step 2: second, of arm 1"]
    assert one["text"] == HOSTILE and one["lines"][:2] == own

    def stood(test, k):
        (row,) = [row for row in one["tests"][test] if row["k"] == k]
        return [one["lines"][number] for number in row["shown"]]

    assert stood("full", 2) == stood("early_termination", 2) == stood("filler", 2) == own
    assert stood("early_termination", 1) == own[:1] and stood("early_termination", 0) == []
    first, second = stood("filler", 1)
    assert first == own[0] and second.startswith(f"Step 2: {HOSTILE}")
    assert stood("paraphrase", 0) == ["Step 1: other words", "Step 2: other words"]


def test_answers_have_their_probabilities(folder):
    _, rows = read(folder, "tiny.qlora-sums-1/0")
    cut = rows[0]["tests"]["early_termination"][0]
    assert (cut["answer"], cut["mark"], cut["correct"], cut["p"], cut["p_reference"]) == ("C", "x", False, 0.2, 0.5)
    silent = rows[0]["tests"]["filler"][0]
    assert (silent["outcome"], silent["mark"], silent["p"]) == ("unanswered", "?", None)


def test_an_arm_may_lack_chains_and_interventions():
    frame = answers(answer_rows("a", "A"))
    found = viewer.details(["a", "b"], viewer.ArmItems("m", "a", chains_of(frame), None, frame))
    assert found[1] is None
    assert {row["shown"] for rows in found[0]["tests"].values() for row in rows} == {None}


def test_thoughts_are_shown_as_they_stood_in_their_block():
    """Not as numbered steps: the text of the whole chain says how an arm writes."""
    frame = answers(answer_rows("a", "A"))
    texts = [("full", 2, "step 0\n\nstep 1"), ("early_termination", 1, "step 0")]
    rows = [{"id": "a", "test": test, "k": k, "n_steps": 2, "text": text} for test, k, text in texts]
    thoughts = pl.DataFrame(rows, schema=INTERVENTIONS)
    (found,) = viewer.details(["a"], viewer.ArmItems("m", "a", chains_of(frame), thoughts, frame))
    assert found["lines"] == ["step 0", "step 1"]
    assert found["tests"]["full"][0]["shown"] == [0, 1]
    assert found["tests"]["early_termination"][1]["shown"] == [0]


def test_options_in_another_order_are_compared_without_a_chain():
    """As the tables' shuffle_match is: the chain has no part in it."""
    rows = [answer_rows("a", "A", no_cot="B"), answer_rows("b", "A", no_cot="A"), answer_rows("c", "A", no_cot=None)]
    moved = [row[0] | {"test": "no_cot_shuffled", "answer": "B", "outcome": "answered", "match": False} for row in rows]
    frame = answers(*rows, moved)
    pair = viewer.ArmItems("m", "a", chains_of(frame), None, frame)
    assert viewer.overview(["a", "b", "c"], pair)["tests"]["no_cot_shuffled"] == ["=", "x", "."]
    told = [row["tests"]["no_cot_shuffled"][0]["mark"] for row in viewer.details(["a", "b", "c"], pair)]
    assert told == ["=", "x", "."]


def test_asked_again_shows_the_whole_chain():
    one = viewed.pair(1, 1)
    again = one.answers.filter(test="full").with_columns(test=pl.lit("again"))
    (found,) = viewer.details(["q0"], one._replace(answers=pl.concat([one.answers, again])))
    assert found["tests"]["again"][0]["shown"] == [0, 1]


def test_numbers_have_a_probability_only_as_the_own_answer():
    frame = answers(answer_rows("a", "A", filler=["B", "A", "A"], p=0.25))
    (found,) = viewer.details(["a"], viewer.ArmItems("m", "a", chains_of(frame), None, frame))
    assert [row["p"] for row in found["tests"]["filler"]] == [None, 0.25, 0.25]
