"""The training loss of every tuned arm."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl

from faithtune.report.figures import style

if TYPE_CHECKING:  # planning a study must not wait for it
    from matplotlib.figure import Figure

# A row of a training log.
LOSSES = pl.Schema(
    {
        "model": pl.String,
        "arm": pl.String,  # TUNING-TRAIN_SET
        "seed": pl.Int64,
        "step": pl.Int64,  # optimiser steps done
        "loss": pl.Float64,  # mean since the row before, nats per token trained on; a host's in its own unit
    }
)


def losses(logs: Mapping[tuple[str, str, int], pl.DataFrame]) -> pl.DataFrame:
    """LOSSES from the training logs (TRAINING or HOSTED_TRAINING) by (model, arm, seed)."""
    frames = [
        log.drop_nulls("loss").select(
            model=pl.lit(model), arm=pl.lit(arm), seed=pl.lit(seed, pl.Int64), step="step", loss="loss"
        )
        for (model, arm, seed), log in logs.items()
    ]
    return pl.concat([pl.DataFrame(schema=LOSSES), *frames])


def draw(frame: pl.DataFrame) -> "Figure":
    """Models across, one line per arm and seed; an arm's seeds look the same."""
    if frame.is_empty():
        return style.nothing("the study tunes no arm, or no log of a training tells a loss")
    models = frame["model"].unique(maintain_order=True).to_list()
    arms = frame["arm"].unique(maintain_order=True).to_list()
    looks = style.ArmLooks(frame.select("model", "arm").unique(maintain_order=True).rows())
    figure, panels = style.panels(1, len(models), 4.6, 3.0)  # each with its own axis: a host has its own unit
    for model, panel in zip(models, panels[0], strict=True):
        for arm in arms:
            runs = frame.filter(model=model, arm=arm).partition_by("seed", maintain_order=True)
            for run in runs:
                every = max(1, run.height // 8)
                look = looks.look(models[0], arm) | {"linewidth": 1.2, "markersize": 3, "markevery": every}
                panel.plot(run["step"], run["loss"], **look)
        panel.set(xlabel="optimiser steps", ylim=(0, None))
        panel.set_title(model, fontsize=9)
        panel.grid(alpha=0.3)
    panels[0, 0].set_ylabel("loss on what is learnt")
    style.legend(figure, [looks.handle(models[0], arm) for arm in arms], arms)
    return figure
