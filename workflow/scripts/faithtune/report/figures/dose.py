"""What an arm answers with its adapter scaled, and switched off in places."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import polars as pl

from faithtune.core.schemas.probes import INSIDE
from faithtune.report.figures import style

if TYPE_CHECKING:  # planning a study must not wait for it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MEASURES = {
    "dose_correct": "right after\nits chain",
    "dose_correct_no_cot": "right without\na chain",
    "dose_match": "match",
    "dose_same": "answers as\nat scale 1",
}
_NOTHING = "no adapter of the study was scaled"
_NOWHERE, _EVERYWHERE = "nowhere", "everywhere"


def points(inside: pl.DataFrame) -> pl.DataFrame:
    """INSIDE of what the figure shows."""
    rows = inside.filter(pl.col("measure").is_in(list(_MEASURES)), what="value").drop_nulls("estimate")
    return rows.select(INSIDE.names())


def draw(frame: pl.DataFrame, arms: Sequence[dict], confidence: float) -> "Figure":
    """INSIDE (`points`): measures down; across each model and set, against the scale and by place, a line an arm."""
    if frame.is_empty():
        return style.nothing(_NOTHING)
    drawn = frame.select("model", "arm").unique(maintain_order=True).rows()
    looks = style.ArmLooks([*((arm["model"], arm["arm"]) for arm in arms), *drawn])
    measures = [name for name in _MEASURES if name in frame["measure"]]
    columns = frame.select("model", "eval_set").unique(maintain_order=True).rows()
    has_places = frame["part"].is_not_null().any()
    n_kinds = 2 if has_places else 1  # of panels: curves, and bars beside them
    figure, panels = style.panels(
        len(measures),
        n_kinds * len(columns),
        2.3 if has_places else 3.0,
        1.5,
        sharex="col",
        sharey="row",
    )
    for measure, line in zip(measures, panels, strict=True):
        for i, (model, eval_set) in enumerate(columns):
            here = frame.filter(model=model, eval_set=eval_set, measure=measure)
            by_arm = {arm: here.filter(arm=arm) for arm in here["arm"].unique(maintain_order=True)}
            own = {arm: looks.look(model, arm) for arm in by_arm}
            curve, *bars = line[i * n_kinds : (i + 1) * n_kinds]
            for arm, rows in by_arm.items():
                _draw_curve(curve, rows.filter(pl.col("part").is_null()).sort("scale"), own[arm])
            for panel in bars:
                _draw_places(panel, _places(frame), by_arm, own)
            for panel in (curve, *bars):
                panel.grid(alpha=0.3)
        line[0].set_ylim(-0.03, 1.03)
        line[0].set_ylabel(_MEASURES[measure], fontsize=8)
    _label(panels, columns, n_kinds)
    figure.suptitle(f"The adapter scaled and switched off,\n{100 * confidence:g} % intervals", fontsize=10)
    names = [arm if frame["model"].n_unique() == 1 else f"{model} {arm}" for model, arm in drawn]
    style.legend(figure, [looks.handle(*arm) for arm in drawn], names)
    return figure


def _places(frame: pl.DataFrame) -> list[str]:
    """Where adapters were switched off, after `nowhere` and before `everywhere`."""
    return [_NOWHERE, *frame["part"].drop_nulls().unique(maintain_order=True), _EVERYWHERE]


def _draw_curve(panel: "Axes", rows: pl.DataFrame, look: dict) -> None:
    panel.axvline(1, color="black", linewidth=0.8)
    panel.plot(rows["scale"], rows["estimate"], markersize=3, linewidth=1.3, **look)
    low, high = (rows[end].fill_null(rows["estimate"]) for end in ("low", "high"))
    panel.fill_between(rows["scale"], low, high, color=look["color"], alpha=0.15, linewidth=0)


def _draw_places(panel: "Axes", places: list[str], by_arm: Mapping[str, pl.DataFrame], looks: Mapping) -> None:
    """A group of bars a place, a bar an arm; nowhere and everywhere are the scales 1 and 0."""
    width = 0.8 / max(1, len(by_arm))
    for i, (arm, rows) in enumerate(by_arm.items()):
        known = {row["part"]: row for row in rows.drop_nulls("part").rows(named=True)}
        scaled = {row["scale"]: row for row in rows.filter(pl.col("part").is_null()).rows(named=True)}
        known |= {place: scaled[scale] for place, scale in ((_NOWHERE, 1), (_EVERYWHERE, 0)) if scale in scaled}
        for j, place in enumerate(places):
            if row := known.get(place):
                x = j - 0.4 + (i + 0.5) * width
                panel.bar(x, row["estimate"], 0.9 * width, color=looks[arm]["color"], alpha=0.3)
                panel.plot(x, row["estimate"], marker=looks[arm]["marker"], color=looks[arm]["color"], markersize=3)
                if row["low"] is not None:
                    panel.plot([x, x], [row["low"], row["high"]], color=looks[arm]["color"], linewidth=1)
    panel.set_xticks(range(len(places)), places, rotation=40, ha="right", fontsize=8)


def _label(panels: Sequence, columns: list[tuple[str, str]], n: int) -> None:
    """Name sets at the top, and the axes below; n: panels of a set."""
    several = len({model for model, _ in columns}) > 1
    for i, (model, eval_set) in enumerate(columns):
        name = f"{model} {eval_set}" if several else eval_set
        panels[0, i * n].set_title(name, fontsize=9)
        panels[-1, i * n].set_xlabel("λ, scale of the adapter", fontsize=8)
        if n > 1:
            panels[0, i * n + 1].set_title(f"{name}, switched off", fontsize=9)
