"""All tables, each defined once in `definitions`: what it is made from, which rows it takes, how it lays them out.

A new table is an entry there, with its own `rows` and layout if none fits; the rules, the report and the files follow
from it. A main table (T1 to T8, T14) has a supplement (S1 to S8, S14) of the same rows. `sources` has what tables are
made from, `texts` what stands around them, `write` their files.
"""

import re

import polars as pl

from faithtune.core.errors import UserError
from faithtune.measures.metrics.registry import METRICS
from faithtune.report.tables import holm
from faithtune.report.tables.cells import TableContext
from faithtune.report.tables.definitions import background, inside, long_term, main, other
from faithtune.report.tables.definitions.table import BACKGROUND, MAIN, OTHER, PARTS, SUPPLEMENT, TableDef

__all__ = ["BACKGROUND", "MAIN", "OTHER", "PARTS", "SUPPLEMENT", "TABLES", "TableDef", "readable", "select", "table"]


def _supplement(main: TableDef) -> TableDef:
    """The supplement of a main table: all estimates of its rows, one a line."""
    number, _, what = main.title.partition(" ")
    return TableDef(
        f"{number.replace('T', 'S')} {what}, all estimates",
        f"Every estimate behind {number}, its controls and its bounds, one a line.",
        main.supplement,
        main.nothing,
        source=main.source,
        rows=main.rows,
        metrics=main.metrics,
        notes=main.notes,
        named=lambda metric: METRICS[metric].title,
        long=True,
        part=SUPPLEMENT,
    )


def with_supplements(defined: dict[str, TableDef]) -> dict[str, TableDef]:
    """The tables, then the supplement of each main one; that of t1_accuracy is s1_accuracy."""
    return defined | {
        name.replace("t", "s", 1): _supplement(table) for name, table in defined.items() if table.part == MAIN
    }


def _place(name: str) -> int:
    """The number of a table; tables without one stand after all others."""
    found = re.match(r"t(\d+)_", name)
    return int(found[1]) if found else 1000


_DEFINED = main.TABLES | background.TABLES | other.TABLES | long_term.TABLES | inside.TABLES
TABLES = with_supplements(dict(sorted(_DEFINED.items(), key=lambda item: _place(item[0]))))


def table(name: str) -> TableDef:
    """The table of that name; UserError if there is none."""
    if name not in TABLES:
        raise UserError(f"tables: {name!r} is none of {', '.join(TABLES)}")
    return TABLES[name]


def select(source: pl.DataFrame, name: str, study: TableContext) -> pl.DataFrame:
    """The rows of the source that table `name` shows: SELECTION of ESTIMATES, or all rows of another source."""
    chosen = table(name)
    return source if chosen.rows is None else chosen.rows(holm.corrected(source, study.confidence), study)


def readable(rows: pl.DataFrame, name: str, study: TableContext) -> pl.DataFrame:
    """The rows as table `name` lays them out: columns of text; without rows, one line that says so."""
    chosen = table(name)
    laid = chosen.layout(rows, study) if rows.height else pl.DataFrame()
    return laid if laid.height else pl.DataFrame({"": [chosen.nothing]})
