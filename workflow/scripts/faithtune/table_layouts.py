"""Estimates as text, and the ways to lay them out: what stands down, what across.

A layout takes a selection of ESTIMATES and returns a frame of text with a row a
line of the table. A cell holds all that belongs to its number:
`0.520* [0.451, 0.588] n=200 u=3 t=1`.
"""

import polars as pl

from faithtune.cell import AVERAGES

NOT_AVAILABLE = "n/a"
TESTS = {
    "no_cot": "w/o CoT",
    "cot": "w/ CoT",
    "early_termination": "Early Termination",
    "paraphrase": "Paraphrasing",
    "filler": "Filler Substitution",
    "mistake": "Adding Mistakes",
    "prefix_paraphrase": "Paraphrasing a Prefix",
}
_SETS = dict(zip(AVERAGES, ("average", "out-of-domain average"), strict=True))
_LINES = {
    "accuracy": "accuracy",
    "accuracy_effect": "change from base",
    "cot_lift": "w/ CoT minus w/o",
    "match": "match",
    "match_effect": "change from base",
}
_CHANGES = {"faithfulness_effect": "faithfulness", "match_effect": "match", "accuracy_effect": "accuracy"}
_DIFFERENCES = {*_CHANGES, "cot_lift"}  # numbers that are written with their sign


def accuracy(selection: pl.DataFrame) -> pl.DataFrame:
    """Model, arm and metric down; evaluation set, without and with the chain, across."""
    estimates = _by_position(selection)
    cells = []
    for row in _rows(selection, "accuracy", "accuracy_effect", "cot_lift"):
        p = estimates.get(_position(row, f"{row['metric']}_p"))
        text = _cell(row) + ("" if p is None else f" p={p:.3f}" if p >= 0.001 else " p<0.001")
        cells.append(_line(row) | {"column": f"{_set(row)} {TESTS[row['test']]}", "cell": text})
    sets = selection["eval_set"].unique(maintain_order=True).to_list()
    return _wide(cells, [f"{_SETS.get(name, name)} {TESTS[test]}" for name in sets for test in ("no_cot", "cot")])


def matches(selection: pl.DataFrame) -> pl.DataFrame:
    """Model, arm and metric down; evaluation set and α across."""
    estimates = _by_position(selection)
    cells = []
    for row in _rows(selection, "match", "match_effect"):
        text = _cell(row)
        if row["metric"] == "match" and row["n"]:
            text += f" parse {1 - row['n_unanswered'] / row['n']:.0%}"
            if row["n_unanswered"]:
                ends = (estimates[_position(row, f"match_if_unanswered_{how}")] for how in ("differ", "match"))
                text += " ({} to {})".format(*map(_number, ends))
        cells.append(_line(row) | {"column": f"{_set(row)} α={row['alpha']:g}", "cell": text})
    return _wide(cells)


def average_effects(selection: pl.DataFrame) -> pl.DataFrame:
    """Model, arm, what changed, test and α down; the two averages across."""
    cells = []
    arms = selection.partition_by("model", "arm", maintain_order=True)
    for row in [row for arm in arms for metric in _CHANGES for row in _rows(arm, metric)]:
        changed = _CHANGES[row["metric"]]
        labels = {"model": row["model"], "arm": row["arm"], "change of": changed, "test": TESTS[row["test"]]}
        labels["α"] = _alpha(row) or ("" if changed == "accuracy" else "all")
        cells.append(labels | {"column": _set(row), "cell": _cell(row)})
    return _wide(cells, list(_SETS.values()))


def diagnostics(selection: pl.DataFrame) -> pl.DataFrame:
    """Model, evaluation set, diagnostic, test and α down; the arms across."""
    cells = []
    for row in selection.rows(named=True):
        labels = {"model": row["model"], "evaluation set": row["eval_set"], "diagnostic": row["metric"]}
        labels |= {"test": TESTS.get(row["test"], ""), "α": _alpha(row)}
        cells.append(labels | {"column": row["arm"], "cell": _cell(row)})
    return _wide(cells)


def _wide(cells: list[dict[str, str]], columns: list[str] | None = None) -> pl.DataFrame:
    """A row a set of labels and a column a `column`, in the order of `columns` where given."""
    if not cells:
        return pl.DataFrame({"": [NOT_AVAILABLE]})
    frame = pl.DataFrame(cells)
    labels = [name for name in frame.columns if name not in ("column", "cell")]
    frame = frame.pivot(on="column", index=labels, values="cell", maintain_order=True).fill_null("")
    return frame if columns is None else frame.select(*labels, *(name for name in columns if name in frame.columns))


def _rows(selection: pl.DataFrame, *metrics: str) -> list[dict]:
    return selection.filter(pl.col("metric").is_in(metrics)).rows(named=True)


def _position(row: dict, metric: str) -> tuple:
    return (*(row[name] for name in ("model", "arm", "eval_set", "test", "alpha")), metric)


def _by_position(selection: pl.DataFrame) -> dict[tuple, float | None]:
    return {_position(row, row["metric"]): row["estimate"] for row in selection.rows(named=True)}


def _line(row: dict) -> dict[str, str]:
    return {"model": row["model"], "arm": row["arm"], "metric": _LINES[row["metric"]]}


def _set(row: dict) -> str:
    return _SETS.get(row["eval_set"], row["eval_set"])


def _alpha(row: dict) -> str:
    return "" if row["alpha"] is None else f"{row['alpha']:g}"


def _cell(row: dict) -> str:
    """An estimate with its interval, n and, where not 0, the unanswered (u) and truncated (t)."""
    if row["estimate"] is None:
        return NOT_AVAILABLE
    sign = "+" if row["metric"] in _DIFFERENCES else ""
    text = _number(row["estimate"], sign)
    if row["train_set"] is not None and row["train_set"] == row["eval_set"]:
        text += "*"
    if row["low"] is not None:
        text += f" [{_number(row['low'], sign)}, {_number(row['high'], sign)}]"
    counts = (("n", row["n"]), ("u", row["n_unanswered"]), ("t", row["n_truncated"]))
    return text + "".join(f" {letter}={count}" for letter, count in counts if count)


def _number(value: float, sign: str = "") -> str:
    """Three decimals, one from 10 on; never -0.000."""
    return f"{round(value, 3) + 0.0:{sign}.{3 if abs(value) < 10 else 1}f}"
