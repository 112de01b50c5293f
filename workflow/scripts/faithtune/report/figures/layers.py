"""What was found inside arms, drawn by layer: where the answer is decided, what it needs, how far tuning moved."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from faithtune.core.schemas.probes import INSIDE
from faithtune.report.figures import style

if TYPE_CHECKING:  # planning a study must not wait for it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class _Line:
    """A line of panels: a measure of INSIDE by layer."""

    title: str
    measure: str
    part: str | None = None
    of_windows: bool = False
    # Decoder layers are counted from 0, hidden states from 1 (0 are the embeddings): what both are drawn at.
    shift: int = 0
    limits: tuple[float | None, float | None] | None = (-0.03, 1.03)  # None: from 0 to the greatest value


# Measure and part: of the states before the chain by layer, and of the question's words alone.
_PROBE, _TEXT = ("linear_auc", "states"), ("linear_auc", "text")
_LINES = (
    _Line("final answer\nby the lens,\nat the cue", "lens_p", "cue"),
    _Line("final answer\nby the lens,\nbefore the chain", "lens_p", "before"),
    _Line("linear probe,\nAUC before\nthe chain", *_PROBE, limits=(None, 1.03)),
    _Line("answers changed,\nchain hidden\nin a window", "knockout_changed", "chain", of_windows=True, shift=1),
    _Line("answers changed,\nquestion hidden\nin a window", "knockout_changed", "question", of_windows=True, shift=1),
    _Line("attention of\nthe cue to\nthe chain", "attention", "chain", shift=1, limits=None),
    _Line("similarity\nto base (CKA)", "cka", limits=(None, 1.03)),
    _Line("‖ΔW‖/‖W‖,\nmean over\nmodules", "weight_change", shift=1, limits=None),
)
_NOTHING = "nothing was looked at by layer inside the study's arms"


def points(inside: pl.DataFrame) -> pl.DataFrame:
    """INSIDE of what the figure shows: values by layer, baselines, and of weights the mean over a layer's modules."""
    values = inside.filter(pl.col("head").is_null(), what="value")
    weights = values.filter(pl.col("layer").is_not_null(), measure="weight_change")
    by = ["model", "arm", "train_set", "layer", "seeds"]
    means = weights.group_by(by, maintain_order=True).agg(pl.col("estimate").mean())
    means = means.with_columns(what=pl.lit("value"), measure=pl.lit("weight_change"))
    shown = [_rows(values, what) for what in _LINES if what.measure != "weight_change"]
    shown += [values.filter(measure=_TEXT[0], part=_TEXT[1]), means]
    found = pl.concat([pl.DataFrame(schema=INSIDE), *shown], how="diagonal")
    return found.drop_nulls("estimate")


def draw(frame: pl.DataFrame, arms: Sequence[dict], confidence: float) -> "Figure":
    """INSIDE (`points`): what was measured down, models and evaluation sets across, a line an arm, intervals as bands.

    What no set changes stands in the first column of its model.
    """
    lines = [(what, rows) for what in _LINES if (rows := _rows(frame, what)).height]
    if not lines:
        return style.nothing(_NOTHING)
    drawn = frame.select("model", "arm").unique(maintain_order=True).rows()
    looks = style.ArmLooks([*((arm["model"], arm["arm"]) for arm in arms), *drawn])
    columns = _columns(frame)
    figure, panels = style.panels(len(lines), len(columns), 3.2, 1.4, sharex="col", sharey="row")
    for (what, rows), line in zip(lines, panels, strict=True):
        for (model, eval_set), panel in zip(columns, line, strict=True):
            here, alone = _here(rows, columns, model, eval_set), _here(frame, columns, model, eval_set)
            for arm in here["arm"].unique(maintain_order=True):
                _draw_arm(panel, what, here.filter(arm=arm), looks.look(model, arm))
            if (what.measure, what.part) == _PROBE:
                _draw_baselines(panel, alone.filter(measure=_TEXT[0], part=_TEXT[1]), model, looks)
            if here.is_empty():
                panel.text(0.5, 0.5, _no_data(rows), ha="center", transform=panel.transAxes, color="grey", fontsize=8)
            panel.grid(alpha=0.3)
        if what.limits is None:
            line[0].axhline(0, color="black", linewidth=0.8)
        else:
            line[0].set_ylim(*what.limits)
        line[0].set_ylabel(what.title, fontsize=8)
    _label(panels, columns)
    figure.suptitle(f"Inside the arms, by layer,\n{100 * confidence:g} % intervals", fontsize=10)
    names = [arm if frame["model"].n_unique() == 1 else f"{model} {arm}" for model, arm in drawn]
    style.legend(figure, [looks.handle(*arm) for arm in drawn], names)
    return figure


def _rows(frame: pl.DataFrame, what: _Line) -> pl.DataFrame:
    """The rows that a line of panels draws."""
    in_layers = pl.col("layer").is_not_null(), pl.col("last_layer").is_not_null() == what.of_windows
    return frame.filter(pl.col("part").eq_missing(what.part), *in_layers, measure=what.measure)


def _columns(frame: pl.DataFrame) -> list[tuple[str, str | None]]:
    """The models with their evaluation sets; a model of which weights alone are known has a column, too."""
    found = []
    for of_model in frame.partition_by("model", maintain_order=True):
        sets = of_model["eval_set"].drop_nulls().unique(maintain_order=True).to_list() or [None]
        found += [(of_model["model"][0], eval_set) for eval_set in sets]
    return found


def _here(rows: pl.DataFrame, columns: list[tuple[str, str | None]], model: str, eval_set: str | None) -> pl.DataFrame:
    """The rows of a panel: of its set, and in the model's first column those of no set."""
    is_first = next(column for column in columns if column[0] == model) == (model, eval_set)
    of_no_set = pl.col("eval_set").is_null() & is_first
    return rows.filter(pl.col("eval_set").eq_missing(pl.lit(eval_set, pl.String)) | of_no_set, model=model)


def _draw_arm(panel: "Axes", what: _Line, points: pl.DataFrame, look: dict) -> None:
    """An arm's line with its band; a window is a flat piece."""
    if what.of_windows:
        ends = [
            (row["layer"] + what.shift - 0.5, row["last_layer"] + what.shift + 0.5) for row in points.rows(named=True)
        ]
        x = [end for window in ends for end in window]
        points = points.select(pl.col("estimate", "low", "high").repeat_by(2).explode())
        look = look | {"marker": ""}
    else:
        points = points.sort("layer")
        x = (points["layer"] + what.shift).to_list()
    every = max(1, points.height // 8)
    panel.plot(x, points["estimate"], markersize=3, linewidth=1.3, markevery=every, **look)
    low, high = (points[end].fill_null(points["estimate"]) for end in ("low", "high"))
    panel.fill_between(x, low, high, color=look["color"], alpha=0.15, linewidth=0)


def _draw_baselines(panel: "Axes", alone: pl.DataFrame, model: str, looks: style.ArmLooks) -> None:
    """What the question's words alone predict, a dotted line an arm; and chance."""
    panel.axhline(0.5, color="black", linewidth=0.8)
    for row in alone.rows(named=True):
        panel.axhline(row["estimate"], color=looks.look(model, row["arm"])["color"], linewidth=1, linestyle=":")


def _no_data(rows: pl.DataFrame) -> str:
    """What stands in an empty panel of these rows."""
    return "the same for all sets" if rows["eval_set"].is_null().all() else "no data"


def _label(panels: Sequence, columns: list[tuple[str, str | None]]) -> None:
    """Name the columns, and the layers below them."""
    from matplotlib.ticker import MaxNLocator

    several = len({model for model, _ in columns}) > 1
    for (model, eval_set), column in zip(columns, panels.T, strict=True):
        names = [model] * several + [eval_set] * (eval_set is not None)
        column[0].set_title(" ".join(names), fontsize=9)
        column[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
        column[-1].set_xlabel("layer (0: the embeddings)", fontsize=8)
