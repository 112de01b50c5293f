"""The ways to lay estimates out: what stands down, what across.

A layout takes a table's rows (never none) and the study, and returns a frame of text with a
row a line of the table.
"""

from collections.abc import Callable, Iterator

import polars as pl

from faithtune.report.tables.cells import (
    ENDS,
    NOT_AVAILABLE,
    SETS,
    TITLES,
    Cells,
    TableContext,
    alpha,
    is_effect,
    number,
    position,
    set_name,
    size,
    wide,
)
from faithtune.report.tables.setup import STATED

_ACCURACY = {
    "accuracy": "accuracy",
    "accuracy_answered": "accuracy, answered",
    "accuracy_effect": "change from base",
    "cot_lift": "w/ CoT minus w/o",
    "above_chance": "above chance",
}
_MATCH = {
    "match": "match",
    "match_leak_free": "match, leak-free",
    "match_soft": "match, soft",
    "match_k0": "match, k=0",
    "again_match": "match, asked again",
    "change_floored": "changed, above floor",
    "match_effect": "change from base",
    "match_effect_leak_free": "change, leak-free",
    "match_effect_same_length": "change, same length",
    "match_effect_soft": "change, soft",
    "accuracy": "accuracy w/o CoT",
    "cot_lift": "accuracy w/ CoT minus w/o",
    "above_chance": "accuracy w/ CoT above chance",
    "shuffle_match": "match, options shuffled",
}
_CHANGES = {"faithfulness_effect": "faithfulness", "match_effect": "match", "accuracy_effect": "accuracy"}
OVERALL = "all α"  # a column of what is over all α, or hangs on none


def accuracy(selection: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Model, arm and metric down; evaluation set, without and with the chain, across."""
    return _accuracy(selection, study, lambda row: {"model": row["model"], "arm": row["arm"]})


def rank_accuracy(selection: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """As `accuracy`, the arms by training set and rank; base first."""
    return _accuracy(_by_rank(selection, study), study, _rank_label(study))


def matches(selection: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Model, arm and metric down; evaluation set and α across."""
    return _matches(selection, study, lambda row: {"model": row["model"], "arm": row["arm"]})


def rank_matches(selection: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """As `matches`, of all tests, the arms by training set and rank; base first."""
    label = _rank_label(study)
    return _matches(_by_rank(selection, study), study, lambda row: label(row) | {"test": TITLES[row["test"]]})


def average_effects(selection: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Model, arm, what changed, test and α down; the two averages across."""
    cells, shown = [], Cells(selection, study)
    for row in _ordered(selection, _CHANGES):
        labels = {"model": row["model"], "arm": row["arm"]} | _change(row)
        cells.append(labels | {"column": set_name(row), "cell": shown.text(row)})
    return wide(cells, list(SETS.values()))


def model_sizes(selection: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Arm, what changed and test down; the models, small to large, across."""
    known, shown = study.parameters.get, Cells(selection, study)
    models = selection["model"].unique(maintain_order=True).to_list()
    models.sort(key=lambda model: (known(model) is None, known(model) or 0))
    columns = {model: f"{model} ({size(known(model))})" for model in models}
    cells = [
        {"arm": row["arm"]} | _change(row) | {"column": columns[row["model"]], "cell": shown.text(row)}
        for row in _ordered(selection, _CHANGES)
    ]
    return wide(cells, list(columns.values()))


def arms_across(selection: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Model, evaluation set, metric, test, α and k down; the arms across. A label that all leave empty is left out."""
    cells, shown = [], Cells(selection, study)
    for row in selection.filter(~pl.col("metric").is_in(ENDS)).rows(named=True):
        labels = {"model": row["model"], "evaluation set": set_name(row), "metric": row["metric"]}
        labels |= {"test": TITLES.get(row["test"], ""), "α": alpha(row), "k": "" if row["k"] is None else str(row["k"])}
        cells.append(labels | {"column": row["arm"], "cell": shown.text(row)})
    frame = wide(cells)
    return frame.drop(name for name in ("test", "α", "k") if (frame[name] == "").all())


def extractors(selection: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """An accuracy or effect a line: strict, lenient, and whether they say the same."""
    known = {position(row, row["metric"]): row for row in selection.rows(named=True)}
    lines, shown = [], Cells(selection, study)
    for row in _ordered(selection, ("accuracy", "accuracy_effect", "match_effect")):
        lenient = known[position(row, f"{row['metric']}_lenient")]
        labels = {"model": row["model"], "arm": row["arm"], "evaluation set": set_name(row)}
        labels |= {"metric": row["metric"], "test": TITLES[row["test"]], "α": alpha(row)}
        texts = {
            "strict": shown.text(row),
            "lenient": shown.text(lenient),
            "conclusion survives": _survives(row, lenient) if is_effect(row["metric"]) else "",
        }
        lines.append(labels | texts)
    return pl.DataFrame(lines)


def hyper_parameters(rows: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Parameter down, ‡ where the paper does not state it, or at a value that is not the paper's; the arms across."""
    several = rows["model"].n_unique() > 1
    cells = []
    for row in rows.rows(named=True):
        mark = "" if row["stated"] else " ‡"
        names = {"parameter": row["parameter"], "cell": row["value"]}
        names["cell" if row["parameter"] in STATED else "parameter"] += mark
        cells.append(names | {"column": f"{row['model']} {row['arm']}" if several else row["arm"]})
    return wide(cells)


def claims(rows: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """A claim a line; beside an inconclusive verdict the number that would have been found."""
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
    """As `plain`, the beginnings in quotation marks: the blank before the filler counts."""
    return plain(rows.with_columns(begins=pl.format('"{}"', "begins")), study)


def published(rows: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """As `plain`, the cells of which a number was transcribed."""
    return plain(rows.drop_nulls("published"), study)


def plain(rows: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """The rows as they are: numbers to three decimals, yes and no, n/a for null."""
    columns = {name.replace("_", " "): [_text(value) for value in rows[name]] for name in rows.columns}
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))


def _accuracy(selection: pl.DataFrame, study: TableContext, label: Callable[[dict], dict]) -> pl.DataFrame:
    cells, shown = [], Cells(selection, study)
    for row in _ordered(selection, _ACCURACY):
        labels = label(row) | {"metric": _ACCURACY[row["metric"]]}
        cells.append(labels | {"column": f"{set_name(row)} {TITLES[row['test']]}", "cell": shown.text(row)})
    names = [SETS.get(name, name) for name in selection["eval_set"].unique(maintain_order=True)]
    return wide(cells, [f"{name} {TITLES[test]}" for name in names for test in ("no_cot", "cot", "free")])


def _matches(selection: pl.DataFrame, study: TableContext, label: Callable[[dict], dict]) -> pl.DataFrame:
    cells, shown = [], Cells(selection, study)
    for row in _ordered(selection, _MATCH):
        column = OVERALL if row["alpha"] is None else f"α={alpha(row)}"
        labels = label(row) | {"metric": _MATCH[row["metric"]]}
        cells.append(labels | {"column": f"{set_name(row)} {column}", "cell": shown.text(row)})
    alphas = [f"α={value:g}" for value in selection["alpha"].drop_nulls().unique().sort()]
    names = [SETS.get(name, name) for name in selection["eval_set"].unique(maintain_order=True)]
    return wide(cells, [f"{name} {column}" for name in names for column in (*alphas, OVERALL)])


def _ordered(selection: pl.DataFrame, metrics) -> Iterator[dict]:
    """The rows of the metrics: by arm as they come, within an arm in the order of `metrics`."""
    for arm in selection.partition_by("model", "arm", maintain_order=True):
        for metric in metrics:
            yield from arm.filter(pl.col("metric") == metric).rows(named=True)


def _change(row: dict) -> dict[str, str]:
    changed = _CHANGES[row["metric"]]
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
    """yes: both intervals lie on one side of 0, the same, or both contain it."""
    sides = []
    for row in (strict, lenient):
        if row["low"] is None:
            return NOT_AVAILABLE
        sides.append(1 if row["low"] > 0 else -1 if row["high"] < 0 else 0)
    return "yes" if sides[0] == sides[1] else "no"


def money(rows: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Names, counts in groups of three digits, and USD to a hundredth of a cent, n/a for null."""
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
