"""Layouts: which columns of the rows go down a table, and which go across.

A layout takes a table's rows (at least one) and the study, and returns a frame of text, one row per line of the table.
"""

from collections.abc import Callable, Iterator

import polars as pl

from faithtune.measures.metrics.registry import METRICS
from faithtune.report.tables.cells import (
    ENDS,
    NOT_AVAILABLE,
    SETS,
    TITLES,
    CellText,
    TableContext,
    alpha,
    number,
    pivot,
    position,
    set_name,
    size,
)
from faithtune.report.tables.rows import ACCURACY, BY_BOTH_EXTRACTORS, CHANGES, MATCH
from faithtune.report.tables.setup import STATED

OVERALL = "all α"  # the column of what is over all α, or does not depend on α


def accuracy(selection: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Model, arm and metric down; evaluation sets, without and with the chain, across."""
    return _accuracy(selection, study, lambda row: {"model": row["model"], "arm": row["arm"]})


def rank_accuracy(selection: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Like `accuracy`, with arms sorted by training set and rank, base first."""
    return _accuracy(_by_rank(selection, study), study, _rank_label(study))


def matches(selection: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Model, arm and metric down; evaluation sets and α across."""
    return _matches(selection, study, lambda row: {"model": row["model"], "arm": row["arm"]})


def rank_matches(selection: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Like `matches`, for all tests, with arms sorted by training set and rank, base first."""
    label = _rank_label(study)
    return _matches(_by_rank(selection, study), study, lambda row: label(row) | {"test": TITLES[row["test"]]})


def average_effects(selection: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Model, arm, metric, test and α down; the two averages across."""
    cells, shown = [], CellText(selection, study)
    for row in _ordered(selection, CHANGES):
        labels = {"model": row["model"], "arm": row["arm"]} | _change(row)
        cells.append(labels | {"column": set_name(row), "cell": shown.text(row)})
    return pivot(cells, list(SETS.values()))


def model_sizes(selection: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Arm, metric and test down; models, small to large, across."""
    known, shown = study.parameters.get, CellText(selection, study)
    models = selection["model"].unique(maintain_order=True).to_list()
    models.sort(key=lambda model: (known(model) is None, known(model) or 0))
    columns = {model: f"{model} ({size(known(model))})" for model in models}
    cells = [
        {"arm": row["arm"]} | _change(row) | {"column": columns[row["model"]], "cell": shown.text(row)}
        for row in _ordered(selection, CHANGES)
    ]
    return pivot(cells, list(columns.values()))


def arms_across(selection: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Model, evaluation set, metric, test, α and k down; arms across. Labels that are empty everywhere are left out."""
    cells, shown = [], CellText(selection, study)
    for row in selection.filter(~pl.col("metric").is_in(ENDS)).rows(named=True):
        labels = {"model": row["model"], "evaluation set": set_name(row), "metric": row["metric"]}
        labels |= {"test": TITLES.get(row["test"], ""), "α": alpha(row), "k": "" if row["k"] is None else str(row["k"])}
        cells.append(labels | {"column": row["arm"], "cell": shown.text(row)})
    frame = pivot(cells)
    return frame.drop(name for name in ("test", "α", "k") if (frame[name] == "").all())


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
        line["p"] = NOT_AVAILABLE if row["p"] is None else f"{row['p']:.3f}" if row["p"] >= 0.001 else "<0.001"
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


def own_label(metric: str) -> str:
    """How a metric is called in a table of its own kind."""
    return METRICS[metric].label


def match_label(metric: str) -> str:
    """How a metric is called in a table of matches, where accuracy is a control."""
    if metric == "accuracy":
        return f"{METRICS[metric].title} {TITLES['no_cot']}"
    return METRICS[metric].title if metric in ACCURACY else own_label(metric)


def _accuracy(selection: pl.DataFrame, study: TableContext, label: Callable[[dict], dict]) -> pl.DataFrame:
    cells, shown = [], CellText(selection, study)
    for row in _ordered(selection, ACCURACY):
        labels = label(row) | {"metric": own_label(row["metric"])}
        cells.append(labels | {"column": f"{set_name(row)} {TITLES[row['test']]}", "cell": shown.text(row)})
    names = [SETS.get(name, name) for name in selection["eval_set"].unique(maintain_order=True)]
    return pivot(cells, [f"{name} {TITLES[test]}" for name in names for test in ("no_cot", "cot", "free")])


def _matches(selection: pl.DataFrame, study: TableContext, label: Callable[[dict], dict]) -> pl.DataFrame:
    cells, shown = [], CellText(selection, study)
    for row in _ordered(selection, MATCH):
        column = OVERALL if row["alpha"] is None else f"α={alpha(row)}"
        labels = label(row) | {"metric": match_label(row["metric"])}
        cells.append(labels | {"column": f"{set_name(row)} {column}", "cell": shown.text(row)})
    alphas = [f"α={value:g}" for value in selection["alpha"].drop_nulls().unique().sort()]
    names = [SETS.get(name, name) for name in selection["eval_set"].unique(maintain_order=True)]
    return pivot(cells, [f"{name} {column}" for name in names for column in (*alphas, OVERALL)])


def _ordered(selection: pl.DataFrame, metrics) -> Iterator[dict]:
    """The rows of the metrics: arms in their own order, within an arm the order of `metrics`."""
    for arm in selection.partition_by("model", "arm", maintain_order=True):
        for metric in metrics:
            yield from arm.filter(pl.col("metric") == metric).rows(named=True)


def _change(row: dict) -> dict[str, str]:
    changed = METRICS[row["metric"]].title.removeprefix("change of ")
    return {
        "change of": changed,
        "test": TITLES[row["test"]],
        "α": alpha(row) or ("" if changed == "accuracy" else "all"),
    }


def _rank_label(study: TableContext) -> Callable[[dict], dict]:
    ranks = {(arm["model"], arm["arm"]): arm.get("rank") for arm in study.arms}

    def label(row: dict) -> dict[str, str]:
        rank = ranks.get((row["model"], row["arm"]))
        labels = {"model": row["model"], "train set": row["train_set"] or "", "rank": "" if rank is None else str(rank)}
        return labels | {"arm": row["arm"]}

    return label


def _by_rank(selection: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    order = {(arm["model"], arm["arm"]): place for place, arm in enumerate(by_rank(study.arms))}
    place = [order[key] for key in selection.select("model", "arm").rows()]
    return selection.with_columns(place=pl.Series(place)).sort("place", maintain_order=True).drop("place")


def by_rank(arms) -> list[dict]:
    """Arms by model, training set (base first) and rank."""
    models = list(dict.fromkeys(arm["model"] for arm in arms))
    sets = [None, *dict.fromkeys(arm["train_set"] for arm in arms if arm["train_set"])]
    return sorted(arms, key=lambda a: (models.index(a["model"]), sets.index(a["train_set"]), a.get("rank") or 0))


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
