"""The files of a table: its rows as Parquet, and the laid-out text as CSV, Markdown and LaTeX.

Each file says where it comes from: Parquet in its metadata, in full; Markdown and LaTeX in one line; CSV in its last
column, as a short digest.
"""

import json
import textwrap
from collections.abc import Iterable
from pathlib import Path

import polars as pl
from tabulate import tabulate

from faithtune.core import parquet
from faithtune.core.errors import UserError
from faithtune.jobs import provenance
from faithtune.report.tables import latex, tables, texts
from faithtune.report.tables.cells import TableContext, without_bold
from faithtune.report.tables.layouts.main import panels
from faithtune.report.tables.texts import Texts

_WIDTH = 120


def write(rows: pl.DataFrame, name: str, paths: Iterable[str | Path], study: TableContext, origin: dict) -> None:
    """Write table `name` to each of `paths`, atomically, in the format that the suffix names.

    rows: as `tables.select` returns them; origin: the study's provenance. UserError for a suffix other than .parquet,
    .csv, .md or .tex, before anything is written.
    """
    paths = [Path(path) for path in paths]
    frame, table, line = tables.readable(rows, name, study), tables.table(name), provenance.summary_line(origin)
    around = texts.around(rows, frame, name, study)
    plain = frame.select(pl.all().map_elements(without_bold, pl.String))
    written = {
        ".csv": plain.with_columns(provenance=pl.lit(provenance.short_digest(origin))).write_csv(),
        ".md": _markdown(frame, table, around, line),
        ".tex": latex.document(frame, table, around, line),
    }
    for path in paths:
        if path.suffix not in (".parquet", *written):
            raise UserError(f"{path}: a table is written as .parquet, .csv, .md or .tex")
    for path in paths:
        if path.suffix == ".parquet":
            parquet.write(rows, path, table.schema, {provenance.KEY: json.dumps(origin, sort_keys=True)})
        else:
            with parquet.atomic_path(path) as temporary:
                temporary.write_text(written[path.suffix], encoding="utf-8")


def _markdown(frame: pl.DataFrame, table: tables.TableDef, around: Texts, origin: str) -> str:
    """Title, caption, the table (a main one in its panels), legend, notes, provenance; texts wrapped."""
    parts = [f"# {table.title}", _wrapped(around.caption)]
    for heading, part in panels(frame) if table.part == tables.MAIN else [("", frame)]:
        rows = [[cell.replace("|", r"\|") for cell in row] for row in part.rows()]
        parts += [heading, tabulate(rows, headers=part.columns, tablefmt="pipe", disable_numparse=True)]
    parts += [_wrapped(around.legend), "\n".join(_wrapped(f"* {note}", "  ") for note in around.notes), origin]
    return "\n\n".join(part for part in parts if part) + "\n"


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
