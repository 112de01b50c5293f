"""The tables: each a selection of ESTIMATES, laid out to be read.

A selection is long, one estimate a row, and is what the Parquet file holds; CSV,
Markdown and LaTeX hold the same rows in the table's layout, as text.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from tabulate import tabulate

from faithtune import diagnostics, parquet, table_layouts
from faithtune.cell import AVERAGES
from faithtune.errors import UserError
from faithtune.measures import direction

_READING = (
    "Brackets: {confidence:g} % interval; n: questions the number rests on; *: on the arm's own training set;"
    f" {table_layouts.NOT_AVAILABLE}: nothing to estimate it from."
)
_MATH = {"<": "<", ">": ">", "α": r"\alpha", "⌈": r"\lceil", "⌉": r"\rceil", "↑": r"\uparrow", "↓": r"\downarrow"}
_TEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {character: rf"\ensuremath{{{math}}}" for character, math in _MATH.items()}
)


@dataclass(frozen=True)
class Table:
    """What a table shows: rows of ESTIMATES (`selection`), and how (`layout` to a frame of text)."""

    title: str
    caption: str
    selection: pl.Expr
    layout: Callable[[pl.DataFrame], pl.DataFrame]
    long: bool = False  # more rows than a page holds; else more columns


def _is_metric(*names: str) -> pl.Expr:
    return pl.col("metric").is_in(names)


def _of_test(number: str, test: str) -> Table:
    """The table of one test: CoT Pred Match at each α."""
    arrow, more = ("↑", "higher") if direction(test) > 0 else ("↓", "lower")
    metrics = ("match", "match_effect", "faithfulness", "faithfulness_effect", "match_soft")
    bounds = ("match_if_unanswered_match", "match_if_unanswered_differ")
    return Table(
        f"{number} {table_layouts.TESTS[test]}: CoT Pred Match {arrow}",
        f"Share of answers that equal the arm's own full-chain answer when ⌈αN⌉ of the N steps are kept;"
        f" {arrow}: {more} is more faithful. Of n questions with a chain, u are unanswered after the tampering and"
        " left out of the share; parse: the others, and in parentheses the share if none, or all, of the u matched."
        " Change from base: the same questions, paired.",
        (pl.col("test") == test)
        & pl.col("alpha").is_not_null()
        & _is_metric(*metrics, *bounds)
        & ~pl.col("eval_set").is_in(AVERAGES),
        table_layouts.matches,
    )


TABLES = {
    "t1_accuracy": Table(
        "T1 Accuracy without and with chain of thought",
        "Share of all questions answered correctly; u: unanswered, t: chain cut at the token limit, both count as"
        " not correct. Changes are paired on the same questions; u and t are then of either arm."
        " p: exact McNemar test, not corrected for the number of cells. average: unweighted, over the sets.",
        _is_metric("accuracy", "accuracy_answered", "accuracy_effect", "accuracy_effect_p", "cot_lift")
        & (pl.col("eval_set") != "average_out_of_domain"),
        table_layouts.accuracy,
    ),
    "t2_early_termination": _of_test("T2", "early_termination"),
    "t3_paraphrasing": _of_test("T3", "paraphrase"),
    "t4_filler_substitution": _of_test("T4", "filler"),
    "t5_average_effect": Table(
        "T5 Average change by tuning",
        "Tuned minus base on the same questions, then the unweighted mean over the evaluation sets: all of them, or"
        " all but the arm's own training set. A positive change of faithfulness is one to more faithful chains.",
        pl.col("eval_set").is_in(AVERAGES) & _is_metric("faithfulness_effect", "match_effect", "accuracy_effect"),
        table_layouts.average_effects,
        long=True,
    ),
    "t9_diagnostics": Table(
        "T9 Diagnostics",
        "chain_answered, chain_unanswered, chain_truncated, chain_empty: shares of the chains. kept_whole:"
        " chains that α keeps whole. steps_copied:"
        " steps that stand word for word in the prompt's example. n_steps, n_tokens:"
        " means. free_agreement: the free text declares the answer forced after it. parse_rate: answered of all"
        " asked. match_k0: match with no step kept. again_match: full-chain answers that stay when asked again in other"
        " batches; again_shift: mean change of their probability: the noise floor. chance: 1 / options."
        " paraphrase_pass: steps with a usable paraphrase. unavailable: questions without one at α.",
        _is_metric(*diagnostics.METRICS),
        table_layouts.diagnostics,
        long=True,
    ),
}


def select(estimates: pl.DataFrame, name: str) -> pl.DataFrame:
    """The rows of ESTIMATES that table `name` shows, with all their columns."""
    return estimates.filter(_table(name).selection).select(*parquet.ESTIMATES)


def readable(selection: pl.DataFrame, name: str) -> pl.DataFrame:
    """The selection as table `name` lays it out: columns of text, "n/a" for a null estimate."""
    return _table(name).layout(selection)


def write(selection: pl.DataFrame, name: str, paths: Iterable[str | Path], confidence: float = 0.95) -> None:
    """Write table `name` to each of `paths`, atomically, as its suffix says: .parquet, .csv, .md or .tex.

    UserError for another suffix, before anything is written.
    """
    table, frame = _table(name), readable(selection, name)
    caption = f"{table.caption} {_READING.format(confidence=100 * confidence)}"
    texts = {".csv": frame.write_csv(), ".md": _markdown(frame, table, caption), ".tex": _latex(frame, table, caption)}
    paths = [Path(path) for path in paths]
    for path in paths:
        if path.suffix not in (".parquet", *texts):
            raise UserError(f"{path}: a table is written as .parquet, .csv, .md or .tex")
    for path in paths:
        if path.suffix == ".parquet":
            parquet.write(selection, path, parquet.ESTIMATES)
        else:
            with parquet.atomic_path(path) as temporary:
                temporary.write_text(texts[path.suffix], encoding="utf-8")


def _table(name: str) -> Table:
    if name not in TABLES:
        raise UserError(f"tables: {name!r} is none of {', '.join(TABLES)}")
    return TABLES[name]


def _markdown(frame: pl.DataFrame, table: Table, caption: str) -> str:
    rows = [[cell.replace("|", r"\|") for cell in row] for row in frame.rows()]
    body = tabulate(rows, headers=frame.columns, tablefmt="pipe", disable_numparse=True)
    return f"# {table.title}\n\n{caption}\n\n{body}\n"


def _latex(frame: pl.DataFrame, table: Table, caption: str) -> str:
    """A floating table as wide as the page or, if long, one that breaks over pages."""
    head, *body = (" & ".join(map(_tex, row)) + r" \\" for row in (frame.columns, *frame.rows()))
    columns, caption = "l" * frame.width, rf"\caption{{\textbf{{{_tex(table.title)}.}} {_tex(caption)}}}"
    lines = ["% needs booktabs, graphicx and longtable"]
    if table.long:
        lines += [r"{\footnotesize", rf"\begin{{longtable}}{{{columns}}}", rf"{caption} \\"]
        lines += [r"\toprule", head, r"\midrule", r"\endhead", *body, r"\bottomrule", r"\end{longtable}", "}"]
    else:
        lines += [r"\begin{table*}", caption, rf"\resizebox{{\textwidth}}{{!}}{{\begin{{tabular}}{{{columns}}}"]
        lines += [r"\toprule", head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}}", r"\end{table*}"]
    return "\n".join(lines) + "\n"


def _tex(text: str) -> str:
    return re.sub(r"(?<!\w)-(?=\d)", r"\\ensuremath{-}", text.translate(_TEX))  # a minus, not a hyphen
