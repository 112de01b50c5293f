"""Match against the kept fraction of the chain, base and tuned: one figure per evaluation set."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from faithtune.interventions.registry import BY_STEPS
from faithtune.measures.alpha import answers_at
from faithtune.measures.cell import Cell, count_missing
from faithtune.measures.metrics.registry import METRICS
from faithtune.measures.pooling import Key
from faithtune.measures.stats.bootstrap import Sampling
from faithtune.report.figures import style
from faithtune.report.tables.cells import TITLES

if TYPE_CHECKING:  # planning a study must not wait for it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# A point of a curve: one arm's match at one kept fraction, as in ESTIMATES.
CURVES = pl.Schema(
    {
        "model": pl.String,
        "arm": pl.String,
        "eval_set": pl.String,
        "test": pl.String,
        "fraction": pl.Float64,  # of the N steps kept, as α
        "match": pl.Float64,  # over answered questions; null where there are none
        "low": pl.Float64,  # pointwise interval
        "high": pl.Float64,
        "n": pl.Int64,  # questions with an intervention
        "n_unanswered": pl.Int64,  # among n, left out of the match
        "n_truncated": pl.Int64,  # among n, left out of the match
    }
)
_NOTHING = "no chain here could be tampered with: imported, or all too short, cut or unanswered"
FRACTIONS = tuple(i / 20 for i in range(21))


def curves(answers: Mapping[Key, pl.DataFrame], eval_set: str, sampling: Sampling) -> pl.DataFrame:
    """Points (CURVES) of each arm and test at FRACTIONS.

    A question's match is a step function of the kept fraction, with a step at each k/N. It is read as α reads it (⌈αN⌉
    steps kept), so a curve passes through the tables' CoT Pred Match. Like that, a point leaves out the chains of which
    it keeps every step, except at its untouched end, where all are whole.
    """
    rows = []
    for (model, arm, of), frame in answers.items():
        if of != eval_set:
            continue
        cell = Cell(sampling, model, arm, None, eval_set)
        there = pl.col("outcome") != "unavailable", pl.col("real") | pl.col("alpha").is_in([0.0, 1.0])
        tampered = answers_at(frame, FRACTIONS).filter(*there)
        for (test, fraction), items in tampered.group_by("test", "alpha", maintain_order=True):
            here = replace(cell, test=test, alpha=fraction)
            row = here.share("match", items, pl.col("match"), **count_missing(items))
            row |= {"fraction": fraction, "match": row["estimate"], "n": items.height}
            rows.append({name: row[name] for name in CURVES})
    return pl.DataFrame(rows, schema=CURVES)


def draw(frame: pl.DataFrame, eval_set: str, confidence: float) -> "Figure":
    """CURVES of an evaluation set: models down, tests across, one line with its band per arm."""
    if frame.is_empty():
        return style.nothing(_NOTHING)
    models = frame["model"].unique(maintain_order=True).to_list()
    arms = frame["arm"].unique(maintain_order=True).to_list()
    tests = [test for test in BY_STEPS if test in frame["test"]]
    title = METRICS["match"].title
    looks = style.ArmLooks(frame.select("model", "arm").unique(maintain_order=True).rows())
    figure, panels = style.panels(len(models), len(tests), 3.2, 2.9, sharex=True, sharey=True)
    for model, line in zip(models, panels, strict=True):
        for test, panel in zip(tests, line, strict=True):
            for arm in arms:
                points = frame.filter(model=model, test=test, arm=arm).drop_nulls("match")
                _curve(panel, points, looks.look(models[0], arm))
            faithful = "higher" if METRICS["match"].direction_in(test) > 0 else "lower"
            panel.set_title(f"{TITLES[test]}\n({faithful} is more faithful)", fontsize=9)
            panel.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
            panel.grid(alpha=0.3)
        line[0].set_ylabel(f"{model}\n{title}" if len(models) > 1 else title)
    for panel in panels[-1]:
        panel.set_xlabel("kept fraction of the chain, k/N")
    figure.suptitle(f"{eval_set}: match with the full-chain answer, {100 * confidence:g} % bands", fontsize=10)
    style.legend(figure, [looks.handle(models[0], arm) for arm in arms], arms)
    return figure


def _curve(panel: "Axes", points: pl.DataFrame, look: dict) -> None:
    panel.plot(points["fraction"], points["match"], markersize=3, linewidth=1.3, **look)
    panel.fill_between(points["fraction"], points["low"], points["high"], color=look["color"], alpha=0.15, linewidth=0)
