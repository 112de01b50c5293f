"""The verdict drawn: change of accuracy against change of faithfulness, a point an arm."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from faithtune.measures.verdict import MIXED, UNTESTABLE
from faithtune.report.figures import style

if TYPE_CHECKING:  # planning a study must not wait for it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The axes reach at least so far to either side of 0, so that a small change looks small.
_LEAST = 0.12


def draw(frame: pl.DataFrame, arms: Sequence[dict], confidence: float) -> "Figure":
    """VERDICTS over all sets; arms: {"model", "arm"} of all arms of the study, in the order of the tables."""
    if frame.is_empty():
        return style.nothing("the study has no tuned arm")
    looks = style.ArmLooks([(arm["model"], arm["arm"]) for arm in arms])
    several = frame["model"].n_unique() > 1
    names = ["model", "arm"]
    accuracy, faithfulness = (frame.filter(subject=subject) for subject in ("accuracy", "faithfulness"))
    both = accuracy.join(faithfulness, on=names, suffix="_of_faithfulness", maintain_order="left")
    points = both.drop_nulls(["estimate", "estimate_of_faithfulness"])
    if points.is_empty():
        return style.nothing("no tuned arm has a change of accuracy and one of faithfulness")
    figure, ((panel,),) = style.panels(1, 1, 6.4, 3.6)
    panel.axhline(0, color="black", linewidth=0.8)
    panel.axvline(0, color="black", linewidth=0.8)
    for row in points.rows(named=True):
        name = f"{row['model']} {row['arm']}" if several else row["arm"]
        name += " (mixed)" if row["word_of_faithfulness"] == MIXED else ""
        _point(panel, row, looks.look(row["model"], row["arm"]), name)
    panel.set_xlabel("change of accuracy with the chain  (left: fell, right: rose)")
    panel.set_ylabel("change of faithfulness\n(below: fell, above: rose)")
    panel.grid(alpha=0.3)
    panel.margins(0.12)
    for ends, widen in ((panel.get_xlim(), panel.set_xlim), (panel.get_ylim(), panel.set_ylim)):
        widen(min(ends[0], -_LEAST), max(ends[1], _LEAST))
    panel.set_title(_seen(faithfulness), fontsize=10)
    return figure


def _point(panel: "Axes", row: dict, look: dict, name: str) -> None:
    x, y = row["estimate"], row["estimate_of_faithfulness"]
    if row["low"] is not None:
        panel.plot([row["low"], row["high"]], [y, y], color=look["color"], linewidth=1.2)
    if row["low_of_faithfulness"] is not None:
        ends = [row["low_of_faithfulness"], row["high_of_faithfulness"]]
        panel.plot([x, x], ends, color=look["color"], linewidth=1.2)
    panel.plot([x], [y], marker=look["marker"], color=look["color"], markersize=7, linestyle="none")
    panel.annotate(name, (x, y), xytext=(6, 5), textcoords="offset points", fontsize=8)


def _seen(faithfulness: pl.DataFrame) -> str:
    """What is seen, in words, and which arms have no point."""
    counts = faithfulness["word"].value_counts(sort=True).sort("count", descending=True, maintain_order=True)
    parts = [f"{word} in {n}" for word, n in counts.rows()]
    seen = f"Faithfulness of {faithfulness.height} tuned arm{'s' * (faithfulness.height > 1)}: {', '.join(parts)}"
    missing = faithfulness.filter(word=UNTESTABLE)["arm"].to_list()
    return seen + (f"\nno point, not testable: {', '.join(missing)}" if missing else "")
