"""Trainings drawn over their checkpoints: what changed from base against the examples seen."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from faithtune.measures.long_term.curves import END
from faithtune.report.figures import style

if TYPE_CHECKING:  # planning a study must not wait for it
    from matplotlib.figure import Figure

_SUBJECTS = {
    "accuracy": "accuracy\nwith the chain",
    "lift": "CoT lift",
    "faithfulness": "faithfulness",
    "chains": "valid chains",
    "steps": "steps\nof a chain",
    "parsed": "answers read",
}
_NOTHING = "the study measures no checkpoints"


def draw(frame: pl.DataFrame, arms: Sequence[dict], confidence: float) -> "Figure":
    """CURVES: models across, subjects down; a training's line starts at base, 0, and ends with a larger mark.

    Of trainings elsewhere the examples are not known, nor is the step of the end: against steps, it is drawn at twice
    the last step, which is as far from there as a doubling of the steps.
    """
    if frame.is_empty():
        return style.nothing(_NOTHING)
    at_end = 2 * pl.col("step").max().over("model", "arm")
    frame = frame.with_columns(x=pl.coalesce("seen", "step", at_end))
    looks = style.ArmLooks([(arm["model"], arm["arm"]) for arm in arms])
    models = frame["model"].unique(maintain_order=True).to_list()
    figure, panels = style.panels(len(_SUBJECTS), len(models), 5.2, 1.7, sharex="col", sharey="row")
    for model, column in zip(models, panels.T, strict=True):
        of_model = frame.filter(model=model)
        for (subject, title), panel in zip(_SUBJECTS.items(), column, strict=True):
            panel.axhline(0, color="black", linewidth=0.8)
            of_subject = of_model.filter(pl.col("test").is_null(), subject=subject)
            for part in of_subject.partition_by("arm", maintain_order=True):
                look = looks.look(model, part["arm"][0])
                known = part.drop_nulls("estimate")
                panel.plot([0, *known["x"]], [0, *known["estimate"]], **look | {"marker": ""}, linewidth=1.2)
                for row in known.rows(named=True):
                    if row["low"] is not None:
                        panel.plot([row["x"]] * 2, [row["low"], row["high"]], color=look["color"], linewidth=0.8)
                    size = 7 if row["place"] == END else 4
                    panel.plot(row["x"], row["estimate"], color=look["color"], marker=look["marker"], markersize=size)
            least = of_model["x"].min()
            panel.set_xscale("symlog", base=2, linthresh=max(1, least), linscale=0.5)
            panel.set_xlim(left=0)
            panel.grid(alpha=0.3)
            if model == models[0]:
                panel.set_ylabel(title, fontsize=8)
        column[0].set_title(model, fontsize=9)
        known = of_model["seen"].null_count() == 0
        column[-1].set_xlabel("examples seen" if known else "optimiser steps", fontsize=8)
    figure.suptitle(f"Change from base over the training, {100 * confidence:g} % intervals", fontsize=10)
    drawn = frame.select("model", "arm").unique(maintain_order=True).rows()
    names = [arm if len(models) == 1 else f"{model} {arm}" for model, arm in drawn]
    style.legend(figure, [looks.handle(*arm, markersize=5) for arm in drawn], names)
    return figure
