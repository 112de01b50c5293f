"""Every table's LaTeX compiles by itself and inside a paper, with a real TeX where there is one."""

import shutil
import subprocess
from pathlib import Path

import polars as pl
import pytest
from test_main_tables import wide_study
from test_write import LINE, ORIGIN, STUDY, rows

from faithtune.report.tables.latex import document, escaped
from faithtune.report.tables.tables import TABLES
from faithtune.report.tables.texts import Texts
from faithtune.report.tables.write import write

needs_tex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex")
PAPER = r"""\documentclass{article}
\usepackage{booktabs,longtable,graphicx}
\begin{document}
Before. \input{table.tex} Between. \input{table.tex} The end of the paper.
\end{document}
"""


def compiled(folder: Path, text: str) -> None:
    (folder / "main.tex").write_text(text, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "main.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=120)
    assert done.returncode == 0, done.stdout
    assert "incomplete" not in done.stdout and (folder / "main.pdf").stat().st_size > 0


@pytest.mark.parametrize("name", TABLES)
def test_a_file_says_what_it_needs(name, tmp_path):
    write(rows(name), name, [tmp_path / "t.tex"], STUDY, ORIGIN)
    first, hint, *_, last = (tmp_path / "t.tex").read_text(encoding="utf-8").splitlines()
    assert first == f"% {LINE}" and hint.startswith("% Compile it with pdflatex") and r"\input" in hint
    assert "booktabs" in hint and last == r"\endoffile"
    tex = (tmp_path / "t.tex").read_text(encoding="utf-8")
    assert tex.isascii() and tex.count("{") == tex.count("}")
    assert r"\toprule" in tex and r"\bottomrule" in tex


@pytest.mark.parametrize(
    ("cell", "tex"),
    [
        ("0.36 ± .09", r"0.36 \ensuremath{\pm} .09"),
        ("**-0.14**† +.11 -.08", r"\textbf{\ensuremath{-}0.14}\ensuremath{\dagger} \ensuremath{^{+.11}_{-.08}}"),
        ("n/a", "n/a"),
        ("**bold_name**", r"**bold\_name**"),
    ],
)
def test_cells(cell, tex):
    text = document(pl.DataFrame({"a": [cell]}), TABLES["t1_accuracy"], Texts(), LINE)
    assert f"\n{tex} \\\\\n" in text


def test_a_minus_is_no_hyphen():
    assert escaped("qlora-8 is -0.5, [-.5]") == r"qlora-8 is \ensuremath{-}0.5, [\ensuremath{-}.5]"


@pytest.mark.slow
@needs_tex
@pytest.mark.parametrize("name", TABLES)
def test_it_compiles_by_itself_and_in_a_paper(name, tmp_path):
    write(rows(name), name, [tmp_path / "table.tex"], STUDY, ORIGIN)
    compiled(tmp_path, (tmp_path / "table.tex").read_text(encoding="utf-8"))
    compiled(tmp_path, PAPER)


@needs_tex
def test_a_wide_main_table_needs_booktabs_alone(tmp_path):
    estimates, given = wide_study()
    name = "t7_rank_match"
    write(TABLES[name].rows(estimates.with_columns(p_holm="p"), given), name, [tmp_path / "table.tex"], given, ORIGIN)
    compiled(tmp_path, PAPER.replace("booktabs,longtable,graphicx", "booktabs"))
    assert "Overfull" not in (tmp_path / "main.log").read_text(encoding="latin-1")
