"""The files a table becomes, and that each carries where it comes from."""

import csv
import json
from functools import cache

import polars as pl
import pyarrow.parquet
import pytest

from faithtune.core import parquet
from faithtune.core.errors import UserError
from faithtune.core.schemas.estimates import ESTIMATES
from faithtune.jobs import provenance
from faithtune.report.tables import recipes, sources, texts
from faithtune.report.tables.cells import TableContext, without_bold
from faithtune.report.tables.layouts.main import panels
from faithtune.report.tables.tables import MAIN, TABLES, readable, select
from faithtune.report.tables.write import write
from frames import build, inputs, random_answers
from recipe_frames import arm, compared

SUFFIXES = (".parquet", ".csv", ".md", ".tex")
STUDY = TableContext(confidence=0.9)
ORIGIN = {"code": {"commit": "c0ffee", "changed": False}, "configuration": {"seed": 1}, "data": {}}
LINE = provenance.summary_line(ORIGIN)


@cache
def estimates() -> pl.DataFrame:
    frames = {
        ("m_1", arm, eval_set): random_answers(10 * i + j)
        for i, arm in enumerate(("base", "sums"))
        for j, eval_set in enumerate(("sums", "blogs"))
    }
    return build(**inputs(frames, {"base": None, "sums": "sums"}))


def rows(name: str) -> pl.DataFrame:
    """Rows of the table; of another source than estimates, one row of nulls and plain values."""
    table = TABLES[name]
    if table.source is sources.RECIPES_COMPARED:
        found = compared([arm("a"), arm("b")], {"a": {"accuracy": 0.1}, "b": {}}, "a")
        return recipes.compared(found, estimates(), [{"model": "m", "arm": "a-s"}], [{"seen": 9, "seconds": 60}])
    if table.rows is None:
        plain = {pl.String: "m_1", pl.Float64: 0.5, pl.Int32: 3, pl.Int64: 3, pl.Boolean: False}
        values = {column: [plain[kind]] for column, kind in table.schema.items()}
        return pl.DataFrame(values, schema=table.schema)
    return select(estimates(), name, STUDY)


@pytest.mark.parametrize("name", TABLES)
def test_written_files(name, tmp_path):
    found = rows(name)
    paths = [tmp_path / f"{name}{suffix}" for suffix in SUFFIXES]
    write(found, name, paths, STUDY, ORIGIN)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in paths)

    assert parquet.read(paths[0], TABLES[name].schema).equals(found)
    metadata = pyarrow.parquet.read_schema(paths[0]).metadata
    assert json.loads(metadata[provenance.KEY.encode()]) == ORIGIN

    frame = readable(found, name, STUDY)
    with paths[1].open(encoding="utf-8", newline="") as file:
        head, *body = csv.reader(file)
    assert head == [*frame.columns, "provenance"]
    assert body == [[*map(without_bold, line), provenance.short_digest(ORIGIN)] for line in frame.rows()]

    text = paths[2].read_text(encoding="utf-8")
    around = texts.around(found, frame, name, STUDY)
    assert text.startswith(f"# {TABLES[name].title}\n\n") and text.endswith(f"\n\n{LINE}\n")
    prose = " ".join(text.split())
    assert all(" ".join(part.split()) in prose for part in (around.caption, around.legend, *around.notes))
    of_estimates = TABLES[name].rows is not None or TABLES[name].part == MAIN
    assert ("90 % interval" in prose or "interval: 90 %" in prose) == (of_estimates and len(found) > 0)
    printed = panels(frame) if TABLES[name].part == MAIN else [("", frame)]
    lines = [line for line in text.splitlines() if line.startswith("|") and not line.startswith("|:")]
    expected = [line for heading, part in printed for line in (part.columns, *part.rows())]
    assert [tuple(cell.strip() for cell in line[1:-1].split("|")) for line in lines] == [*map(tuple, expected)]
    assert all(f"\n\n{heading}\n\n" in text for heading, _ in printed if heading)


def test_a_legend_has_the_marks_that_occur_alone():
    found = rows("t1_accuracy")
    around = texts.around(found, readable(found, "t1_accuracy", STUDY), "t1_accuracy", STUDY)
    assert around.legend.startswith("90 % intervals.") and not around.notes
    assert len(around.legend) <= 120


def test_the_line_of_provenance():
    assert LINE.startswith("Provenance: commit c0ffee, configuration ")
    changed = ORIGIN | {"code": {"commit": "c0ffee", "changed": True}}
    assert provenance.summary_line(changed).startswith("Provenance: commit c0ffee with changes, configuration ")
    assert provenance.summary_line(ORIGIN | {"configuration": {"seed": 2}}).split(",")[1] != LINE.split(",")[1]


def test_names_are_escaped(tmp_path):
    values = {"model": "m", "arm": r"50%_of $\{x}|#1&~^", "eval_set": "s", "test": "cot", "metric": "accuracy"}
    values |= {"estimate": 0.5, "low": 0.4, "high": 0.59, "n": 1}
    found = select(pl.DataFrame([values], schema=ESTIMATES), "t1_accuracy", STUDY)
    write(found, "t1_accuracy", [tmp_path / "t.tex", tmp_path / "t.md"], STUDY, ORIGIN)
    tex = (tmp_path / "t.tex").read_text()
    escaped = r"50\%\_of \$\textbackslash{}\{x\}|\#1\&\textasciitilde{}\textasciicircum{}"
    assert escaped in tex and r"0.50 \ensuremath{^{+.09}_{-.10}}" in tex
    assert r"50%_of $\{x}\|#1&~^" in (tmp_path / "t.md").read_text()


def test_two_writings_are_equal_bytes(tmp_path):
    for folder in ("a", "b"):
        paths = [tmp_path / folder / f"t{suffix}" for suffix in SUFFIXES]
        write(rows("t1_accuracy"), "t1_accuracy", paths, STUDY, ORIGIN)
    for suffix in SUFFIXES:
        assert (tmp_path / "a" / f"t{suffix}").read_bytes() == (tmp_path / "b" / f"t{suffix}").read_bytes()


def test_what_cannot_be_written_is_told(tmp_path):
    with pytest.raises(UserError, match=r"t\.xlsx: a table is written as"):
        write(rows("t1_accuracy"), "t1_accuracy", [tmp_path / "t.csv", tmp_path / "t.xlsx"], STUDY, ORIGIN)
    assert list(tmp_path.iterdir()) == []
