"""An estimate as text: all that belongs to a number stands in its cell.

`0.520*† [0.451, 0.588] n=200 u=3 t=1 s=3`, and an effect `-0.040 [-0.110, +0.030] p=0.210 mde=0.095 n=200`.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import polars as pl

from faithtune.cell import AVERAGES

NOT_AVAILABLE = "n/a"
READING = (
    "Brackets: {confidence:g} % interval; n: questions the number rests on; s: tuning seeds pooled, where more than"
    f" one; *: on the arm's own training set; {NOT_AVAILABLE}: nothing to estimate it from."
)
EFFECTS = (
    "p: two-sided, corrected by Holm's method over the effects of this table; mde: the change that 80 % power"
    " would find, where p is not below {level:g}."
)
AT_CHANCE = "†: the arm (of a change: it or base) is not above chance there, so that its matches mean little."
TESTS = {
    "no_cot": "w/o CoT",
    "cot": "w/ CoT",
    "free": "free text",
    "early_termination": "Early Termination",
    "paraphrase": "Paraphrasing",
    "filler": "Filler Substitution",
    "mistake": "Adding Mistakes",
    "prefix_paraphrase": "Prefix Paraphrasing",
    "filler_sweep": "Filler Sweep",
}
SETS = dict(zip(AVERAGES, ("average", "out-of-domain average"), strict=True))
_SIGNED = ("cot_lift", "above_chance")  # and every effect


class Study(NamedTuple):
    """What tables need to know of the study beside its frames."""

    # Tuned arms and base, in the order of the tables: model, arm, train_set and the settings of the tuning
    arms: Sequence[dict] = ()
    parameters: Mapping[str, int | None] = {}  # of each model; None where not known
    confidence: float = 0.95


def is_effect(metric: str) -> bool:
    return "_effect" in metric


def cell(row: dict, study: Study, chance: set[tuple] = frozenset()) -> str:
    """A row of SELECTION as text; `chance`: the (model, arm, evaluation set) that are at chance."""
    if row["estimate"] is None:
        return NOT_AVAILABLE
    effect = is_effect(row["metric"])
    sign = "+" if effect or row["metric"] in _SIGNED else ""
    text = number(row["estimate"], sign)
    if row["train_set"] is not None and row["train_set"] == row["eval_set"]:
        text += "*"
    if any((row["model"], arm, row["eval_set"]) in chance for arm in (row["arm"], *["base"] * effect)):
        text += "†"
    if row["low"] is not None:
        text += f" [{number(row['low'], sign)}, {number(row['high'], sign)}]"
    p = row["p_holm"]
    if p is not None:
        text += f" p={p:.3f}" if p >= 0.001 else " p<0.001"
    if effect and row["mde"] is not None and not (p is not None and p < 1 - study.confidence):
        text += f" mde={number(row['mde'])}"
    counts = (("n", row["n"]), ("u", row["n_unanswered"]), ("t", row["n_truncated"]))
    text += "".join(f" {letter}={count}" for letter, count in counts if count)
    return text + (f" s={row['seeds']}" if (row["seeds"] or 1) > 1 else "")


def at_chance(selection: pl.DataFrame) -> set[tuple]:
    """The (model, arm, evaluation set) whose accuracy with chain is not above chance."""
    rows = selection.filter(pl.col("metric") == "above_chance", pl.col("low") <= 0)
    return set(rows.select("model", "arm", "eval_set").rows())


def number(value: float, sign: str = "") -> str:
    """Three decimals, one from 10 on; never -0.000."""
    return f"{round(value, 3) + 0.0:{sign}.{3 if abs(value) < 10 else 1}f}"


def alpha(row: dict) -> str:
    return "" if row["alpha"] is None else f"{row['alpha']:g}"


def set_name(row: dict) -> str:
    return SETS.get(row["eval_set"], row["eval_set"])


def size(parameters: int | None) -> str:
    """134,515,008 parameters are "135M", 8.03e9 "8.0B"."""
    if parameters is None:
        return f"size {NOT_AVAILABLE}"
    for unit, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if parameters >= unit:
            scaled = parameters / unit
            return f"{scaled:.{0 if scaled >= 99.95 else 1}f}{letter}"
    return str(parameters)


def wide(cells: list[dict[str, str]], columns: list[str] | None = None) -> pl.DataFrame:
    """A row a set of labels and a column a `column`, in the order of `columns` where given."""
    frame = pl.DataFrame(cells)
    labels = [name for name in frame.columns if name not in ("column", "cell")]
    frame = frame.pivot(on="column", index=labels, values="cell", maintain_order=True).fill_null("")
    return frame if columns is None else frame.select(*labels, *(name for name in columns if name in frame.columns))
