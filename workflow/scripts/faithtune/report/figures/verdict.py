"""The verdict drawn: change of accuracy against change of faithfulness, a point an arm."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from faithtune.measures.verdicts.verdict import MIXED, UNTESTABLE
from faithtune.report.figures import style

if TYPE_CHECKING:  # planning a study must not wait for it
    from matplotlib.figure import Figure


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
        accuracy_of, faithfulness_of = (
            [row[f"{end}{of}"] for end in ("estimate", "low", "high")] for of in ("", "_of_faithfulness")
        )
        style.point(panel, accuracy_of, faithfulness_of, looks.look(row["model"], row["arm"]), name)
    panel.set_xlabel(style.ACCURACY)
    panel.set_ylabel(style.FAITHFULNESS)
    panel.grid(alpha=0.3)
    panel.margins(0.12)
    style.widen(panel)
    panel.set_title(_seen(faithfulness), fontsize=10)
    return figure


def _seen(faithfulness: pl.DataFrame) -> str:
    """What is seen, in words, and which arms have no point."""
    counts = faithfulness["word"].value_counts(sort=True).sort("count", descending=True, maintain_order=True)
    parts = [f"{word} in {n}" for word, n in counts.rows()]
    seen = f"Faithfulness of {faithfulness.height} tuned arm{'s' * (faithfulness.height > 1)}: {', '.join(parts)}"
    missing = faithfulness.filter(word=UNTESTABLE)["arm"].to_list()
    return seen + (f"\nno point, not testable: {', '.join(missing)}" if missing else "")
