"""`reader: table`: rows of any columns, by the keys that the manual gives for each form."""

import json
import re
from pathlib import Path

import polars as pl
import pytest
import yaml

from configurations import ROOT
from faithtune.core.errors import UserError
from faithtune.data import questions, sources
from faithtune.data.readers import table
from faithtune.settings.data import TableSettings

LAYOUTS = Path(__file__).parent / "layouts"


def keys_of_the_manual() -> dict[str, dict]:
    """Layout -> its keys, from the table of the page."""
    page = (ROOT / "docs/your-data.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| `(columns: .+)` \|$", page, re.MULTILINE)
    return {name: yaml.safe_load(f"{{{keys}}}") for name, keys in rows}


KEYS = keys_of_the_manual()
FILES = {
    "any `prompt`, `choices`, `label`": "prompt.jsonl",
    "ARC": "arc.jsonl",
    "OpenBookQA": "openbookqa.jsonl",
    "OpenBookQA hub": "openbookqa_hub.jsonl",
    "CommonsenseQA": "commonsenseqa.jsonl",
    "MMLU": "mmlu.jsonl",
    "AQuA": "aqua.jsonl",
    "StrategyQA": "strategyqa.jsonl",
    "SVAMP": "svamp.json",
    "GSM8K": "gsm8k.jsonl",
    "MATH-500": "math500.jsonl",
    "MedMCQA": "medmcqa.jsonl",
    "MedQA": "medqa.jsonl",
    "CosmosQA": "cosmosqa.csv",
    "SIQA": "siqa.csv",
}
# What each file asks: context, question, options, answer, rationale.
ASKED = {
    "prompt.jsonl": [
        (None, "Which organ makes insulin?", ["The pancreas", "The liver", "The spleen"], "A", None),
        (None, "Which of these is a mammal?", ["The trout", "The gecko", "The otter"], "C", None),
    ],
    "arc.jsonl": [
        (
            None,
            "Which tool measures the temperature of water?",
            ["a ruler", "a balance", "a thermometer", "a compass"],
            "C",
            None,
        ),
        (None, "Which planet is nearest to the Sun?", ["Mercury", "Mars", "Saturn"], "A", None),
    ],
    "openbookqa.jsonl": [
        (
            None,
            "A puddle disappears on a hot day because the water",
            ["freezes", "evaporates", "burns", "rusts"],
            "B",
            None,
        ),
        (None, "A magnet attracts", ["a wooden spoon", "a glass", "a shirt", "an iron nail"], "D", None),
    ],
    "commonsenseqa.jsonl": [
        (None, "Where would you hang a wet coat?", ["oven", "drawer", "hook", "lake", "shelf"], "C", None),
        (None, "What do people use to cut bread?", ["knife", "spoon", "rope", "pillow", "glue"], "A", None),
    ],
    "mmlu.jsonl": [
        (None, "What is the derivative of x squared?", ["2x", "x", "2", "x / 2"], "A", None),
        (
            None,
            "Which gas do plants take up to make sugar?",
            ["Oxygen", "Nitrogen", "Argon", "Carbon dioxide"],
            "D",
            None,
        ),
    ],
    "aqua.jsonl": [
        (
            None,
            "A train goes 120 km in 2 hours. How fast is it, in km per hour?",
            ["50", "60", "70", "80", "90"],
            "B",
            "It goes 120 km in 2 hours.\n120 / 2 = 60.",
        ),
        (None, "What is 15 % of 200?", ["15", "20", "25", "30", "35"], "D", "1 % of 200 is 2.\n15 * 2 = 30."),
    ],
    "strategyqa.jsonl": [
        (
            None,
            "Could a penguin meet a wild polar bear?",
            ["Yes", "No"],
            "B",
            "Wild penguins live in the southern half of the world.\nPolar bears live in the Arctic.",
        ),
        (None, "Would an ice cube float in a glass of water?", ["Yes", "No"], "A", "Ice is less dense than water."),
    ],
    "svamp.json": [
        ("Ann has 12 pens and gives 5 to Ben.", "How many pens has she left?", [], "7", None),
        ("A ribbon of 5 m is cut into 2 equal parts.", "How long is a part, in m?", [], "2.5", None),
    ],
    "gsm8k.jsonl": [
        (
            None,
            "Ann has 48 clips and sells half of them. How many has she left?",
            [],
            "24",
            "48 / 2 = 24 clips are sold.\n48 - 24 = 24 are left.",
        ),
        (
            None,
            "A car costs $1,000 and its insurance half of that. What do both cost?",
            [],
            "1500",
            "The insurance costs 1000 / 2 = 500.\n1000 + 500 = 1500.",
        ),
    ],
    "math500.jsonl": [
        (
            None,
            r"What is $\frac{1}{3} + \frac{1}{6}$?",
            [],
            r"\frac{1}{2}",
            r"In sixths this is $\frac{2}{6} + \frac{1}{6} = \frac{3}{6}$."
            + "\n"
            + r"So it is $\boxed{\dfrac{1}{2}}$.",
        ),
        (
            None,
            "Ann is taller than Evelyn and Evelyn is taller than Ben. Who is in the middle?",
            [],
            r"\text{Evelyn}",
            "Ann is the tallest and Ben the shortest.\nIn the middle is $\\boxed{\\text{Evelyn}}$.",
        ),
    ],
    "medmcqa.jsonl": [
        (
            None,
            "Which organ makes insulin?",
            ["The liver", "The heart", "The spleen", "The pancreas"],
            "D",
            "Beta cells of the pancreas make it.",
        ),
        (
            None,
            "Which vitamin does sunlight on the skin make?",
            ["Vitamin D", "Vitamin C", "Vitamin K", "Vitamin A"],
            "A",
            None,
        ),
    ],
    "medqa.jsonl": [
        (
            None,
            "A child has a fever and a strawberry tongue. Which of these is most likely?",
            ["Gout", "Scarlet fever", "Asthma", "Cataract"],
            "B",
            None,
        ),
        (None, "Which of these lowers blood sugar?", ["Insulin", "Glucagon", "Cortisol", "Adrenaline"], "A", None),
    ],
    "cosmosqa.csv": [
        (
            "I missed the bus, so I walked .",
            "Why did I walk ?",
            ["For health .", "There was no bus left .", "For fun .", "None of the above choices ."],
            "B",
            None,
        ),
        (
            "I missed the bus, so I walked .",
            "What did I miss ?",
            ["The bus .", "The train .", "My walk .", "None of the above choices ."],
            "A",
            None,
        ),
    ],
    "siqa.csv": [
        (
            "Tracy stayed at the office all night.",
            "Why did Tracy do this?",
            ["to work", "to sleep", "to dance"],
            "A",
            None,
        ),
        ("Jan lost the key.", "What will Jan do next?", ["sing", "look for it", "swim"], "B", None),
    ],
}
ASKED["openbookqa_hub.jsonl"] = ASKED["openbookqa.jsonl"]


def read(records: list[dict], **keys) -> list[dict | None]:
    return table.read(records, TableSettings.model_validate(keys))[0]


def frame(path: Path, keys: dict) -> pl.DataFrame:
    records = sources.records(path)
    return questions.frame(read(records, **keys), "mine", "eval", records)


def test_the_manual_and_the_files_have_the_same_layouts():
    assert list(KEYS) == list(FILES)
    assert sorted(path.name for path in LAYOUTS.iterdir()) == sorted(FILES.values())


@pytest.mark.parametrize("layout", FILES)
def test_the_keys_of_the_manual_read_their_layout(layout, tmp_path):
    """From its own file, and from Parquet, in which splits of the hub are kept."""
    file = LAYOUTS / FILES[layout]
    found = frame(file, KEYS[layout])
    assert found.select("context", "question", "options", "answer", "rationale").rows() == ASKED[file.name]
    pl.DataFrame(sources.records(file)).write_parquet(tmp_path / "split.parquet")
    assert frame(tmp_path / "split.parquet", KEYS[layout]).equals(found)


def test_what_settings_say_of_kind_and_rationale():
    def said(keys: dict) -> tuple:
        settings = TableSettings.model_validate(keys)
        return table.kind(settings), table.rationale(settings)

    assert said(KEYS["GSM8K"]) == ("number", "native")
    assert said(KEYS["SVAMP"]) == ("number", None)
    assert said(KEYS["MATH-500"]) == ("expression", "optional")
    assert said(KEYS["AQuA"]) == ("choice", "optional")
    assert said(KEYS["MMLU"]) == ("choice", None)


# --- answers ---------------------------------------------------------------------------------

COLUMNS = {"question": "q", "options": "o", "answer": "a"}


def rows(*answers, options=("w", "x", "y", "z")) -> list[dict]:
    return [{"q": f"Which of {i}?", "o": list(options), "a": answer} for i, answer in enumerate(answers)]


def letters(records: list[dict], **keys) -> list[str | None]:
    return [row and row["answer"] for row in read(records, columns=COLUMNS, **keys)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([0, 3, 1], "ADB"),
        ([4, 1, 2], "DAB"),
        (["4", "1"], "DA"),  # CSV
        ([0.0, 3.0], "AD"),  # Parquet with a null elsewhere
        (["a", "D"], "AD"),
        (["(B)", "C.", "d)"], "BCD"),
        (["y", "w"], "CA"),
        (["B. x", "D) z"], "BD"),
    ],
)
def test_an_answer_is_read_as_all_of_its_file(given, expected):
    assert letters(rows(*given)) == list(expected)


def test_labels_that_may_count_from_0_or_1_are_not_guessed():
    with pytest.raises(UserError) as error:
        letters(rows(1, 2, 3))
    assert str(error.value) == (
        "its answers can be read in more than one way: '1' is option B counted from 0 or option A counted from 1;"
        " expected the key answer_from: 0 or 1"
    )
    assert letters(rows(1, 2, 3), answer_from=0) == ["B", "C", "D"]
    assert letters(rows(1, 2, 3), answer_from="1") == ["A", "B", "C"]


def test_a_letter_that_is_also_the_text_of_another_option_is_not_guessed():
    swapped = rows("A", "B", options=("B", "A"))
    with pytest.raises(UserError, match=r"'A' is option A by letter or option B by text; .* answer_from: letter or"):
        letters(swapped)
    assert letters(swapped, answer_from="letter") == ["A", "B"]
    assert letters(swapped, answer_from="text") == ["B", "A"]
    assert letters([*swapped, *rows("D")]) == ["A", "B", "D"]  # the last row has no option D by its text


def test_labels_of_its_own_are_not_counted():
    own = [{"q": "?", "o": {"label": ["2", "1", "3"], "text": ["p", "r", "s"]}, "a": "1"}]
    assert letters(own) == ["B"]
    assert letters(own, answer_from=0) == ["B"]
    assert letters(own, answer_from=1) == ["A"]


@pytest.mark.parametrize(
    ("answer_from", "answer", "right"),
    [
        (0, 4, "expected a whole number from 0 to 3"),
        (1, 0, "expected a whole number from 1 to 4"),
        ("letter", "E", "expected one of A, B, C, D"),
        ("text", "v", "expected the text of one option"),
        (None, -1, "expected one of A, B, C, D, the text of one option, or its number"),
    ],
)
def test_an_answer_that_is_no_option(answer_from, answer, right):
    with pytest.raises(UserError, match=f"^row 1: a is '{answer}'; {right}"):
        letters(rows(answer), answer_from=answer_from)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "row 1: a is None; expected a text or a number"),
        ([1], r"row 1: a is \[1\]; expected a text or a number"),
        ("half \ud800", "row 1: a holds '.ud800', half a character"),
    ],
)
def test_an_answer_that_is_no_value(answer, message):
    with pytest.raises(UserError, match=message):
        letters(rows(answer))


def test_two_options_with_the_text_of_the_answer():
    with pytest.raises(UserError, match=r"row 2: a is 'x'; expected .*the text of one option"):
        letters([*rows("w"), *rows("x", options=("x", "x", "y"))])


# --- numbers ---------------------------------------------------------------------------------


def test_numbers():
    sums = [{"q": "?", "a": value} for value in (7, 2.5, 3.0, "1,200", " -4 ")]
    found = read(sums, columns={"question": "q", "answer": "a"})
    assert [questions.canonical_number(row["answer"]) for row in found] == ["7", "2.5", "3", "1200", "-4"]
    with pytest.raises(UserError, match=r"^row 1: a is '9 apples'; expected a plain number .* or the key answer_patt"):
        read([{"q": "?", "a": "9 apples"}], columns={"question": "q", "answer": "a"})
    with pytest.raises(UserError, match=r"^row 1: a is .*; expected a plain number .* or the key kind: expression$"):
        read([{"q": "?", "a": r"\frac{1}{2}"}], columns={"question": "q", "answer": "a"})


def test_expressions():
    keys = {"columns": {"question": "q", "answer": "a"}, "kind": "expression"}
    found = read([{"q": "?", "a": value} for value in (7, "$(3, 4)$", "x = 3")], **keys)
    assert questions.frame(found, "mine", "eval")["answer"].to_list() == ["7"]  # one question, asked three times
    assert [row["answer"] for row in found] == ["7", "$(3, 4)$", "x = 3"]
    with pytest.raises(UserError, match=r"^row 2: a is '.+frac\{'; expected an expression that math-verify can read"):
        read([{"q": "?", "a": "1"}, {"q": "?", "a": "\\frac{"}], **keys)
    read([{"q": "?", "a": "1"}, {"q": "?", "a": "\\frac{"}], **keys, max_bad_rows=1)


def test_the_last_match_of_the_pattern_counts():
    keys = {"columns": {"question": "q", "answer": "a", "rationale": "a"}, "answer_pattern": r"answer is (\d+)"}
    (row,) = read([{"q": "?", "a": "The answer is 5?\nNo.\nThe\nanswer is 60."}], **keys)
    assert (row["answer"], row["rationale"]) == ("60", "The answer is 5?\nNo.\nThe")
    (row,) = read([{"q": "?", "a": "so 5 or 6"}], columns={"question": "q", "answer": "a"}, answer_pattern=r"\d")
    assert row["answer"] == "6"
    with pytest.raises(UserError, match="row 1: a is 'no'; expected what answer_pattern finds"):
        read([{"q": "?", "a": "no"}], **keys)


def test_a_letter_in_a_solution():
    keys = {"columns": COLUMNS, "answer_pattern": r"\((.)\)"}
    records = [row | {"a": f"So it is ({letter})."} for row, letter in zip(rows(0, 0), "CA", strict=True)]
    assert [row["answer"] for row in read(records, **keys)] == ["C", "A"]


# --- options ---------------------------------------------------------------------------------


def options(value, **keys) -> list[str]:
    (row,) = read([{"q": "?", "o": value, "a": "A"}], columns=COLUMNS, answer_from="letter", **keys)
    return row["options"]


@pytest.mark.parametrize(
    "value",
    [
        ["w", "x"],
        ["w", "x", None],
        ["A) w", "B) x"],
        ["(a) w", "(b) x"],
        {"A": "w", "B": "x"},
        {"B": "x", "C": None, "A": "w"},  # Parquet
        {"a": "w", "b": "x"},
        {"text": ["w", "x"], "label": ["A", "B"]},
        {"text": ["w", "x"]},
        [{"label": "A", "text": "w"}, {"label": "B", "text": "x"}],
        [{"text": "w"}, {"text": "x"}],
        "w\nx\n",
        "A. w\nB. x",
        '["w", "x"]',  # CSV
        '{"A": "w", "B": "x"}',
        "['w', 'x']",  # CSV, as pandas writes a list
    ],
)
def test_forms_of_options(value):
    assert options(value) == ["w", "x"]


def test_numbers_as_options():
    assert options([1, 2.0, 2.5]) == ["1", "2", "2.5"]


def test_a_text_of_options_is_split_where_the_settings_say():
    assert options("a ) 38 , b ) 27.675 , c ) 30", options_split=" , ") == ["38", "27.675", "30"]


def test_a_letter_that_only_some_options_have_stays():
    assert options(["A. Turing", "K. Gödel"]) == ["A. Turing", "K. Gödel"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (["w"], "o has 1 option.*; expected 2 to 10"),
        ("w, x", "o has 1 option.* see options_split"),
        (list("abcdefghijk"), "o has 11 option.*; expected 2 to 10"),
        (["w", None, "x"], "o: option 2 is None; expected a text"),
        (["w", ""], "o has 1 option"),
        (["w", ["x"]], r"o: option 2 is \['x'\]; expected a text"),
        (["w", "\ud800"], "o: option 2 is"),
        ({"w": ["x"], "v": ["y"]}, "o has the keys w, v; expected text and, if they have any, label"),
        ([{"id": 1}, {"id": 2}], "o has the keys id; expected text"),
        ({"text": ["w", "x"], "label": ["A", "A"]}, "o has the labels .* expected another label for each option"),
        ({"text": ["w", "x"], "label": ["A"]}, "o has the labels"),
        ("{'text': array(['w', 'x'],\n      dtype=object)}", "o is .*array.*; expected JSON, or the key options_split"),
        (5, "o is 5; expected options"),
        (None, "o is None; expected options"),
    ],
)
def test_options_that_do_not_fit(value, message):
    with pytest.raises(UserError, match=f"^row 1: {message}"):
        options(value)


# --- rows ------------------------------------------------------------------------------------


def test_a_question_that_is_not_there():
    for question, message in (
        (None, "is missing or empty; expected a text"),
        (" ", "is missing or"),
        (5, "is 5; expect"),
    ):
        with pytest.raises(UserError, match=f"^row 2: q {message}"):
            letters([*rows(0), *(row | {"q": question} for row in rows(3))])


def test_an_unknown_column():
    with pytest.raises(UserError) as error:
        read(rows(0), columns=COLUMNS | {"question": "question"})
    assert str(error.value) == "there is no column 'question', which columns.question names; its columns are q, o, a"
    with pytest.raises(UserError, match=r"no column 'answers', which columns.answer names; did you mean answer"):
        read([{"q": "?", "answer": 1}], columns={"question": "q", "answer": "answers"})
    with pytest.raises(UserError, match=r"no column 'q.stem', which columns.question names"):
        read(rows(0), columns=COLUMNS | {"question": "q.stem"})
    with pytest.raises(UserError, match=r"no column 'ob', which columns.options.1 names"):
        read([{"q": "?", "oa": "w", "a": 0}], columns=COLUMNS | {"options": ["oa", "ob"]})
    with pytest.raises(UserError, match=r"no column 'split', which where.split names"):
        read(rows(0), columns=COLUMNS, where={"split": "test"})


def test_dots_lead_into_columns():
    asked = {"messages": [{"content": "1 + 1?"}, {"content": "2"}], "a.b": "half", "a": {"b": "whole"}}
    (row,) = read([asked], columns={"question": "messages.0.content", "answer": "messages.1.content", "context": "a.b"})
    assert (row["question"], row["answer"], row["context"]) == ("1 + 1?", "2", "half")


def test_no_rows():
    with pytest.raises(UserError, match="the file has no rows"):
        letters([])


def test_where_takes_the_rows_with_a_value():
    marked = [row | {"level": level, "ok": level > 1} for row, level in zip(rows(0, 3, 9), (1, 2, 3), strict=True)]
    assert letters(marked, where={"level": [1, "2"]}) == ["A", "D", None]
    assert letters(marked, where={"level": [1, 2], "ok": True}, answer_from=0) == [None, "D", None]
    with pytest.raises(UserError, match="no row is left by where: level has '1', '2', '3'; ok has 'false', 'true'"):
        letters(marked, where={"level": 1, "ok": True})


def test_bad_rows_are_left_out_as_far_as_allowed():
    records = [*rows(0, 3), *rows(7), *(row | {"q": None} for row in rows(1)), *rows(2)]
    settings = {"columns": COLUMNS, "max_bad_rows": 2}
    found, faults = table.read(records, TableSettings.model_validate(settings))
    assert [row and row["answer"] for row in found] == ["A", "D", None, None, "C"]
    assert [fault[:5] for fault in faults] == ["row 3", "row 4"]
    with pytest.raises(UserError, match=r"^row 3: a is '7'.* \(2 of 5 rows do not fit; max_bad_rows is 1\)$"):
        letters(records, max_bad_rows=1)


def test_bad_rows_do_not_decide_how_labels_count():
    """Counted from 0, only 4 does not fit; counted from 1, only 0."""
    with pytest.raises(UserError, match="answers can be read in more than one way: '0' is option A counted from 0 or"):
        letters(rows(0, 1, 2, 3, 4), max_bad_rows=1)
    assert letters(rows(0, 1, 2, 3, 4), max_bad_rows=1, answer_from=1) == [None, "A", "B", "C", "D"]


def test_every_value_of_the_settings_reaches_the_job():
    """As parameters, which Snakemake writes down: plain values only."""
    keys = {"columns": COLUMNS | {"options": {True: "Yes", False: "No"}}, "where": {"n": 1}, "answer_from": "letter"}
    settings = TableSettings.model_validate(keys)
    dumped = settings.model_dump()
    assert dumped["columns"]["options"] == {"true": "Yes", "false": "No"} and dumped["where"] == {"n": ["1"]}
    assert TableSettings.model_validate(json.loads(json.dumps(dumped))) == settings
