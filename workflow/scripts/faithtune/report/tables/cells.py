"""An estimate as text: everything that belongs to a number is in its cell.

`0.520*† [0.451, 0.588] n=200 u=3 t=1 parse 98% (0.518 to 0.538)`, and an effect
`-0.040 [-0.110, +0.030] p=0.210 mde=0.095 n=200`.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import polars as pl

from faithtune.core.schemas.estimates import BASE
from faithtune.interventions import registry
from faithtune.measures.cell import AVERAGES
from faithtune.measures.metrics.registry import METRICS

NOT_AVAILABLE = "n/a"
READING = (
    "A cell: estimate [{confidence:g} % interval]; n questions; u unanswered and t truncated answers, which n includes"
    " for accuracy, its changes, match and parse_rate, and excludes elsewhere; parse: share of n that was answered, and"
    " in parentheses the least and greatest value that the estimate could have, whatever the missing answers would have"
    " been; s tuning seeds pooled, if several; * the arm's own training set;"
    f" {NOT_AVAILABLE}: no data to estimate it from; blank: not defined there."
)
EFFECTS = (
    "p: two-sided, corrected by Holm's method over the effects of this table; mde: the effect that 80 % power would"
    " find, shown where p is not below {level:g}."
)
AT_CHANCE = (
    "† the arm (for a change, the arm or base; for an average, on one of its sets) is not above chance, so its matches"
    " say little."
)
APART = (
    "‡ the answer was not forced after the arm's own open turn: imported chains declare it, and hosts with endpoint"
    " chat are sent the chain in a closed turn. Do not compare it with other models."
)
# Values of `test`: how the answer was asked for, or how the chain was tampered with before it.
TITLES = {"no_cot": "w/o CoT", "cot": "w/ CoT", "free": "free text"} | {
    name: test.title for name, test in registry.TESTS.items()
}
SETS = dict(zip(AVERAGES, ("average", "out-of-domain average"), strict=True))
# The metrics that bound another one.
ENDS = tuple(name for metric in METRICS.values() for name in metric.bounds or ())


class TableContext(NamedTuple):
    """What tables need to know about the study besides their rows."""

    arms: Sequence[dict] = ()  # base and tuned, in the order of the tables, as `plan.table_arms` has them
    parameters: Mapping[str, int | None] = {}  # number of parameters of each model; None where not known
    confidence: float = 0.95
    turns: Mapping[str, str] = {}  # `plan.answer_modes` of each model; `continued` for models that are not in it

    @property
    def apart(self) -> set[str]:
        """The models whose answers are not forced after their own open turn."""
        return {model for model, turn in self.turns.items() if turn != "continued"}


class CellText:
    """Rows of a selection (SELECTION) as text, with marks and bounds taken from its other rows."""

    def __init__(self, selection: pl.DataFrame, study: TableContext):
        self._study = study
        low = selection.filter(pl.col("metric") == "above_chance", pl.col("low") <= 0)
        self._chance = set(low.select("model", "arm", "eval_set").rows())
        ends = selection.filter(pl.col("metric").is_in(ENDS))
        self._ends = {position(row, row["metric"]): row["estimate"] for row in ends.rows(named=True)}

    def text(self, row: dict) -> str:
        """A row of the selection: the estimate and all that belongs to it."""
        marks = "†" * self.at_chance(row) + "‡" * (row["model"] in self._study.apart and _after_chain(row))
        text = _cell(row, self._study, marks)
        metric = METRICS[row["metric"]]
        if row["estimate"] is None or metric.bounds is None or row["n_unanswered"] is None:
            return text
        missing = row["n_unanswered"] + (row["n_truncated"] or 0)
        if row["n"] and not metric.is_effect:
            text += f" parse {1 - missing / row['n']:.0%}"
        ends = [self._ends.get(position(row, name)) for name in metric.bounds]
        if missing and None not in ends:
            text += " ({} to {})".format(*(number(end, metric.sign) for end in ends))
        return text

    def at_chance(self, row: dict) -> bool:
        """Whether the row is about answers after a chain and its arm (for a change, the arm or base) is at chance."""
        if not _after_chain(row) or row["metric"] == "above_chance":
            return False
        arms = {row["arm"], *([BASE] if METRICS[row["metric"]].versus == BASE else [])}
        there = {on for model, arm, on in self._chance if model == row["model"] and arm in arms}
        if row["eval_set"] in AVERAGES:
            return bool(there - {row["train_set"] if row["eval_set"] == AVERAGES[1] else None})
        return row["eval_set"] in there


def position(row: dict, metric: str) -> tuple:
    """The key of a metric in a row's arm, set, test, α and k."""
    return (*(row[name] for name in ("model", "arm", "eval_set", "test", "alpha", "k")), metric)


def _after_chain(row: dict) -> bool:
    """Whether the row is about answers after a chain: matches, or accuracy with the chain."""
    return METRICS[row["metric"]].of_matches or row["test"] == "cot"


def _cell(row: dict, study: TableContext, marks: str) -> str:
    if row["estimate"] is None:
        return NOT_AVAILABLE
    metric = METRICS[row["metric"]]
    text = number(row["estimate"], metric.sign)
    if row["train_set"] is not None and row["train_set"] == row["eval_set"]:
        text += "*"
    text += marks
    if row["low"] is not None:
        text += f" [{number(row['low'], metric.sign)}, {number(row['high'], metric.sign)}]"
    p = row["p_holm"]
    if p is not None:
        text += f" p={p:.3f}" if p >= 0.001 else " p<0.001"
    if metric.is_effect and row["mde"] is not None and not (p is not None and p < 1 - study.confidence):
        text += f" mde={number(row['mde'])}"
    counts = (("n", row["n"]), ("u", row["n_unanswered"]), ("t", row["n_truncated"]))
    text += "".join(f" {letter}={count}" for letter, count in counts if count)
    return text + (f" s={row['seeds']}" if (row["seeds"] or 1) > 1 else "")


def number(value: float, sign: str = "") -> str:
    """Three decimals, or one from 10 on; never -0.000."""
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


def pivot(cells: list[dict[str, str]], columns: list[str] | None = None) -> pl.DataFrame:
    """One row per set of labels and one column per `column`, in the order of `columns` where given."""
    frame = pl.DataFrame(cells)
    labels = [name for name in frame.columns if name not in ("column", "cell")]
    frame = frame.pivot(on="column", index=labels, values="cell", maintain_order=True).fill_null("")
    return frame if columns is None else frame.select(*labels, *(name for name in columns if name in frame.columns))
