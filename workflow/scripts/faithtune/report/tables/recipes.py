"""T14 and its supplement: what each recipe changed, and what it took.

Rows are made of RECIPES, the estimates and the cards of the arms; a line is an arm.
"""

from collections.abc import Iterable, Mapping

import polars as pl

from faithtune.core.schemas.estimates import BASE
from faithtune.interventions.registry import BY_STEPS
from faithtune.measures.verdicts.recipes import BETWEEN, FROM_BASE, RECIPES
from faithtune.report.tables.cells import NOT_AVAILABLE, TITLES, TableContext, interval, number, p_value, short
from faithtune.report.tables.layouts.main import COMPARED

# A cell of T14: a difference, or what a training took: `moved` (‖ΔW‖ / ‖W‖ over the weights that could move),
# `divergence` (KL divergence of next tokens from base's, in nats, of arms that were handed in), `seen` (examples) and
# `tokens` (computed in training), each with an estimate alone.
COMPARISON = pl.Schema(
    {
        **RECIPES,
        # the arm or `against` is not above chance on one of the sets; false for chains, null for what a training took
        "at_chance": pl.Boolean,
    }
)
# Column of the table -> subject and test.
_TESTS = {TITLES[test]: ("faithfulness", test) for test in BY_STEPS}
_CHANGES = {
    "accuracy w/ CoT": ("accuracy", None),
    "CoT lift": ("lift", None),
    "faithfulness": ("faithfulness", None),
    "valid chains": ("chains", None),
    **_TESTS,
}
# Column of the table -> what a training took; and how it is written.
_COSTS = {"‖ΔW‖/‖W‖": "moved", "KL": "divergence", "examples seen": "seen", "tokens": "tokens"}
_FORMATS = {"moved": ".2g", "divergence": ".2g", "seen": ",.0f", "tokens": ",.0f"}
_TITLES = {of: title for title, of in _CHANGES.items()} | {(of, None): title for title, of in _COSTS.items()}
_AS_CHANGE = {"metric": "accuracy_effect"}  # how a difference is written


def compared(
    recipes: pl.DataFrame, estimates: pl.DataFrame, arms: Iterable[Mapping], cards: Iterable[Mapping]
) -> pl.DataFrame:
    """COMPARISON from RECIPES (those between other arms are left out), ESTIMATES, and arm.json of tuned arms.

    arms: {model, arm} of each card; seeds share an arm, and what they took is averaged.
    """
    shown = recipes.filter(pl.col("family") != BETWEEN)
    low = estimates.filter(pl.col("metric") == "above_chance", pl.col("low").round(2) <= 0)
    chance = set(low.select("model", "arm").rows())
    marks = [_is_marked(row, chance) for row in shown.rows(named=True)]
    rows = shown.with_columns(at_chance=pl.Series(marks, dtype=pl.Boolean))
    known = set(shown.select("model", "arm").rows())
    took = _took(estimates, zip(arms, cards, strict=True))
    costs = [
        {"model": key[0], "arm": key[1], "against": BASE, "family": FROM_BASE, "subject": key[2]}
        | {"estimate": sum(values) / len(values)}
        for key, values in took.items()
        if key[:2] in known
    ]
    return pl.concat([rows, pl.DataFrame(costs, schema=COMPARISON)])


def _is_marked(row: dict, chance: set[tuple[str, str]]) -> bool:
    """Whether a difference is about answers after a chain of an arm that is at chance."""
    compared = {(row["model"], row["arm"]), (row["model"], row["against"])}
    return row["estimate"] is not None and row["subject"] != "chains" and not chance.isdisjoint(compared)


def _took(estimates: pl.DataFrame, cards: Iterable[tuple[Mapping, Mapping]]) -> dict[tuple, list[float]]:
    """(model, arm, subject) of _COSTS -> the value of each seed; a value that is not known is left out."""
    found: dict[tuple, list[float]] = {}
    for arm, card in cards:
        values = {
            "moved": card.get("change", {}).get("relative"),
            "seen": card.get("seen"),
            "tokens": card.get("tokens"),
        }
        for subject, value in values.items():
            if value is not None:
                found.setdefault((arm["model"], arm["arm"], subject), []).append(value)
    known = estimates.filter(metric="token_divergence").drop_nulls("estimate")
    return found | {(*arm, "divergence"): [value] for *arm, value in known.select("model", "arm", "estimate").rows()}


def layout(rows: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Arms down, those minus base before those minus their reference; changes, then what trainings took, across.

    Bold: p_holm is below the level; †: at chance. Columns that are empty everywhere are left out.
    """
    lines, recipes = [], {(arm["model"], arm["arm"]): arm for arm in study.arms}
    for part in rows.partition_by("model", "family", "against", maintain_order=True):
        model, against, family = part.select("model", "against", "family").row(0)
        panel = {"model": model, COMPARED: f"minus {against}"}
        for arm in part.partition_by("arm", maintain_order=True):
            name = arm["arm"][0]
            line = {"arm": name} | _cells(arm, study)
            if family == FROM_BASE:
                line |= {key: recipes.get((model, name), {}).get(key) for key in ("method", "adapter")}
            lines.append(panel | line)
        lines.append(panel | {"arm": "n"} | _counts(part))
    names = ["model", COMPARED, "arm", *_CHANGES, "method", "adapter", *_COSTS]
    frame = pl.DataFrame(lines, schema=dict.fromkeys(names, pl.String)).fill_null("")
    return frame.drop(name for name in names[3:] if (frame[name] == "").all())


def supplement(rows: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """One number a line, with its interval, p and n."""
    return pl.DataFrame(
        {"model": row["model"], "arm": row["arm"], COMPARED: f"minus {row['against']}"}
        | {"what": _TITLES[row["subject"], row["test"]], "estimate": _text(row) + "†" * bool(row["at_chance"])}
        | {"interval": interval(row | _AS_CHANGE), "p": p_value(row["p"]), "p (Holm)": p_value(row["p_holm"])}
        | {"n": "" if row["n"] is None else str(row["n"])}
        for row in rows.rows(named=True)
    )


def _cells(arm: pl.DataFrame, study: TableContext) -> dict[str, str]:
    found = {}
    for row in arm.rows(named=True):
        title = _TITLES[row["subject"], row["test"]]
        if row["subject"] in _FORMATS:
            found[title] = _text(row)
        else:
            bold = row["p_holm"] is not None and row["p_holm"] < 1 - study.confidence
            found[title] = short(row | _AS_CHANGE, bold, "†" * bool(row["at_chance"]))
    return found


def _counts(part: pl.DataFrame) -> dict[str, str]:
    """n of each column: 56, or 40 to 56 where it differs."""
    found = part.drop_nulls("n").group_by("subject", "test", maintain_order=True).agg(pl.col("n").unique().sort())
    return {
        _TITLES[subject, test]: " to ".join(map(str, dict.fromkeys((n[0], n[-1])))) for subject, test, n in found.rows()
    }


def _text(row: dict) -> str:
    if row["estimate"] is None:
        return NOT_AVAILABLE
    form = _FORMATS.get(row["subject"])
    return format(row["estimate"], form) if form else number(row["estimate"], "+")
