"""Trainings drawn over their checkpoints: what changed from base against the examples seen, and the distance gone."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from faithtune.measures.long_term.curves import END
from faithtune.report.figures import style

if TYPE_CHECKING:  # planning a study must not wait for it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SUBJECTS = {
    "accuracy": "accuracy\nwith the chain",
    "lift": "CoT lift",
    "faithfulness": "faithfulness",
    "chains": "valid chains",
    "steps": "steps\nof a chain",
    "parsed": "answers read",
}
_SEEN, _STEPS, _KL = "examples seen", "optimiser steps", "KL from base, nats per token"
_NOTHING = "the study measures no checkpoints"


def draw(frame: pl.DataFrame, arms: Sequence[dict], confidence: float) -> "Figure":
    """CURVES: subjects down; across each model against examples, and against KL from base where that is known.

    A training's line starts at base, 0, and ends with a larger mark. Against KL it is a path, in the order of the
    steps. Of trainings elsewhere the examples are not known, nor is the step of the end: against steps, it is drawn at
    twice the last step, which is as far from there as a doubling of the steps.
    """
    if frame.is_empty():
        return style.nothing(_NOTHING)
    looks = style.ArmLooks([(arm["model"], arm["arm"]) for arm in arms])
    models = frame["model"].unique(maintain_order=True).to_list()
    columns = [(model, *column) for model in models for column in _columns(frame.filter(model=model))]
    figure, panels = style.panels(len(_SUBJECTS), len(columns), 5.2, 1.7, sharex="col", sharey="row")
    for i, ((model, axis, of_model), column) in enumerate(zip(columns, panels.T, strict=True)):
        for (subject, title), panel in zip(_SUBJECTS.items(), column, strict=True):
            panel.axhline(0, color="black", linewidth=0.8)
            of_subject = of_model.filter(pl.col("test").is_null(), subject=subject).drop_nulls(["x", "estimate"])
            for part in of_subject.partition_by("arm", maintain_order=True):
                _draw_training(panel, part, looks.look(model, part["arm"][0]))
            _scale(panel, of_model["x"], 10 if axis == _KL else 2)
            panel.grid(alpha=0.3)
            if i == 0:
                panel.set_ylabel(title, fontsize=8)
        column[0].set_title(model, fontsize=9)
        column[-1].set_xlabel(axis, fontsize=8)
    figure.suptitle(f"Change from base over the training, {100 * confidence:g} % intervals", fontsize=10)
    drawn = frame.select("model", "arm").unique(maintain_order=True).rows()
    names = [arm if len(models) == 1 else f"{model} {arm}" for model, arm in drawn]
    style.legend(figure, [looks.handle(*arm, markersize=5) for arm in drawn], names)
    return figure


def _columns(of_model: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    """The axes of a model's panels, each with CURVES whose column x is along it."""
    at_end = 2 * pl.col("step").max().over("arm")
    if of_model["seen"].null_count():
        found = [(_STEPS, of_model.with_columns(x=pl.coalesce("step", at_end)))]
    else:
        found = [(_SEEN, of_model.with_columns(x="seen"))]
    known = of_model["kl"].is_not_null().any()
    return [*found, (_KL, of_model.with_columns(x="kl"))] if known else found


def _draw_training(panel: "Axes", points: pl.DataFrame, look: dict) -> None:
    """A training's line from base on, with the points' intervals."""
    panel.plot([0, *points["x"]], [0, *points["estimate"]], **look | {"marker": ""}, linewidth=1.2)
    for row in points.rows(named=True):
        if row["low"] is not None:
            panel.plot([row["x"]] * 2, [row["low"], row["high"]], color=look["color"], linewidth=0.8)
        size = 7 if row["place"] == END else 4
        panel.plot(row["x"], row["estimate"], color=look["color"], marker=look["marker"], markersize=size)


def _scale(panel: "Axes", x: pl.Series, base: int) -> None:
    """A logarithmic axis from the least x above 0 on, and 0 itself at its left end."""
    least = x.filter(x > 0).min()
    if least is not None:
        panel.set_xscale("symlog", base=base, linthresh=least, linscale=0.5)
    panel.set_xlim(left=0)
