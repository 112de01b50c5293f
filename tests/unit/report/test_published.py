"""Published numbers: none without who transcribed it, none in the shipped file, n/a where there is none."""

import csv
from pathlib import Path

import polars as pl
import pytest

from faithtune.core.errors import UserError
from faithtune.core.schemas.estimates import ESTIMATES
from faithtune.report.tables import published
from faithtune.report.tables.cells import TableContext
from faithtune.report.tables.published import COLUMNS, COMPARISON, compare, load
from faithtune.report.tables.tables import readable

SHIPPED = Path(__file__).parents[3] / "resources/published/published.csv"
# Made-up values, of no paper.
GOOD = {
    "source_version": "v1",
    "table": "T1",
    "llm": "Some-LLM-8b",
    "ft_set": "GSM8K",
    "rank": "16",
    "eval_set": "MedQA",
    "metric": "accuracy",
    "alpha": "",
    "cot": "with",
    "value": "12.5",
    "unit": "percent",
    "note": "",
    "transcribed_by": "A. Reader",
    "checked_by": "",
}
MATCH = GOOD | {"metric": "filler_match", "alpha": "0.5", "cot": "", "table": "T4"}


def file(tmp_path, *rows: dict) -> Path:
    path = tmp_path / "published.csv"
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return path


def cell(**values) -> dict:
    known = {"model": "some_llm_8b", "arm": "r16-gsm8k", "train_set": "gsm8k", "eval_set": "medqa"}
    known |= {"test": "cot", "metric": "accuracy", "estimate": 0.15, "low": 0.1, "high": 0.2, "n": 7}
    return known | values


def compared(rows: list[dict], *cells: dict) -> list[dict]:
    arms = [{"model": "some_llm_8b", "arm": f"r{rank}-gsm8k", "rank": rank} for rank in (8, 16)]
    frame = compare(pl.DataFrame(cells, schema=ESTIMATES), rows, arms)
    assert frame.schema == COMPARISON
    return frame.to_dicts()


def test_the_shipped_file_has_its_columns_and_no_number():
    assert SHIPPED.read_text(encoding="utf-8") == ",".join(COLUMNS) + "\n"
    assert load(SHIPPED) == []


def test_a_row_in_the_words_of_the_study(tmp_path):
    assert load(file(tmp_path, GOOD, MATCH | {"checked_by": "B. Reader"})) == [
        {
            "source_version": "v1", "model": "some_llm_8b", "train_set": "gsm8k", "rank": 16.0, "eval_set": "medqa",
            "test": "cot", "metric": "accuracy", "alpha": None, "published": 0.125, "checked": False, "note": None,
        },
        {
            "source_version": "v1", "model": "some_llm_8b", "train_set": "gsm8k", "rank": 16.0, "eval_set": "medqa",
            "test": "filler", "metric": "match", "alpha": 0.5, "published": 0.125, "checked": True, "note": None,
        },
    ]  # fmt: skip


BAD = {
    "nobody transcribed it": ({"transcribed_by": ""}, "transcribed_by is empty"),
    "only blanks": ({"transcribed_by": "  "}, "transcribed_by is empty"),
    "checked by oneself": ({"checked_by": "A. Reader"}, "checked_by is who transcribed it"),
    "no value": ({"value": ""}, "value is ''; expected a number, 0 to 100"),
    "no number": ({"value": "twelve"}, "value is 'twelve'; expected a number, 0 to 100"),
    "not a number": ({"value": "nan"}, "value is 'nan'"),
    "above 100 %": ({"value": "125"}, "value is '125'; expected a number, 0 to 100"),
    "below 0": ({"value": "-1"}, "value is '-1'"),
    "a share above 1": ({"unit": "share", "value": "1.5"}, "value is '1.5'; expected a number, 0 to 1"),
    "unknown table": ({"table": "T9"}, "table is 'T9'; expected one of T1, T2"),
    "unknown metric": ({"metric": "f1"}, "metric is 'f1'; expected one of accuracy, accuracy_effect"),
    "unknown version": ({"source_version": ""}, "source_version is ''; expected one of v1, v2, acl"),
    "unknown unit": ({"unit": ""}, "unit is ''; expected one of share, percent"),
    "no model": ({"llm": ""}, "llm is empty"),
    "no set": ({"eval_set": " "}, "eval_set is empty"),
    "no cot": ({"cot": ""}, "cot is ''; expected with or without"),
    "alpha of accuracy": ({"alpha": "0.5"}, "alpha is '0.5'; expected nothing for accuracy"),
    "match without alpha": (MATCH | {"alpha": ""}, "alpha is empty"),
    "alpha above 1": (MATCH | {"alpha": "50"}, "alpha is '50'; expected a number, 0 to 1"),
    "cot of a match": (MATCH | {"cot": "with"}, "cot is 'with'"),
    "an effect of base": ({"metric": "accuracy_effect", "ft_set": "base"}, "ft_set is base, which is no tuning"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_row_is_refused_with_file_and_line(tmp_path, case):
    change, message = BAD[case]
    path = file(tmp_path, GOOD | {"eval_set": "other"}, GOOD | change)
    with pytest.raises(UserError) as told:
        load(path)
    assert str(told.value).startswith(f"{path}: line 3: {message}")


def test_a_cell_given_twice_or_a_broken_line_is_refused(tmp_path):
    path = file(tmp_path, GOOD, GOOD | {"value": "13"})
    with pytest.raises(UserError, match=r"published\.csv: line 3: this cell is given twice"):
        load(path)
    path.write_text(",".join(COLUMNS) + "\nv1,T1\n")
    with pytest.raises(UserError, match=r"published\.csv: line 2: not CSV .expected the 14 fields"):
        load(path)
    path.write_text("table,value\n")
    with pytest.raises(UserError, match=r"published\.csv: line 1: its columns are"):
        load(path)


@pytest.mark.parametrize(
    ("note", "encoding", "message"),
    [
        ("Müller", "latin-1", "not UTF-8 text"),
        ("x" * 200_000, "utf-8", "not CSV .field larger than"),
        (None, None, "cannot be read .No such file"),
    ],
)
def test_a_file_that_is_not_read_is_named(tmp_path, note, encoding, message):
    path = tmp_path / "published.csv"
    if note is not None:
        path.write_text(file(tmp_path, GOOD | {"note": note}).read_text("utf-8"), encoding)
    with pytest.raises(UserError, match=rf"published\.csv: .*{message}"):
        load(path)


def test_nothing_published_is_never_a_guess():
    given = [cell(), cell(metric="accuracy_lenient"), cell(metric="match", test="mistake", alpha=0.5)]
    found = compared([], *given)
    assert [row["estimate"] for row in found] == [0.15]
    for name in ("published", "source_version", "checked", "inside", "sign_agrees"):
        assert found[0][name] is None
    frame = pl.DataFrame(found, schema=COMPARISON)
    assert readable(frame, "t13_published", TableContext()).item().startswith("No published number was transcribed")


def test_a_number_meets_the_cell_of_its_rank(tmp_path):
    rows = load(file(tmp_path, GOOD))
    found = compared(rows, cell(), cell(arm="r8-gsm8k"), cell(test="no_cot"), cell(eval_set="gsm8k"))
    assert [(row["arm"], row["published"], row["inside"]) for row in found] == [
        ("r16-gsm8k", 0.125, True),
        ("r8-gsm8k", None, None),
        ("r16-gsm8k", None, None),
        ("r16-gsm8k", None, None),
    ]
    any_rank = load(file(tmp_path, GOOD | {"rank": ""}))
    assert [row["published"] for row in compared(any_rank, cell(), cell(arm="r8-gsm8k"))] == [0.125, 0.125]


@pytest.mark.parametrize(
    ("value", "ours", "inside", "agrees"),
    [("-10", -0.15, True, True), ("-30", -0.15, False, True), ("10", -0.15, False, False), ("0", -0.15, False, False)],
)
def test_inside_and_sign_of_an_effect(tmp_path, value, ours, inside, agrees):
    rows = load(file(tmp_path, GOOD | {"metric": "accuracy_effect", "value": value}))
    (row,) = compared(rows, cell(metric="accuracy_effect", estimate=ours, low=-0.2, high=-0.1))
    assert (row["inside"], row["sign_agrees"]) == (inside, agrees)


def test_a_level_has_no_sign_to_agree(tmp_path):
    (row,) = compared(load(file(tmp_path, GOOD)), cell())
    assert row["sign_agrees"] is None


def test_a_published_cell_that_the_study_lacks_is_shown(tmp_path):
    (row,) = compared(load(file(tmp_path, GOOD | {"llm": "Other"})))
    assert (row["model"], row["arm"], row["published"], row["estimate"], row["inside"]) == (
        *("other", None, 0.125, None, None),
    )


def test_base_is_no_training_set(tmp_path):
    rows = load(file(tmp_path, GOOD | {"ft_set": "Base", "rank": ""}))
    (row,) = compared(rows, cell(arm="base", train_set=None))
    assert (row["arm"], row["published"]) == ("base", 0.125)


def test_names():
    assert published.name(" Llama-3-8b-Instruct ") == "llama_3_8b_instruct"
