"""The files of a table: its rows as Parquet, and the laid-out text as CSV, Markdown and LaTeX.

Each file says where it comes from: Parquet in its metadata, in full; Markdown and LaTeX in one line; CSV in its last
column, as a short digest.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path

import polars as pl
from tabulate import tabulate

from faithtune.core import parquet
from faithtune.core.errors import UserError
from faithtune.jobs import provenance
from faithtune.report.tables import tables
from faithtune.report.tables.cells import TableContext

_MATH = {
    **{"<": "<", ">": ">", "α": r"\alpha", "⌈": r"\lceil", "⌉": r"\rceil", "↑": r"\uparrow", "↓": r"\downarrow"},
    **{"†": r"\dagger", "‡": r"\ddagger", "…": r"\ldots"},
}
_TEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {character: rf"\ensuremath{{{math}}}" for character, math in _MATH.items()}
)


def write(rows: pl.DataFrame, name: str, paths: Iterable[str | Path], study: TableContext, origin: dict) -> None:
    """Write table `name` to each of `paths`, atomically, in the format that the suffix names.

    rows: as `tables.select` returns them; origin: the study's provenance. UserError for a suffix other than .parquet,
    .csv, .md or .tex, before anything is written.
    """
    paths = [Path(path) for path in paths]
    frame, caption = tables.readable(rows, name, study), tables.caption(rows, name, study)
    texts = {
        ".csv": frame.with_columns(provenance=pl.lit(provenance.short_digest(origin))).write_csv(),
        ".md": _markdown(frame, name, caption, provenance.summary_line(origin)),
        ".tex": _latex(frame, name, caption, provenance.summary_line(origin)),
    }
    for path in paths:
        if path.suffix not in (".parquet", *texts):
            raise UserError(f"{path}: a table is written as .parquet, .csv, .md or .tex")
    for path in paths:
        if path.suffix == ".parquet":
            parquet.write(rows, path, tables.table(name).schema, {provenance.KEY: json.dumps(origin, sort_keys=True)})
        else:
            with parquet.atomic_path(path) as temporary:
                temporary.write_text(texts[path.suffix], encoding="utf-8")


def _markdown(frame: pl.DataFrame, name: str, caption: str, origin: str) -> str:
    rows = [[cell.replace("|", r"\|") for cell in row] for row in frame.rows()]
    body = tabulate(rows, headers=frame.columns, tablefmt="pipe", disable_numparse=True)
    return f"# {tables.table(name).title}\n\n{caption}\n\n{body}\n\n{origin}\n"


def _latex(frame: pl.DataFrame, name: str, caption: str, origin: str) -> str:
    """A floating table as wide as the page or, for a long table, one that breaks across pages."""
    table = tables.table(name)
    head, *body = (" & ".join(map(_tex, row)) + r" \\" for row in (frame.columns, *frame.rows()))
    columns, caption = "l" * frame.width, rf"\caption{{\textbf{{{_tex(table.title)}.}} {_tex(caption)}}}"
    lines = [f"% {origin}", "% needs booktabs, graphicx and longtable"]
    if table.long:
        lines += [r"{\footnotesize", rf"\begin{{longtable}}{{{columns}}}", rf"{caption} \\"]
        lines += [r"\toprule", head, r"\midrule", r"\endhead", *body, r"\bottomrule", r"\end{longtable}", "}"]
    else:
        lines += [r"\begin{table*}", caption, rf"\resizebox{{\textwidth}}{{!}}{{\begin{{tabular}}{{{columns}}}"]
        lines += [r"\toprule", head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}}", r"\end{table*}"]
    return "\n".join(lines) + "\n"


def _tex(text: str) -> str:
    return re.sub(r"(?<!\w)-(?=\d)", r"\\ensuremath{-}", text.translate(_TEX))  # a minus, not a hyphen
