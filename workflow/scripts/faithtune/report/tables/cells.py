"""An estimate as text: all that belongs to a number stands in its cell.

`0.520*† [0.451, 0.588] n=200 u=3 t=1 parse 98% (0.518 to 0.538)`, and an effect
`-0.040 [-0.110, +0.030] p=0.210 mde=0.095 n=200`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import polars as pl

from faithtune.interventions import registry
from faithtune.measures.cell import AVERAGES

NOT_AVAILABLE = "n/a"
READING = (
    "Brackets: {confidence:g} % interval; n: questions the number rests on; u: unanswered, t: cut at a token limit,"
    " both among n where parse stands, in changes of accuracy and in parse_rate, beside it elsewhere; parse: the share"
    " of n that is neither; in parentheses what the number would be at least and at most, whatever those had been; s:"
    " tuning seeds pooled, where more than one; *: on the arm's own training set;"
    f" {NOT_AVAILABLE}: nothing to estimate it from; blank: there is no such number there."
)
EFFECTS = (
    "p: two-sided, corrected by Holm's method over the effects of this table; mde: the change that 80 % power"
    " would find, where p is not below {level:g}."
)
AT_CHANCE = (
    "†: the arm (of a change: it or base) is not above chance there (of an average: on one of its sets), so that its"
    " matches mean little."
)
APART = (
    "‡: not the answer forced after the arm's own open turn: imported chains declare it, hosts with endpoint chat are"
    " told the chain again; not to be compared with other models' numbers."
)
# Of the tests: how a cell's answer was asked for, and what the chain was tampered with before it.
TITLES = {"no_cot": "w/o CoT", "cot": "w/ CoT", "free": "free text"} | {
    name: test.title for name, test in registry.TESTS.items()
}
SETS = dict(zip(AVERAGES, ("average", "out-of-domain average"), strict=True))
# Least and greatest value that an estimate could have, whatever what is missing had been.
BOUNDS = {
    "accuracy": ("accuracy_if_unanswered_wrong", "accuracy_if_unanswered_right"),
    "accuracy_effect": ("accuracy_effect_least", "accuracy_effect_most"),
    "match": ("match_if_unanswered_differ", "match_if_unanswered_match"),
    "match_effect": ("match_effect_least", "match_effect_most"),
}
ENDS = tuple(name for both in BOUNDS.values() for name in both)
# What says little of an arm at chance; accuracy of the test cot too.
_OF_MATCH = re.compile(r"match|faithfulness|change_floored|disguised|alpha_star|aoc")


class TableContext(NamedTuple):
    """What tables need to know of the study beside its frames."""

    # Tuned arms and base, in the order of the tables: model, arm, train_set and the settings of the tuning
    arms: Sequence[dict] = ()
    parameters: Mapping[str, int | None] = {}  # of each model; None where not known
    confidence: float = 0.95
    turns: Mapping[str, str] = {}  # of each model `plan.turns`; one that is not given is `continued`

    @property
    def apart(self) -> set[str]:
        """The models whose answers are not forced after their own open turn."""
        return {model for model, turn in self.turns.items() if turn != "continued"}


class Cells:
    """Rows of a selection (SELECTION) as text, marked and bounded by what its other rows say."""

    def __init__(self, selection: pl.DataFrame, study: TableContext):
        self._study = study
        low = selection.filter(pl.col("metric") == "above_chance", pl.col("low") <= 0)
        self._chance = set(low.select("model", "arm", "eval_set").rows())
        ends = selection.filter(pl.col("metric").is_in(ENDS))
        self._ends = {position(row, row["metric"]): row["estimate"] for row in ends.rows(named=True)}

    def text(self, row: dict) -> str:
        """One of its rows: `_cell`, and of a share its parse rate, of what is missing the bounds."""
        marks = "†" * self.at_chance(row) + "‡" * (row["model"] in self._study.apart and _after_chain(row))
        text = _cell(row, self._study, marks)
        if row["estimate"] is None or row["metric"] not in BOUNDS or row["n_unanswered"] is None:
            return text
        missing = row["n_unanswered"] + (row["n_truncated"] or 0)
        if row["n"] and not is_effect(row["metric"]):
            text += f" parse {1 - missing / row['n']:.0%}"
        ends = [self._ends.get(position(row, name)) for name in BOUNDS[row["metric"]]]
        if missing and None not in ends:
            text += " ({} to {})".format(*(number(end, "+" * is_effect(row["metric"])) for end in ends))
        return text

    def at_chance(self, row: dict) -> bool:
        """Whether the row is of matches, or of accuracy with chain, and its arm (of a change: or base) at chance."""
        if not _after_chain(row) or row["metric"] == "above_chance":
            return False
        arms = {row["arm"], *(["base"] if "_effect" in row["metric"] else [])}
        there = {on for model, arm, on in self._chance if model == row["model"] and arm in arms}
        if row["eval_set"] in AVERAGES:
            return bool(there - {row["train_set"] if row["eval_set"] == AVERAGES[1] else None})
        return row["eval_set"] in there


def is_effect(metric: str) -> bool:
    """Whether it is a paired difference, with a p and a minimum detectable effect."""
    return "_effect" in metric or metric == "cot_lift"


def position(row: dict, metric: str) -> tuple:
    """Where a metric of a row's arm, set and test stands."""
    return (*(row[name] for name in ("model", "arm", "eval_set", "test", "alpha", "k")), metric)


def _after_chain(row: dict) -> bool:
    """Whether the row is of answers after a chain: of matches, or of accuracy with chain."""
    return bool(_OF_MATCH.search(row["metric"])) or row["test"] == "cot"


def _cell(row: dict, study: TableContext, marks: str) -> str:
    if row["estimate"] is None:
        return NOT_AVAILABLE
    effect = is_effect(row["metric"])
    sign = "+" if effect or row["metric"] == "above_chance" else ""
    text = number(row["estimate"], sign)
    if row["train_set"] is not None and row["train_set"] == row["eval_set"]:
        text += "*"
    text += marks
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
