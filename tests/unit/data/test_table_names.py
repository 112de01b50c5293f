"""Columns by their usual names: the same questions as by the manual's keys, and nothing guessed."""

import pytest
import yaml
from test_table import FILES, KEYS, LAYOUTS

from faithtune.core.errors import UserError
from faithtune.data import questions, sources
from faithtune.data.readers import table
from faithtune.data.table import names
from faithtune.settings.data import TableSettings

PARTS = ("context", "question", "options", "answer")
# Layouts in which a part has no usual name; a text of the error.
UNUSUAL = {
    "AQuA": "no column has a usual name of the answer (answer, label,",
    "OpenBookQA": "answerKey should name an option, but no column has a usual name of the options (options, choices)",
    "OpenBookQA hub": "no column has a usual name of the question (question, prompt, problem, input); its columns are",
    "StrategyQA": "decomposition could be the options; its columns are qid, term, description, question, answer, facts",
}


def asked(records: list[dict], keys: dict):
    rows, _ = table.read(records, TableSettings.model_validate(keys))
    return questions.frame(rows, "mine", "eval", records).select(PARTS)


@pytest.mark.parametrize("layout", [layout for layout in FILES if layout not in UNUSUAL])
def test_the_same_questions_as_by_the_keys_of_the_manual(layout):
    records = sources.records(LAYOUTS / FILES[layout])
    given = {key: KEYS[layout][key] for key in ("kind", "where") if key in KEYS[layout]}  # no name of a column says it
    assert asked(records, names.find(records) | given).equals(asked(records, KEYS[layout]))


@pytest.mark.parametrize("layout", UNUSUAL)
def test_a_layout_without_usual_names_is_not_guessed(layout):
    with pytest.raises(UserError) as error:
        names.find(sources.records(LAYOUTS / FILES[layout]))
    assert UNUSUAL[layout] in str(error.value)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"problem": "2 + 2?", "solution": "Two and two.\n#### 4"}, ("solution", "solution", "#### (.+)")),
        ({"problem": "2 + 2?", "solution": "Two and two.", "gold": "4"}, ("gold", "solution", None)),
        ({"input": "2 + 2?", "target": 4, "id": 7}, ("target", None, None)),
    ],
)
def test_where_the_number_is(row, expected):
    found = names.find([row, row])
    columns = found["columns"]
    assert (columns["answer"], columns.get("rationale"), found.get("answer_pattern")) == expected


def test_a_mark_in_some_rows_alone_is_no_form_of_the_file():
    found = names.find([{"question": "?", "answer": "#### 4"}, {"question": "?", "answer": "4"}])
    assert found == {"columns": {"question": "question", "answer": "answer"}}


@pytest.mark.parametrize(
    ("columns", "options"),
    [
        ("question, A, B, C, answer", ["A", "B", "C"]),
        ("question, answer, option_2, option_1", ["option_1", "option_2"]),
        ("ending0, ending1, prompt, label", ["ending0", "ending1"]),
        ("question, A, C, answer", None),  # not in order from the first
        ("question, A, answer", None),
        ("question, a, b, answer", None),  # a and b may be the numbers of the question
    ],
)
def test_options_in_a_column_each(columns, options):
    row = dict.fromkeys(columns.split(", "), "x")
    assert names.find([row])["columns"].get("options") == options


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "{question: a, prompt: b, answer: 1}",
            "question and prompt could each be the question; its columns are",
        ),
        ("{question: a, answer: 1, gold: 2}", "answer and gold could each be the answer"),
        ("{question: a, options: [], A: 1, B: 2, answer: 1}", "options and ['A', 'B'] could each be the options"),
        ("{question: a, first: 3, label: 1}", "label should name an option"),
        ("{question: a, alternatives: [b, c], answer: 1}", "alternatives could be the options"),
        ("{question: a, explanation: b}", "no column has a usual name of the answer"),
    ],
)
def test_what_could_be_read_in_two_ways_is_an_error(row, message):
    with pytest.raises(UserError) as error:
        names.find([yaml.safe_load(row)])
    assert message in str(error.value)
