"""Layouts of all tables but the main ones: which columns of the rows go down a table, and which go across.

A layout takes a table's rows (at least one) and the study, and returns a frame of text, one row per line of the table.
`main` has the layouts of T1 to T8, `long_term` of T15 to T18, `inside` of T19 to T21.
"""

from collections.abc import Iterator

import polars as pl

from faithtune.measures.metrics.registry import METRICS
from faithtune.report.tables.cells import (
    ENDS,
    NOT_AVAILABLE,
    TITLES,
    CellText,
    TableContext,
    alpha,
    interval,
    least_detectable,
    number,
    p_value,
    parsed,
    pivot,
    place,
    position,
    set_name,
)
from faithtune.report.tables.rows import ACCURACY, BY_BOTH_EXTRACTORS, CHANGES, MATCH
from faithtune.report.tables.setup import STATED


def arms_across(selection: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Model, evaluation set, metric, test, α and k down; arms across. Labels that are empty everywhere are left out."""
    cells, shown = [], CellText(selection, study)
    for row in selection.filter(~pl.col("metric").is_in(ENDS)).rows(named=True):
        labels = {"model": row["model"], "evaluation set": set_name(row), "metric": row["metric"]}
        labels |= {"test": TITLES.get(row["test"], ""), "α": alpha(row), "k": "" if row["k"] is None else str(row["k"])}
        cells.append(labels | {"column": row["arm"], "cell": shown.text(row)})
    frame = pivot(cells)
    return frame.drop(name for name in ("test", "α", "k") if (frame[name] == "").all())


def supplement(selection: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """One estimate per line: all metrics that are read where a main table has a cell, then those of the set.

    Columns that are empty everywhere are left out.
    """
    shown = CellText(selection, study)
    rows = selection.filter(~pl.col("metric").is_in(ENDS)).sort(
        *(place(name, selection[name].unique(maintain_order=True)) for name in ("model", "arm", "eval_set")),
        place("test", [*TITLES, None]),
        "alpha",
        place("metric", [*ACCURACY, *MATCH, *CHANGES]),
        nulls_last=True,
        maintain_order=True,
    )
    frame = pl.DataFrame([_line(row, shown) for row in rows.rows(named=True)])
    return frame.drop(name for name in frame.columns if (frame[name] == "").all())


def _line(row: dict, shown: CellText) -> dict[str, str]:
    count = {name: "" if row[name] is None else str(row[name]) for name in ("n", "n_unanswered", "n_truncated")}
    return {
        **{"model": row["model"], "arm": row["arm"], "set": set_name(row), "test": TITLES.get(row["test"], "")},
        **{"α": alpha(row), "metric": METRICS[row["metric"]].title, "estimate": shown.marked(row)},
        **{"interval": interval(row), "bounds": shown.bounds(row), "p": p_value(row["p"])},
        **{"p (Holm)": p_value(row["p_holm"]), "mde": "" if (mde := least_detectable(row)) is None else number(mde)},
        **{"n": count["n"], "unanswered": count["n_unanswered"], "truncated": count["n_truncated"]},
        **{"parsed": parsed(row), "seeds": str(row["seeds"]) if (row["seeds"] or 1) > 1 else ""},
    }


def extractors(selection: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """One accuracy or effect per line: strict, lenient, and whether both lead to the same conclusion."""
    known = {position(row, row["metric"]): row for row in selection.rows(named=True)}
    lines, shown = [], CellText(selection, study)
    for row in _ordered(selection, BY_BOTH_EXTRACTORS):
        lenient = known[position(row, f"{row['metric']}_lenient")]
        labels = {"model": row["model"], "arm": row["arm"], "evaluation set": set_name(row)}
        labels |= {"metric": row["metric"], "test": TITLES[row["test"]], "α": alpha(row)}
        texts = {
            "strict": shown.text(row),
            "lenient": shown.text(lenient),
            "conclusion survives": _survives(row, lenient) if METRICS[row["metric"]].is_effect else "",
        }
        lines.append(labels | texts)
    return pl.DataFrame(lines)


def hyper_parameters(rows: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Parameters down, arms across; ‡ at a parameter that the paper does not state, or at a value it does not have."""
    several = rows["model"].n_unique() > 1
    cells = []
    for row in rows.rows(named=True):
        mark = "" if row["stated"] else " ‡"
        names = {"parameter": row["parameter"], "cell": row["value"]}
        names["cell" if row["parameter"] in STATED else "parameter"] += mark
        cells.append(names | {"column": f"{row['model']} {row['arm']}" if several else row["arm"]})
    return pivot(cells)


def claims(rows: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """One claim per line, with the minimum detectable effect beside an inconclusive verdict."""
    lines = []
    for row in rows.rows(named=True):
        ends = ("estimate", "low", "high")
        line = {name: row[name] or "" for name in ("claim", "statement", "model")}
        line |= {name: NOT_AVAILABLE if row[name] is None else number(row[name], "+") for name in ends}
        line["p"] = p_value(row["p"]) or NOT_AVAILABLE
        published = [row[f"published{end}"] for end in ("", "_low", "_high")]
        value, *ends = ("" if x is None else number(x, "+") for x in published)
        line["as published"] = f"{value} [{', '.join(ends)}]" if value else ""
        mde = "" if row["mde"] is None else f" (mde {number(row['mde'])})"
        lines.append(line | {"n": str(row["n"]), "verdict": row["verdict"] + mde, "note": row["note"] or ""})
    return pl.DataFrame(lines)


def prompts(rows: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Like `plain`, with the first lines in quotation marks, because the blank before the filler counts."""
    return plain(rows.with_columns(begins=pl.format('"{}"', "begins")), study)


def published(rows: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Like `plain`, only rows with a transcribed number."""
    return plain(rows.drop_nulls("published"), study)


def plain(rows: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """The rows as they are: numbers with three decimals, yes or no for booleans, n/a for null."""
    columns = {name.replace("_", " "): [_text(value) for value in rows[name]] for name in rows.columns}
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))


def _ordered(selection: pl.DataFrame, metrics) -> Iterator[dict]:
    """The rows of the metrics: arms in their own order, within an arm the order of `metrics`."""
    for arm in selection.partition_by("model", "arm", maintain_order=True):
        for metric in metrics:
            yield from arm.filter(pl.col("metric") == metric).rows(named=True)


def _survives(strict: dict, lenient: dict) -> str:
    """yes: both intervals are on the same side of 0, or both contain it."""
    sides = []
    for row in (strict, lenient):
        if row["low"] is None:
            return NOT_AVAILABLE
        sides.append(1 if row["low"] > 0 else -1 if row["high"] < 0 else 0)
    return "yes" if sides[0] == sides[1] else "no"


def money(rows: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Names, counts with thousands separators, and USD with four decimals, n/a for null."""
    columns = {}
    for name, kind in rows.schema.items():
        if kind == pl.String:
            texts = rows[name].fill_null("").to_list()
        else:
            shape = ",.4f" if name.startswith("usd") else ","
            texts = [NOT_AVAILABLE if value is None else format(value, shape) for value in rows[name]]
        columns[name.replace("_", " ").replace("usd", "USD")] = texts
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))


def _text(value) -> str:
    if value is None:
        return NOT_AVAILABLE
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if isinstance(value, float) else str(value)
