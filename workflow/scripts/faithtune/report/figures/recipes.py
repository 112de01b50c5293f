"""Recipes drawn: accuracy gained against faithfulness lost, and which recipes no other dominates."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from faithtune.core.schemas.estimates import BASE
from faithtune.report.figures import style

if TYPE_CHECKING:  # planning a study must not wait for it
    from matplotlib.figure import Figure

# A tuned arm: its changes from base over all evaluation sets.
POINTS = pl.Schema(
    {
        "model": pl.String,
        "arm": pl.String,  # as in ESTIMATES, its seeds pooled
        "accuracy": pl.Float64,  # change of accuracy with the chain
        "accuracy_low": pl.Float64,  # its interval
        "accuracy_high": pl.Float64,  # likewise
        "faithfulness": pl.Float64,  # change of faithfulness over all tests
        "faithfulness_low": pl.Float64,  # its interval
        "faithfulness_high": pl.Float64,  # likewise
        "on_front": pl.Boolean,  # no arm of the model is at least as high in both changes and higher in one
    }
)
NOTHING = "the study does not have two tuned arms"


def points(recipes: pl.DataFrame) -> pl.DataFrame:
    """POINTS from RECIPES; arms without a change of accuracy or of faithfulness are left out."""
    changes = recipes.filter(pl.col("against") == BASE, pl.col("test").is_null()).drop_nulls("estimate")
    accuracy, faithfulness = (_named(changes.filter(subject=of), of) for of in ("accuracy", "faithfulness"))
    both = accuracy.join(faithfulness, on=["model", "arm"], maintain_order="left")
    known = both.select("model", "accuracy", "faithfulness").rows()
    front = [not any(_dominates(other, one) for other in known) for one in known]
    return both.with_columns(on_front=pl.Series(front, dtype=pl.Boolean)).select(*POINTS)


def draw(frame: pl.DataFrame, arms: Sequence[dict], confidence: float) -> "Figure":
    """POINTS, a panel a model, with the front; arms: {"model", "arm"} of all arms, in the order of the tables."""
    if frame.is_empty():
        return style.nothing(NOTHING)
    looks = style.ArmLooks([(arm["model"], arm["arm"]) for arm in arms])
    models = frame.partition_by("model", maintain_order=True)
    figure, panels = style.panels(1, len(models), 6.4, 3.8, sharex=True, sharey=True)
    for part, panel in zip(models, panels[0], strict=True):
        panel.axhline(0, color="black", linewidth=0.8)
        panel.axvline(0, color="black", linewidth=0.8)
        front = part.filter("on_front").sort("accuracy", "faithfulness")
        ring = {"marker": "o", "markersize": 14, "markerfacecolor": "none", "markeredgecolor": "#555555"}
        panel.plot(front["accuracy"], front["faithfulness"], color="#bbbbbb", linewidth=4, zorder=1, **ring)
        for row in part.rows(named=True):
            changes = ([row[f"{of}{end}"] for end in ("", "_low", "_high")] for of in ("accuracy", "faithfulness"))
            style.point(panel, *changes, looks.look(row["model"], row["arm"]), row["arm"])
        panel.set_xlabel(style.ACCURACY)
        panel.set_title(part["model"][0], fontsize=10)
        panel.grid(alpha=0.3)
        panel.margins(0.12)
        style.widen(panel)
    panels[0, 0].set_ylabel(style.FAITHFULNESS)
    figure.suptitle(f"Accuracy gained, faithfulness lost, {100 * confidence:g} % intervals", fontsize=10)
    return figure


def _named(changes: pl.DataFrame, of: str) -> pl.DataFrame:
    return changes.select("model", "arm", pl.col("estimate").alias(of), pl.col("low", "high").name.prefix(f"{of}_"))


def _dominates(other: tuple, one: tuple) -> bool:
    """Whether another arm of the same model is at least as high in both changes, and higher in one."""
    return other[0] == one[0] and other != one and all(a >= b for a, b in zip(other[1:], one[1:], strict=True))
