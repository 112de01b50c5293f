"""T17 and T18: an arm in another form, and arms that read each other's chains, a line a subject."""

import polars as pl
import pytest

from faithtune.measures.generalisation import crossing, shifts
from faithtune.measures.generalisation.crossing import CROSSING
from faithtune.measures.generalisation.shifts import SHIFTS
from faithtune.report.tables.cells import TableContext
from faithtune.report.tables.tables import readable, select

NUMBERS = {"estimate": -0.1, "low": -0.2, "high": 0.0, "n": 30}


def laid(rows: list[dict], schema: pl.Schema, name: str) -> pl.DataFrame:
    return readable(select(pl.DataFrame(rows, schema=schema), name, TableContext()), name, TableContext())


def test_both_arms_stand_in_both_forms():
    where = {"model": "m", "arm": "t-s", "shift": "asked", "eval_set": "s", "subject": "accuracy"}
    names = [*shifts.DESIGN.cells, *shifts.DESIGN.differences]
    rows = [where | NUMBERS | {"quantity": name} for name in names]
    rows += [row | {"test": "filler"} for row in rows]  # the table has the mean over all tests
    found = laid(rows, SHIFTS, "t17_shifts")
    assert found.columns == ["model", "arm", "form", "set", "of", *names, "n"]
    assert found.height == 1
    assert found["base"].item() == "-0.100 [-0.200, 0.000]"
    assert found["difference"].item() == "-0.100 [-0.200, +0.000]"


def test_readers_and_writers_stand_side_by_side():
    where = {"model": "m", "arm": "t-s", "against": "base"}
    names = [*crossing.DESIGN.cells, *crossing.DESIGN.differences]
    rows = [
        where | NUMBERS | {"quantity": name, "subject": subject, "reference": reference, "eval_set": eval_set}
        for subject, reference in (("accuracy", None), ("faithfulness", "reader's"), ("faithfulness", "writer's"))
        for eval_set in (None, "s")
        for name in names
    ]
    rows[0] |= {"low": None, "high": None}
    rows[1] |= {"estimate": None}
    found = laid(rows, CROSSING, "t18_crossing")
    assert found.columns == [
        "model",
        "t",
        "b",
        "of",
        "set",
        *crossing.DESIGN.cells,
        "change",
        "by chains",
        "by reading",
        "n",
    ]
    assert found.select("of", "set").rows() == [
        (of, name)
        for of in ("accuracy", "faithfulness, to the reader's answer", "faithfulness, to the writer's answer")
        for name in ("all", "s")
    ]
    assert found.row(0)[5:7] == ("-0.100", "n/a")
    assert set(found["by chains"]) == {"-0.100 [-0.200, +0.000]"}


@pytest.mark.parametrize(("name", "schema"), [("t17_shifts", SHIFTS), ("t18_crossing", CROSSING)])
def test_a_study_without_them_says_which_key_it_lacks(name, schema):
    (line,) = laid([], schema, name).rows()
    assert f"(key {name.partition('_')[2]})" in line[0]
