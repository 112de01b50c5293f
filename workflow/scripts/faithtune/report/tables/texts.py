"""What stands around a table: its caption, the legend of its marks, and notes for careful readers."""

from typing import NamedTuple

import polars as pl

from faithtune.measures.metrics.registry import METRICS
from faithtune.report.tables import cells, tables
from faithtune.report.tables.cells import SHORT, TableContext


class Texts(NamedTuple):
    """The texts of a table; all are empty where it has no rows."""

    caption: str = ""  # above it: how to read it, in two sentences at most
    legend: str = ""  # below it: the marks that occur in it
    notes: tuple[str, ...] = ()  # a paragraph each: definitions and readings, folded away where that is possible


def around(rows: pl.DataFrame, frame: pl.DataFrame, name: str, study: TableContext) -> Texts:
    """The texts of table `name` with these rows, which it lays out as `frame`."""
    chosen = tables.table(name)
    if rows.is_empty():
        return Texts()
    if chosen.part == tables.MAIN:
        return Texts(chosen.caption, _legend(rows, frame, study))
    notes = [chosen.notes] if chosen.notes else []
    if chosen.rows is not None:
        shown = set(rows["metric"].unique())
        notes += [f"{chosen.named(name)}: {METRICS[name].what}." for name in chosen.metrics if name in shown]
        notes += _reading(chosen, rows, study)
    return Texts(chosen.caption, "", tuple(notes))


def _legend(rows: pl.DataFrame, frame: pl.DataFrame, study: TableContext) -> str:
    found = [SHORT.fullmatch(cell) for line in frame.rows() for cell in line]
    parts = [f"{100 * study.confidence:g} % intervals."]
    if any(cell and cell["bold"] for cell in found):
        what = "difference" if "against" in rows.columns else "change from base"
        parts += [f"Bold: {what} with p < {1 - study.confidence:.2g} (Holm)."]
    if any(cell and cell["mark"] for cell in found):
        parts += ["†: not above chance."]
    apart = sorted(study.apart.intersection(rows["model"]))
    if apart:
        parts += [f"Read another way (imported or chat), not to be compared with other models: {', '.join(apart)}."]
    return " ".join(parts)


def _reading(chosen: tables.TableDef, rows: pl.DataFrame, study: TableContext) -> list[str]:
    """How to read an estimate, and the marks that may stand at it."""
    reading = cells.COLUMNS if chosen.part == tables.SUPPLEMENT else cells.READING
    parts = [reading.format(confidence=100 * study.confidence)]
    if any(METRICS[name].is_effect for name in rows["metric"].unique()):
        parts += [cells.EFFECTS]
    parts += [cells.OWN_SET, cells.AT_CHANCE]
    return [*parts, cells.APART] if study.apart.intersection(rows["model"]) else parts
