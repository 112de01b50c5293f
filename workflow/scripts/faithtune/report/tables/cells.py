"""An estimate as text, in two forms.

A cell of a main table is a number and its interval: `0.36 ± .09`, where the ends are not equally far from it
`0.36 +.11 -.08`, and with its marks `**-0.14**† +.11 -.08`.
Elsewhere everything that belongs to a number is in its cell: `0.520*† [0.451, 0.588] n=200 u=3 t=1 parse 98% (0.518 to
0.538)`, and an effect `-0.040 [-0.110, +0.030] p=0.070 Holm 0.210 mde=0.095 n=200`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import polars as pl

from faithtune.core.schemas.estimates import BASE, data_sets_of
from faithtune.interventions import registry
from faithtune.measures.cell import AVERAGES
from faithtune.measures.metrics.registry import METRICS

NOT_AVAILABLE = "n/a"
_COUNTED = (
    "n; u (unanswered) and t (truncated), which n includes for accuracy, its changes, match and parse_rate, and"
    " excludes elsewhere"
)
READING = (
    f"A cell: estimate [{{confidence:g}} % interval]; {_COUNTED}; parse: share of n that was answered, and in"
    " parentheses the least and greatest value that the estimate could have, whatever the missing answers would have"
    f" been; s: tuning seeds pooled; {NOT_AVAILABLE}: no data to estimate it from; blank: not defined there."
)
COLUMNS = (
    "interval: {confidence:g} %; bounds: the least and greatest value that the estimate could have, whatever the"
    f" missing answers would have been; {_COUNTED}; parsed: share of n that was answered; {NOT_AVAILABLE}: no data to"
    " estimate it from."
)
EFFECTS = (
    "p: two-sided, not corrected; Holm: corrected over all changes of its kind (accuracy or match, on single sets or"
    " averaged) that the study has; mde: the effect that 80 % power would find, corrected like p."
)
OWN_SET = "Marks at an estimate: *: the arm's own training set."
AT_CHANCE = (
    "†: not above chance: the interval of accuracy above chance reaches 0.00 (for a change, of the arm or of"
    " base; for an average, on one of its sets)."
)
APART = (
    "‡: the answer was not forced after the arm's own open turn: imported chains declare it, and hosts with endpoint"
    " chat are sent the chain in a closed turn. Do not compare it with other models."
)
# A cell of a main table: number, marks, and its interval as ± or + -.
SHORT = re.compile(
    r"(?P<bold>\*\*)?(?P<number>[+-]?\d\.\d\d)(?(bold)\*\*)(?P<mark>†?)"
    r"(?: ± (?P<both>\d?\.\d\d)| \+(?P<up>\d?\.\d\d) -(?P<down>\d?\.\d\d))?"
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

    arms: Sequence[dict] = ()  # base and tuned, in the order of the tables, as `compared.table_arms` has them
    parameters: Mapping[str, int | None] = {}  # number of parameters of each model; None where not known
    confidence: float = 0.95
    counts_whole: bool = False  # whether the tables of matches count chains that α keeps whole, as published
    turns: Mapping[str, str] = {}  # `plan.answer_modes` of each model; `continued` for models that are not in it

    @property
    def apart(self) -> set[str]:
        """The models whose answers are not forced after their own open turn."""
        return {model for model, turn in self.turns.items() if turn != "continued"}


class CellText:
    """Rows of a selection (SELECTION) as text, with marks and bounds taken from its other rows."""

    def __init__(self, selection: pl.DataFrame, study: TableContext):
        self._study = study
        # In two digits, so that a single right answer among 56 is at chance like none.
        low = selection.filter(pl.col("metric") == "above_chance", pl.col("low").round(2) <= 0)
        self._chance = set(low.select("model", "arm", "eval_set").rows())
        ends = selection.filter(pl.col("metric").is_in(ENDS))
        self._ends = {position(row, row["metric"]): row["estimate"] for row in ends.rows(named=True)}

    def text(self, row: dict) -> str:
        """A row of the selection: the estimate and all that belongs to it."""
        if row["estimate"] is None:
            return NOT_AVAILABLE
        ends = interval(row)
        text = self.marked(row) + (ends and f" {ends}") + self._tested(row)
        counts = (("n", row["n"]), ("u", row["n_unanswered"]), ("t", row["n_truncated"]))
        text += "".join(f" {letter}={count}" for letter, count in counts if count)
        text += f" s={row['seeds']}" if (row["seeds"] or 1) > 1 else ""
        parse, bounds = parsed(row), self.bounds(row)
        return text + (parse and f" parse {parse}") + (bounds and f" ({bounds})")

    def marked(self, row: dict) -> str:
        """The estimate with its marks."""
        if row["estimate"] is None:
            return NOT_AVAILABLE
        own = row["eval_set"] in data_sets_of(row["train_set"])
        apart = row["model"] in self._study.apart and _after_chain(row)
        marks = "*" * own + "†" * self.at_chance(row) + "‡" * apart
        return number(row["estimate"], METRICS[row["metric"]].sign) + marks

    def bounds(self, row: dict) -> str:
        """Least and greatest possible value, where answers are missing; else ""."""
        metric = METRICS[row["metric"]]
        missing = (row["n_unanswered"] or 0) + (row["n_truncated"] or 0)
        if not missing or metric.bounds is None or row["estimate"] is None:
            return ""
        ends = [self._ends.get(position(row, name)) for name in metric.bounds]
        return "" if None in ends else " to ".join(number(end, metric.sign) for end in ends)

    def _tested(self, row: dict) -> str:
        """p, p_holm and, where the corrected p (else p) is not below the level, mde."""
        p, holm = p_value(row["p"]), p_value(row["p_holm"])
        text = (p and f" p{p if p[0] == '<' else f'={p}'}") + (holm and f" Holm {holm}")
        decides = row["p"] if row["p_holm"] is None else row["p_holm"]
        found = decides is not None and decides < 1 - self._study.confidence
        detectable = least_detectable(row)
        is_shown = METRICS[row["metric"]].is_effect and detectable is not None and not found
        return text + (f" mde={number(detectable)}" if is_shown else "")

    def at_chance(self, row: dict) -> bool:
        """Whether the row is about answers after a chain and its arm (for a change, the arm or base) is at chance."""
        if not _after_chain(row) or row["metric"] == "above_chance":
            return False
        arms = {row["arm"], *([BASE] if METRICS[row["metric"]].versus == BASE else [])}
        there = {on for model, arm, on in self._chance if model == row["model"] and arm in arms}
        if row["eval_set"] in AVERAGES:
            return bool(there - set(data_sets_of(row["train_set"]) if row["eval_set"] == AVERAGES[1] else []))
        return row["eval_set"] in there


def least_detectable(row: dict) -> float | None:
    """The minimum detectable effect, corrected where p is."""
    return row["mde"] if row["mde_holm"] is None else row["mde_holm"]


def position(row: dict, metric: str) -> tuple:
    """The key of a metric in a row's arm, set, test, α and k."""
    return (*(row[name] for name in ("model", "arm", "eval_set", "test", "alpha", "k")), metric)


def place(column: str, order: Iterable) -> pl.Expr:
    """The place of a column's value in `order`, whose values may repeat."""
    places = {value: i for i, value in enumerate(dict.fromkeys(order))}
    return pl.col(column).replace_strict(places, return_dtype=pl.Int64)


def _after_chain(row: dict) -> bool:
    """Whether the row is about answers after a chain: matches, or accuracy with the chain."""
    return METRICS[row["metric"]].of_matches or row["test"] == "cot"


def parsed(row: dict) -> str:
    """The share of n that was answered, for a metric that counts missing answers in n and is no change; else ""."""
    metric = METRICS[row["metric"]]
    if metric.bounds is None or metric.is_effect or row["n_unanswered"] is None or not row["n"]:
        return ""
    return f"{1 - (row['n_unanswered'] + (row['n_truncated'] or 0)) / row['n']:.0%}"


def short(row: dict, bold: bool = False, mark: str = "") -> str:
    """A cell of a main table (SHORT). The ends are those of the interval in two digits."""
    if row["estimate"] is None:
        return NOT_AVAILABLE
    value = round(100 * row["estimate"])
    text = f"{value / 100:{METRICS[row['metric']].sign}.2f}"
    text = f"**{text}**{mark}" if bold else text + mark
    if row["low"] is None:
        return text
    low, high = (round(100 * end) for end in (row["low"], row["high"]))
    down, up = (f"{side / 100:.2f}".removeprefix("0") for side in (value - low, high - value))
    return f"{text} ± {up}" if up == down else f"{text} +{up} -{down}"


def p_value(value: float | None) -> str:
    """Three decimals; "" for None."""
    return "" if value is None else f"{value:.3f}" if value >= 0.001 else "<0.001"


def interval(row: dict) -> str:
    """`[0.451, 0.588]`; "" without an interval."""
    if row["low"] is None:
        return ""
    low, high = (number(end, METRICS[row["metric"]].sign) for end in (row["low"], row["high"]))
    return f"[{low}, {high}]"


def with_interval(row: Mapping, sign: str = "") -> str:
    """`+0.100 [-0.100, +0.300]`: the number and its interval, both with signs if `sign` is +."""
    if row["estimate"] is None:
        return NOT_AVAILABLE
    if row["low"] is None:
        return number(row["estimate"], sign)
    value, low, high = (number(row[name], sign) for name in ("estimate", "low", "high"))
    return f"{value} [{low}, {high}]"


def counted(row: Mapping, sign: str = "+") -> str:
    """`+0.100 [-0.100, +0.300] (80)`: a number, its interval, questions."""
    return with_interval(row, sign) + (f" ({row['n']})" if row["estimate"] is not None else "")


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


def without_bold(text: str) -> str:
    """A cell of a main table without its asterisks; any other text as it is."""
    return text.replace("**", "") if SHORT.fullmatch(text) else text
