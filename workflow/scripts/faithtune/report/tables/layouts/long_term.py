"""Layouts of T15 to T18."""

from collections.abc import Collection, Iterator, Mapping

import polars as pl

from faithtune.measures.generalisation import crossing as crossings
from faithtune.measures.generalisation import shifts as other_forms
from faithtune.measures.generalisation.domains import FAR, IN, NEAR
from faithtune.measures.long_term.forgetting import AVERAGE
from faithtune.report.tables.cells import TableContext, counted, pivot, with_interval

# `where` of GENERALISATION, of rows over several sets, and the column that shows it; names of sets have no spaces.
_MEANS = {IN: "in-domain mean", NEAR: "near mean", FAR: "far mean"}
_MEANS |= {f"{where} - {IN}": f"{where} - in-domain" for where in (NEAR, FAR)}
# Column of T18 -> quantity of CROSSING.
_CROSSED = {name: name for name in crossings.DESIGN.cells}
_CROSSED |= {"change": "change", "by chains": "chains", "by reading": "reading"}
# Column of T17 -> quantity of SHIFTS.
_SHIFTED = {name: name for name in (*other_forms.DESIGN.cells, *other_forms.DESIGN.differences)}


def forgetting(rows: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Sequence, subject and set down; quantities across."""
    cells = []
    for row in rows.rows(named=True):
        labels = {"model": row["model"], "tunings": row["path"], "of": row["subject"], "set": row["eval_set"] or "all"}
        sign = "" if row["quantity"] == AVERAGE else "+"
        cells.append(labels | {"column": row["quantity"], "cell": counted(row, sign)})
    return pivot(cells)


def generalisation(rows: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Model, arm and subject down; evaluation sets, then means and their difference across."""
    cells, sets = [], rows["eval_set"].drop_nulls().unique(maintain_order=True).to_list()
    for row in rows.rows(named=True):
        labels = {"model": row["model"], "arm": row["arm"], "of": row["subject"]}
        if row["eval_set"] is None:
            cells.append(labels | {"column": _MEANS.get(row["where"]), "cell": counted(row)})
        else:
            mark = "" if row["where"] == FAR else f"{row['where']}: "
            cells.append(labels | {"column": row["eval_set"], "cell": mark + counted(row)})
    return pivot([cell for cell in cells if cell["column"]], [*sets, *_MEANS.values()])


def shifts(rows: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Arm, form, set and subject down; both arms in both forms, what the form changes, and the difference across."""
    lines = []
    for first, part in _by(rows, "model", "arm", "shift", "eval_set", "subject"):
        line = {"model": first["model"], "arm": first["arm"], "form": first["shift"], "set": first["eval_set"]}
        line |= {"of": first["subject"]} | _across(part, _SHIFTED, other_forms.DESIGN.cells)
        lines.append(line | {"n": str(first["n"])})
    return pl.DataFrame(lines)


def crossing(rows: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Two arms, subject and set down; who reads whose chains, then the change and its parts, across."""
    lines = []
    for first, part in _by(rows, "model", "against", "arm", "subject", "reference", "eval_set"):
        to = f", to the {first['reference']} answer" if first["reference"] else ""
        of = first["subject"].replace("_", "-") + to
        line = {"model": first["model"], "t": first["arm"], "b": first["against"], "of": of}
        line |= {"set": first["eval_set"] or "all"} | _across(part, _CROSSED, crossings.DESIGN.cells)
        lines.append(line | {"n": str(first["n"])})
    return pl.DataFrame(lines)


def _by(rows: pl.DataFrame, *names: str) -> Iterator[tuple[dict, pl.DataFrame]]:
    """The rows over all tests, divided by these columns, each part with its first row."""
    whole = rows.filter(pl.col("test").is_null())
    for part in whole.partition_by(*names, maintain_order=True):
        yield part.row(0, named=True), part


def _across(part: pl.DataFrame, columns: Mapping[str, str], levels: Collection[str]) -> dict[str, str]:
    """The cells of a line: by its column, each quantity with its interval; a difference shows its sign."""
    found = {row["quantity"]: row for row in part.rows(named=True)}
    return {title: with_interval(found[of], "" if of in levels else "+") for title, of in columns.items()}
