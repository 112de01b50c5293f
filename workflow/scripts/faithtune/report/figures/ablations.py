"""Ablations drawn: what changed, against the one key in which otherwise equal recipes differ."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from faithtune.core.schemas.estimates import BASE
from faithtune.report.ablations import find_ablations
from faithtune.report.figures import style

if TYPE_CHECKING:  # planning a study must not wait for it
    from matplotlib.figure import Figure

# A change from base of an arm that differs from another in one key alone.
ABLATIONS = pl.Schema(
    {
        "model": pl.String,
        "key": pl.String,  # of the tuning, as `vary` takes it (`grpo.temperature`), in which the arms differ
        "arms": pl.String,  # that are compared: their names
        "arm": pl.String,  # as in ESTIMATES, its seeds pooled
        "value": pl.String,  # of the key
        "place": pl.Int64,  # of the value on the axis: numbers by size, others in the order of the arms
        "number": pl.Boolean,  # whether the value is one
        "subject": pl.String,  # accuracy (with chain) | faithfulness (over all tests)
        "change": pl.Float64,  # mean over the evaluation sets
        "low": pl.Float64,
        "high": pl.Float64,
        "n": pl.Int64,  # questions it rests on
    }
)
_SUBJECTS = {"accuracy": "change of accuracy\nwith the chain", "faithfulness": "change of\nfaithfulness"}
_NOTHING = "the study has no arms of a model that differ in one key alone"


def ablations(recipes: pl.DataFrame, arms: Sequence[dict]) -> pl.DataFrame:
    """ABLATIONS from RECIPES; arms: `compared.table_arms`."""
    found = find_ablations(arms)
    rows = []
    for key in dict.fromkeys(one.key for one in found):
        groups = [one for one in found if one.key == key]
        places = {text: i for i, text in enumerate(_in_order([value for one in groups for value in one.values]))}
        for group in groups:
            compared = ", ".join(arm["arm"] for arm in group.arms)
            for arm, value in zip(group.arms, group.values, strict=True):
                about = {"model": arm["model"], "key": key, "arms": compared, "arm": arm["arm"]}
                text = _text(value)
                rows.append(about | {"value": text, "place": places[text], "number": _is_number(value)})
    known = pl.DataFrame(rows, schema=dict(list(ABLATIONS.items())[:7]))
    changes = recipes.filter(
        pl.col("against") == BASE, pl.col("test").is_null(), pl.col("subject").is_in(list(_SUBJECTS))
    ).rename({"estimate": "change"})
    return known.join(changes, on=["model", "arm"], maintain_order="left_right").select(*ABLATIONS)


def draw(frame: pl.DataFrame, arms: Sequence[dict], confidence: float) -> "Figure":
    """Keys across, accuracy and faithfulness down; a line joins arms that differ in the key alone, of numbers."""
    if frame.is_empty():
        return style.nothing(_NOTHING)
    looks = style.ArmLooks([(arm["model"], arm["arm"]) for arm in arms])
    keys = frame["key"].unique(maintain_order=True).to_list()
    figure, panels = style.panels(len(_SUBJECTS), len(keys), 3.0, 2.1, sharex="col", sharey="row")
    for key, column in zip(keys, panels.T, strict=True):
        own = frame.filter(key=key)
        groups = own.select("model", "arms").unique(maintain_order=True).rows()
        for (subject, title), panel in zip(_SUBJECTS.items(), column, strict=True):
            panel.axhline(0, color="black", linewidth=0.6)
            for i, (model, compared) in enumerate(groups):
                part = own.filter(model=model, arms=compared, subject=subject).drop_nulls("change").sort("place")
                # Slightly apart, so that no group hides another.
                shift = 0.12 * (i - (len(groups) - 1) / 2) / max(1, len(groups) - 1)
                if part["number"].all():
                    panel.plot(part["place"] + shift, part["change"], color="#999999", linewidth=0.9)
                for row in part.rows(named=True):
                    look, x = looks.look(row["model"], row["arm"]), row["place"] + shift
                    if row["low"] is not None:
                        panel.plot([x, x], [row["low"], row["high"]], color=look["color"], linewidth=1.0)
                    panel.plot([x], [row["change"]], color=look["color"], marker=look["marker"], markersize=5)
            panel.grid(alpha=0.3)
            if key == keys[0]:
                panel.set_ylabel(title, fontsize=8)
        values = own.select("place", "value").unique(maintain_order=True).sort("place")
        column[-1].set_xticks(values["place"], values["value"], fontsize=7)
        column[-1].set_xlim(-0.5, values.height - 0.5)
        column[-1].set_xlabel(key, fontsize=8)
    figure.suptitle(f"Change from base,\n{100 * confidence:g} % intervals", fontsize=10)
    drawn = frame.select("model", "arm").unique(maintain_order=True).rows()
    several = len({model for model, _ in drawn}) > 1
    names = [f"{model} {arm}" if several else arm for model, arm in drawn]
    style.legend(figure, [looks.handle(*arm, linestyle="none", markersize=5) for arm in drawn], names)
    return figure


def _in_order(values: list) -> list[str]:
    """The texts of values, each once: numbers by size, others in their order."""
    known = sorted(values) if all(map(_is_number, values)) else values
    return list(dict.fromkeys(map(_text, known)))


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
