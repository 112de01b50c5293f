r"""A table as LaTeX: a file that pdflatex compiles by itself and that a paper may \input.

Its first lines see whether they stand inside a document (there, LaTeX has set \@nodocument to \relax). If so they do
nothing, otherwise they open a document that the last line closes.
"""

import re

import polars as pl

from faithtune.report.tables import tables
from faithtune.report.tables.cells import SHORT
from faithtune.report.tables.layouts.main import panels
from faithtune.report.tables.texts import Texts

_MATH = {
    **{"<": "<", ">": ">", "α": r"\alpha", "⌈": r"\lceil", "⌉": r"\rceil", "↑": r"\uparrow", "↓": r"\downarrow"},
    **{"†": r"\dagger", "‡": r"\ddagger", "…": r"\ldots", "±": r"\pm", "→": r"\rightarrow", "≥": r"\geq"},
    **{"·": r"\cdot", "≤": r"\leq", "‖": r"\Vert", "Δ": r"\Delta", "ρ": r"\rho"},
}
_TEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {character: rf"\ensuremath{{{math}}}" for character, math in _MATH.items()}
)
_OPEN = r"""\expandafter\ifx\csname @nodocument\endcsname\relax\let\endoffile\relax\else
\documentclass{{article}}{packages}
\begin{{document}}\def\endoffile{{\end{{document}}}}
\fi"""
_AGAIN = " (again until the widths of its columns are right)"
_MM_PER_CHARACTER = 1.9  # of \footnotesize, generously


def document(frame: pl.DataFrame, table: tables.TableDef, around: Texts, origin: str) -> str:
    """The file: a main table as a float, a long one across pages, others shrunk to the width of the text."""
    if table.part == tables.MAIN:
        packages, body = ["booktabs"], _main(frame, table, around)
    elif table.long:
        packages, body = ["booktabs", "longtable"], _long(frame, table, around)
    else:
        packages, body = ["booktabs", "graphicx"], _shrunk(frame, table, around)
    needs = " and ".join(packages)
    opening = _OPEN.format(packages=rf"\usepackage{{{','.join(packages)}}}{_paper(frame) if table.long else ''}")
    hint = rf"% Compile it with pdflatex{_AGAIN * table.long}, or \input it in a paper that uses {needs}."
    return "\n".join([f"% {origin}", hint, opening, *body, r"\endoffile"]) + "\n"


def _main(frame: pl.DataFrame, table: tables.TableDef, around: Texts) -> list[str]:
    parts = panels(frame)
    width = max(part.width for _, part in parts)
    lines = [
        r"\begin{table*}",
        r"\centering\small\renewcommand{\arraystretch}{1.25}\setlength{\tabcolsep}{4pt}",
        _caption(table, around),
        rf"\begin{{tabular}}{{@{{}}{'l' * width}@{{}}}}",
        r"\toprule",
    ]
    head = None
    for heading, part in parts:
        lines += [r"\midrule"] * (head is not None)
        if part.columns != head:  # the first, or one of other columns
            head = part.columns
            lines += [_line(head), r"\midrule"]
        lines += [rf"\multicolumn{{{width}}}{{@{{}}l}}{{\emph{{{escaped(heading)}}}}} \\"] if heading else []
        lines += [_line(row) for row in part.rows()]
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\smallskip{{\footnotesize {escaped(around.legend)}}}"] if around.legend else []
    return [*lines, r"\end{table*}"]


def _long(frame: pl.DataFrame, table: tables.TableDef, around: Texts) -> list[str]:
    lines = [r"{\footnotesize", rf"\begin{{longtable}}{{{'l' * frame.width}}}", rf"{_caption(table, around)} \\"]
    lines += [r"\toprule", _line(frame.columns), r"\midrule", r"\endhead", *map(_line, frame.rows()), r"\bottomrule"]
    return [*lines, r"\end{longtable}", *_notes(around), "}"]


def _shrunk(frame: pl.DataFrame, table: tables.TableDef, around: Texts) -> list[str]:
    lines = [r"\begin{table*}", _caption(table, around), r"\resizebox{\textwidth}{!}{%"]
    lines += [rf"\begin{{tabular}}{{{'l' * frame.width}}}", r"\toprule", _line(frame.columns), r"\midrule"]
    lines += [*map(_line, frame.rows()), r"\bottomrule", r"\end{tabular}}"]
    return [*lines, *([r"\par\smallskip\footnotesize", *_notes(around)] if around.notes else []), r"\end{table*}"]


def _caption(table: tables.TableDef, around: Texts) -> str:
    return rf"\caption{{\textbf{{{escaped(table.title)}.}} {escaped(around.caption)}}}"


def _notes(around: Texts) -> list[str]:
    return [rf"\noindent {escaped(note)}\par" for note in around.notes]


def _paper(frame: pl.DataFrame) -> str:
    """A page that is as wide as the table, for a file that is compiled by itself."""
    characters = sum(max(map(len, [name, *frame[name]])) + 2 for name in frame.columns)
    width = max(210, round(characters * _MM_PER_CHARACTER) + 50)
    return rf"\usepackage[paperwidth={width}mm,paperheight=297mm,margin=20mm]{{geometry}}"


def _line(cells) -> str:
    return " & ".join(map(_cell, cells)) + r" \\"


def _cell(text: str) -> str:
    """A cell; that of a main table with its interval as superscript and subscript where it is not symmetric."""
    found = SHORT.fullmatch(text)
    if not found:
        return escaped(text)
    number = escaped(found["number"])
    number = (rf"\textbf{{{number}}}" if found["bold"] else number) + escaped(found["mark"])
    if found["both"]:
        return rf"{number} \ensuremath{{\pm}} {found['both']}"
    return rf"{number} \ensuremath{{^{{+{found['up']}}}_{{-{found['down']}}}}}" if found["up"] else number


def escaped(text: str) -> str:
    """Plain text as LaTeX, with a minus before numbers, not a hyphen."""
    return re.sub(r"(?<!\w)-(?=\.?\d)", r"\\ensuremath{-}", text.translate(_TEX))
