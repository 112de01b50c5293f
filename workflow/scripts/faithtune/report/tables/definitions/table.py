"""What a table is."""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from faithtune.report.tables import holm, sources
from faithtune.report.tables import rows as table_rows
from faithtune.report.tables.cells import TableContext
from faithtune.report.tables.layouts import other
from faithtune.report.tables.sources import Source

# Where the report shows a table: main and other tables after the claims, the rest folded at the end.
MAIN, OTHER, BACKGROUND, SUPPLEMENT = PARTS = ("main", "other", "background", "supplement")


@dataclass(frozen=True)
class TableDef:
    """A table: what it shows and how."""

    title: str
    caption: str  # how to read it, in two sentences at most
    layout: Callable[[pl.DataFrame, TableContext], pl.DataFrame]  # makes text of the rows
    nothing: str  # shown in place of the table where it has no rows
    source: Source = sources.ESTIMATED
    rows: table_rows.Rows | None = None  # selects rows of SELECTION; None: all rows of another source
    metrics: tuple[str, ...] = ()  # the metrics that its notes define
    notes: str = ""  # what else a careful reader wants to know
    named: Callable[[str], str] = str  # how its lines call a metric
    long: bool = False  # more rows than a page holds; otherwise more columns
    part: str = OTHER  # one of PARTS
    supplement: Callable[[pl.DataFrame, TableContext], pl.DataFrame] = other.supplement  # of a main table

    @property
    def schema(self) -> pl.Schema:
        return self.source.schema if self.rows is None else holm.SELECTION


# Shown where no arm is tuned.
NO_TUNING = "The study has no tuned arm."
