"""Layouts of T15 on."""

import polars as pl

from faithtune.measures.generalisation.crossing import CELLS
from faithtune.measures.generalisation.domains import FAR, IN, NEAR
from faithtune.report.tables.cells import NOT_AVAILABLE, TableContext, number, pivot

# `where` of GENERALISATION, of rows over several sets, and the column that shows it; names of sets have no spaces.
_MEANS = {IN: "in-domain mean", NEAR: "near mean", FAR: "far mean", f"{FAR} - {IN}": "far - in-domain"}
# Column of T18 -> quantity of CROSSING.
_CROSSED = {name: name for name in CELLS} | {"change": "change", "by chains": "chains", "by reading": "reading"}


def forgetting(rows: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Sequence, subject and set down; quantities across."""
    cells = []
    for row in rows.rows(named=True):
        labels = {"tunings": row["path"], "of": row["subject"], "set": row["eval_set"] or "all"}
        cells.append(labels | {"column": row["quantity"], "cell": _cell(row)})
    return pivot(cells)


def generalisation(rows: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Model, arm and subject down; evaluation sets, then means and their difference across."""
    cells, sets = [], rows["eval_set"].drop_nulls().unique(maintain_order=True).to_list()
    for row in rows.rows(named=True):
        labels = {"model": row["model"], "arm": row["arm"], "of": row["subject"]}
        if row["eval_set"] is None:
            cells.append(labels | {"column": _MEANS.get(row["where"]), "cell": _cell(row)})
        else:
            mark = "" if row["where"] == FAR else f"{row['where']}: "
            cells.append(labels | {"column": row["eval_set"], "cell": mark + _cell(row)})
    return pivot([cell for cell in cells if cell["column"]], [*sets, *_MEANS.values()])


def _cell(row: dict) -> str:
    """`+0.100 [-0.100, +0.300] (80)`: estimate, interval, questions."""
    if row["estimate"] is None:
        return NOT_AVAILABLE
    value, low, high = (None if row[name] is None else number(row[name], "+") for name in ("estimate", "low", "high"))
    return value + (f" [{low}, {high}]" if low else "") + f" ({row['n']})"


def crossing(rows: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Two arms, subject and set down; who reads whose chains, then the change and its parts, across."""
    whole = rows.filter(pl.col("test").is_null(), pl.col("quantity").is_in(list(_CROSSED.values())))
    titles, lines = {of: title for title, of in _CROSSED.items()}, []
    for part in whole.partition_by(
        "model", "against", "arm", "subject", "reference", "eval_set", maintain_order=True, include_key=True
    ):
        first = part.row(0, named=True)
        of = first["subject"] + (f", to the {first['reference']} answer" if first["reference"] else "")
        line = {"model": first["model"], "t": first["arm"], "b": first["against"], "of": of}
        line["set"] = first["eval_set"] or "all"
        for row in part.rows(named=True):
            sign = "" if row["quantity"] in CELLS else "+"
            value, low, high = (_or_nothing(row[name], sign) for name in ("estimate", "low", "high"))
            line[titles[row["quantity"]]] = f"{value} [{low}, {high}]"
        lines.append(line | {"n": str(first["n"])})
    return pl.DataFrame(lines)


def _or_nothing(value: float | None, sign: str) -> str:
    return NOT_AVAILABLE if value is None else number(value, sign)
