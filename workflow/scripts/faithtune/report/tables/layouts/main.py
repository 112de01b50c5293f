"""Layouts of the main tables, T1 to T8 (`recipes` has T14): a number with its interval a cell, as a paper prints it.

Bold: the change from base that belongs to the cell is significant after Holm's correction; †: at chance. What the cells
rest on stands in lines or columns called n, as a range where it differs. `panels` is the printed form of a frame.
"""

from collections import Counter
from collections.abc import Callable
from itertools import groupby

import polars as pl

from faithtune.measures.cell import AVERAGES
from faithtune.report.ablations import ablated
from faithtune.report.tables.cells import (
    TITLES,
    CellText,
    TableContext,
    alpha,
    pivot,
    place,
    position,
    short,
    size,
)

# Columns whose values head a panel in print, and columns whose values are not repeated below each other there.
COMPARED = "compared"
HEADINGS, NOT_REPEATED = ("model", COMPARED, "test"), ("arm", "tuned on", "rank")
# A table with the column `compared` is wider than a page: in print these columns are tables of their own, each with the
# arms and a heading.
FURTHER = {
    "faithfulness by test": tuple(TITLES.values()),
    "recipe": ("method", "adapter", "‖ΔW‖/‖W‖", "KL", "examples seen", "minutes"),
}
ALL_ARMS = "all"
_SINGLE = ~pl.col("eval_set").is_in(AVERAGES)
_AVERAGED = ("all sets", "n all", "other sets", "n others")
_Label = Callable[[dict], dict[str, str]]


class MainCells:
    """Rows of a selection (SELECTION) as cells of a main table; bold and † are taken from its other rows."""

    def __init__(self, selection: pl.DataFrame, study: TableContext):
        self._text = CellText(selection, study)
        changed = selection.filter(pl.col("p_holm") < 1 - study.confidence)
        self._changed = {position(row, row["metric"]) for row in changed.rows(named=True)}

    def text(self, row: dict) -> str:
        names = (row["metric"], f"{row['metric']}_effect")
        bold = any(position(row, name) in self._changed for name in names)
        return short(row, bold, "†" * self._text.at_chance(row))


def accuracy(selection: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Arms, without and with the chain, down; evaluation sets across."""
    return _accuracy(selection, study, _arm)


def rank_accuracy(selection: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Like `accuracy`, with arms by training set and rank, base first."""
    return _accuracy(_by_rank(selection, study), study, _rank_label(study))


def matches(selection: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Arms and α down; evaluation sets across."""
    if not study.counts_whole:
        return _matches(selection, study, _arm)
    published = {f"{metric}_published": metric for metric in ("match", "match_effect")}
    others = selection.filter(~pl.col("metric").is_in(published.values()))
    laid = _matches(others.with_columns(pl.col("metric").replace(published)), study, _arm)
    return laid.rename({"α": "α, whole chains counted"} if laid.height else {})


def rank_matches(selection: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Like `matches`, for each test, with arms by training set and rank, base first."""
    label = _rank_label(study)

    def of_test(row: dict) -> dict[str, str]:
        known = label(row)
        return {"model": known.pop("model"), "test": TITLES[row["test"]]} | known

    return _matches(_by_rank(selection, study), study, of_test)


def average_effects(selection: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Arms and what changed down; the mean over all sets, and over those that the arm was not tuned on, across."""
    lines: dict[tuple, dict[str, str]] = {}
    cells = MainCells(selection, study)
    for row in _changes(selection).rows(named=True):
        labels = _arm(row) | _change(row)
        name, n = ("all sets", "n all") if row["eval_set"] == AVERAGES[0] else ("other sets", "n others")
        line = lines.setdefault(tuple(labels.values()), labels | dict.fromkeys(_AVERAGED, ""))
        line |= {name: cells.text(row), n: str(row["n"])}
    return pl.DataFrame(list(lines.values()))


def model_sizes(selection: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Arms and what changed down; models, small to large, across, with their number of parameters."""
    known = study.parameters.get
    rows = _changes(selection).sort(place("arm", selection["arm"]), maintain_order=True)
    models = rows["model"].unique(maintain_order=True).to_list()
    models.sort(key=lambda model: (known(model) is None, known(model) or 0))
    cells = MainCells(selection, study)
    laid = _with_n([{"arm": row["arm"]} | _change(row) | _cell(row, "model", cells) for row in rows.rows(named=True)])
    sizes = {"arm": ALL_ARMS, "change of": "parameters"}
    laid += [sizes | {"column": model, "cell": size(known(model))} for model in models]
    return pivot(laid, models)


def panels(frame: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    """The frame in print: a heading and a frame for each model and test, arms not repeated below each other."""
    heads = [name for name in HEADINGS if name in frame.columns]
    parts = frame.partition_by(heads, maintain_order=True) if heads else [frame]
    named = [(", ".join(part.select(heads).row(0)) if heads else "", _sparse(part.drop(heads))) for part in parts]
    return [narrow for panel in named for narrow in _narrow(*panel)] if COMPARED in heads else named


def _narrow(heading: str, frame: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    """A panel in parts that fit a page, by FURTHER; lines and columns that are empty in a part are left out."""
    further = {what: [name for name in names if name in frame.columns] for what, names in FURTHER.items()}
    found = [(heading, frame.drop(name for names in further.values() for name in names))]
    for what, names in further.items():
        there = [name for name in names if (frame[name] != "").any()]
        if there:
            lines = frame.select("arm", *there).filter(pl.any_horizontal(pl.col(there) != ""))
            found.append((f"{heading}: {what}", lines))
    return found


def _sparse(frame: pl.DataFrame) -> pl.DataFrame:
    known = [name for name in NOT_REPEATED if name in frame.columns]
    same = [pl.all_horizontal(pl.col(known[: i + 1]) == pl.col(known[: i + 1]).shift()) for i in range(len(known))]
    return frame.with_columns(
        pl.when(again.fill_null(False)).then(pl.lit("")).otherwise(pl.col(name)).alias(name)
        for name, again in zip(known, same, strict=True)
    )


def _accuracy(selection: pl.DataFrame, study: TableContext, label: _Label) -> pl.DataFrame:
    rows = selection.filter(_SINGLE, metric="accuracy").filter(pl.col("test").is_in(["no_cot", "cot"]))
    rows = _arms_first(rows, place("test", ["no_cot", "cot"]))
    return _by_set(
        rows, MainCells(selection, study), lambda row: label(row) | {"CoT": TITLES[row["test"]].removesuffix(" CoT")}
    )


def _matches(selection: pl.DataFrame, study: TableContext, label: _Label) -> pl.DataFrame:
    rows = selection.filter(_SINGLE, pl.col("alpha").is_not_null(), metric="match")
    models, arms = (place(name, rows[name]) for name in ("model", "arm"))
    rows = rows.sort(models, place("test", TITLES), arms, "alpha", maintain_order=True)
    return _by_set(rows, MainCells(selection, study), lambda row: label(row) | {"α": alpha(row)})


def _by_set(rows: pl.DataFrame, cells: MainCells, label: _Label) -> pl.DataFrame:
    if rows.is_empty():
        return pl.DataFrame()
    laid = [label(row) | _cell(row, "eval_set", cells) for row in rows.rows(named=True)]
    return pivot(_with_n(laid), rows["eval_set"].unique(maintain_order=True).to_list())


def _changes(selection: pl.DataFrame) -> pl.DataFrame:
    """The average changes that T5 and T8 show, in their order."""
    tests = ["no_cot", "cot", *(name for name in TITLES if name not in ("no_cot", "cot", "free"))]
    of_accuracy = (pl.col("metric") == "accuracy_effect") & pl.col("test").is_in(tests[:2])
    of_faithfulness = (pl.col("metric") == "faithfulness_effect") & pl.col("alpha").is_null()
    return _arms_first(selection.filter(~_SINGLE, of_accuracy | of_faithfulness), place("test", tests))


def _arms_first(rows: pl.DataFrame, then: pl.Expr) -> pl.DataFrame:
    return rows.sort(place("model", rows["model"]), place("arm", rows["arm"]), then, maintain_order=True)


def _cell(row: dict, column: str, cells: MainCells) -> dict:
    return {"column": row[column], "cell": cells.text(row), "n": row["n"]}


def _with_n(laid: list[dict]) -> list[dict]:
    """The cells, and under those of each arm their n; one line of n for all arms of a panel where it is the same.

    The last label (CoT, α, change of) says what differs among the cells of an arm.
    """
    labels = [name for name in laid[0] if name not in ("column", "cell", "n")]
    heads = [name for name in HEADINGS if name in labels]
    found = []
    for panel in _groups(laid, heads):
        arms = [(arm, _counts(arm)) for arm in _groups(panel, labels[:-1])]
        if all(counts == arms[0][1] for _, counts in arms):
            found += panel + _lines_of_n(_for_all(panel[0], labels, len(heads)), labels, arms[0][1])
        else:
            found += [cell for arm, counts in arms for cell in arm + _lines_of_n(arm[0], labels, counts)]
    return [{name: cell[name] for name in (*labels, "column", "cell")} for cell in found]


def _groups(laid: list[dict], labels: list[str]) -> list[list[dict]]:
    """Neighbours that are alike in the labels."""
    return [list(group) for _, group in groupby(laid, key=lambda cell: [cell[name] for name in labels])]


def _counts(cells: list[dict]) -> dict[str, str]:
    """n of each column: 56, or 40 to 56 where it differs."""
    found: dict[str, list[int]] = {}
    for cell in cells:
        found.setdefault(cell["column"], []).append(cell["n"])
    return {column: " to ".join(map(str, sorted({min(n), max(n)}))) for column, n in found.items()}


def _for_all(cell: dict, labels: list[str], n_heads: int) -> dict[str, str]:
    """The labels of a line for all arms of a cell's panel."""
    return {name: cell[name] if i < n_heads else ALL_ARMS if i == n_heads else "" for i, name in enumerate(labels)}


def _lines_of_n(cell: dict, labels: list[str], counts: dict[str, str]) -> list[dict]:
    labelled = {name: cell[name] for name in labels[:-1]} | {labels[-1]: "n"}
    return [labelled | {"column": column, "cell": n} for column, n in counts.items()]


def _arm(row: dict) -> dict[str, str]:
    return {"model": row["model"], "arm": row["arm"]}


def _change(row: dict) -> dict[str, str]:
    return {
        "change of": f"accuracy {TITLES[row['test']]}" if row["metric"] == "accuracy_effect" else TITLES[row["test"]]
    }


def _rank_label(study: TableContext) -> _Label:
    """Labels by what an arm was tuned on and its rank; by the arm's name where several arms share these."""
    known = {(arm["model"], arm["arm"]): (arm["train_set"], arm.get("rank")) for arm in study.arms}
    shared = Counter((arm["model"], arm["train_set"], arm["rank"]) for arm in ablated(study.arms))

    def label(row: dict) -> dict[str, str]:
        train_set, rank = known[row["model"], row["arm"]]
        on = row["arm"] if train_set is None or shared[row["model"], train_set, rank] > 1 else train_set
        return {"model": row["model"], "tuned on": on, "rank": "" if rank is None else str(rank)}

    return label


def _by_rank(selection: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """The rows, by model, training set (base first) and rank of their arms."""
    models = [arm["model"] for arm in study.arms]
    sets = [None, *(arm["train_set"] for arm in study.arms if arm["train_set"])]
    arms = sorted(study.arms, key=lambda a: (models.index(a["model"]), sets.index(a["train_set"]), a.get("rank") or 0))
    order = {(arm["model"], arm["arm"]): i for i, arm in enumerate(arms)}
    places = [order[key] for key in selection.select("model", "arm").rows()]
    return selection.with_columns(place=pl.Series(places)).sort("place", maintain_order=True).drop("place")
