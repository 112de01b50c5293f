"""How long chains are: the share of an arm's chains with at most so many steps, or tokens."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl

from faithtune.measures.pooling import Key
from faithtune.report.figures import style

if TYPE_CHECKING:  # planning a study must not wait for it
    from matplotlib.figure import Figure

# A point of a cumulative distribution: the share of chains that are at most that long.
LENGTHS = pl.Schema(
    {
        "model": pl.String,
        "arm": pl.String,  # TUNING-TRAIN_SET, seeds pooled
        "eval_set": pl.String,
        "unit": pl.String,  # steps | tokens
        "length": pl.Int64,  # steps or tokens
        "share": pl.Float64,  # of chains that are at most so long
        "n": pl.Int64,  # chains of known length (tokens of imported chains are unknown)
        "n_truncated": pl.Int64,  # among n, cut at the token limit: they would be longer
    }
)
UNITS = {"steps": "n_steps", "tokens": "n_tokens"}


def lengths(chains: Mapping[Key, pl.DataFrame]) -> pl.DataFrame:
    """LENGTHS from CHAINS by (model, arm, evaluation set), seeds pooled (`pooling.pool`)."""
    rows = []
    for (model, arm, eval_set), frame in chains.items():
        for unit, column in UNITS.items():
            known = frame.drop_nulls(column)
            counts = known.group_by(length=pl.col(column).cast(pl.Int64)).len().sort("length")
            where = {"model": model, "arm": arm, "eval_set": eval_set, "unit": unit, "n": known.height}
            where["n_truncated"] = (known["outcome"] == "truncated").sum()
            shares = counts["len"].cum_sum() / max(known.height, 1)
            rows += [
                where | {"length": length, "share": share}
                for length, share in zip(counts["length"], shares, strict=True)
            ]
    return pl.DataFrame(rows, schema=LENGTHS)


def draw(frame: pl.DataFrame) -> "Figure":
    """Evaluation sets down, steps and tokens across, one line per arm."""
    if frame.is_empty():
        return style.nothing("the study has no chains")
    sets = frame["eval_set"].unique(maintain_order=True).to_list()
    arms = frame.select("model", "arm").unique(maintain_order=True).rows()
    several, looks = frame["model"].n_unique() > 1, style.ArmLooks(arms)
    longest = {unit: frame.filter(unit=unit)["length"].max() for unit in UNITS}
    figure, panels = style.panels(len(sets), len(UNITS), 3.6, 2.2, sharey=True, sharex="col")
    for eval_set, line in zip(sets, panels, strict=True):
        for unit, panel in zip(UNITS, line, strict=True):
            for model, arm in arms:
                points = frame.filter(model=model, arm=arm, eval_set=eval_set, unit=unit)
                look = looks.look(model, arm) | {"drawstyle": "steps-post", "linewidth": 1.3, "markersize": 3}
                every = max(1, points.height // 12)
                # Start at the axis and go on to the right edge.
                x = [*points["length"][:1], *points["length"], longest[unit]] if points.height else []
                y = [0, *points["share"], 1] if points.height else []
                panel.plot(x, y, markevery=(1, every), **look)
            panel.grid(alpha=0.3)
            panel.set_ylim(-0.02, 1.02)
        line[0].set_ylabel(f"{eval_set}\nshare of chains")
    for unit, panel in zip(UNITS, panels[-1], strict=True):
        panel.set_xlabel(f"{unit}, at most")
    names = [f"{model} {arm}" if several else arm for model, arm in arms]
    style.legend(figure, [looks.handle(*arm) for arm in arms], names)
    return figure
