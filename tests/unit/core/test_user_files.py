"""Data files: the rows of each format, and the errors for damaged files."""

import json

import polars as pl
import pytest

from faithtune.core.errors import UserError
from faithtune.data import sources

ROWS = [{"question": "1 + 1?", "answer": "2"}, {"question": "a\u2028b", "answer": "é"}]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.jsonl", LINES.encode()),
        ("A.JSONL", LINES.encode()),
        ("a.json", LINES.encode()),
        ("a.json", json.dumps(ROWS, indent=1).encode()),
        ("a.jsonl", ("\ufeff" + LINES).encode()),
        ("a.jsonl", LINES.replace("\n", "\r\n\r\n").encode()),
        ("a.csv", 'question,answer\r\n1 + 1?,2\r\n"a\u2028b",é\r\n'.encode()),
    ],
)
def test_records(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    assert sources.records(tmp_path / name) == ROWS


def test_csv_fields_may_hold_commas_and_line_breaks(tmp_path):
    (tmp_path / "a.csv").write_text('context,label\n"one, two\nthree ""four""",1\n')
    assert sources.records(tmp_path / "a.csv") == [{"context": 'one, two\nthree "four"', "label": "1"}]


def test_parquet_records_keep_structs(tmp_path):
    rows = [{"options": {"A": "x", "B": "y"}, "label": 1}]
    pl.DataFrame(rows).write_parquet(tmp_path / "a.parquet")
    assert sources.records(tmp_path / "a.parquet") == rows


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.jsonl", b'{"a": 1}\n\n{"a": \n', r"a\.jsonl: line 3: not JSON"),
        ("a.json", b'[{"a": 1},\n{"a": }]', r"line 2: not JSON"),
        ("a.jsonl", b"1\n", "JSON object"),
        ("a.jsonl", b'{"a": "\xff"}', "not UTF-8"),
        ("a.csv", b"a,b\n1,2\n3\n", "line 3: not CSV .*2 fields"),
        ("a.csv", b"a,b\n1,2,3\n", "line 2: not CSV .*2 fields"),
        ("a.csv", b'a,b\n1,"2\n', "not CSV"),
        ("a.csv", b"a,a\n1,2\n", "line 1: not CSV .its header has 'a' twice"),
        ("a.csv", b"a,b\n1," + b"x" * 200_000, "not CSV .field larger"),
        ("a.json", b"[" * 100_000, "from line 1 on: its brackets are nested too deeply"),
        ("a.jsonl", b'{"a": 1}\n{"a": ' + b"9" * 5000 + b"}", "from line 2 on: cannot be read .Exceeds the limit"),
        ("a.parquet", b"PAR1", "not a readable Parquet"),
        ("a.txt", b"hello", r"expected \.jsonl, \.json, \.csv or \.parquet"),
    ],
)
def test_unreadable_records(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=message) as error:
        sources.records(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"a\.csv: cannot be read"):
        sources.records(tmp_path / "a.csv")
