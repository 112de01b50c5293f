"""Layouts of T15 on."""

import polars as pl

from faithtune.report.tables.cells import TableContext, number, pivot


def forgetting(rows: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Sequence, subject and set down; quantities across."""
    cells = []
    for row in rows.rows(named=True):
        labels = {"tunings": row["path"], "of": row["subject"], "set": row["eval_set"] or "all"}
        value, low, high = (number(row[name], "+") for name in ("estimate", "low", "high"))
        cells.append(labels | {"column": row["quantity"], "cell": f"{value} [{low}, {high}] ({row['n']})"})
    return pivot(cells)
