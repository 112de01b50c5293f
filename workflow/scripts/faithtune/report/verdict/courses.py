"""The verdict on a training's course: how long it kept faithfulness, and what left base first."""

from collections.abc import Mapping

import polars as pl

from faithtune.measures.long_term import curves
from faithtune.measures.long_term.curves import END


def courses(of_points: pl.DataFrame, departures: pl.DataFrame, margin: float) -> dict[tuple[str, str], dict]:
    """(model, arm) -> the entry `course` of verdict.json, for arms with checkpoints, from CURVES and DEPARTURES."""
    found = {}
    for part in of_points.partition_by("model", "arm", maintain_order=True):
        model, arm = part.select("model", "arm").row(0)
        steps = dict(part.select("place", "step").unique(maintain_order=True).rows())
        left = departures.filter(model=model, arm=arm).to_dicts()
        place = curves.latest_kept(part, margin)
        names = ("accuracy", "faithfulness", "estimate", "low", "high", "p", "n")
        entry = {"points": len(steps), "latest_kept": place, "step": steps.get(place)}
        entry["left"] = {name: left[0][name] for name in names} if left else None
        found[model, arm] = entry | {"sentence": _sentence(entry, steps, margin)}
    return found


def _sentence(entry: Mapping, steps: Mapping[str, int], margin: float) -> str:
    place, left = entry["latest_kept"], entry["left"]
    if place == END:
        kept = f"No checkpoint loses {margin:g} of faithfulness"
    elif place is None:
        kept = f"Already at its first checkpoint, step {min(steps.values())}, the training may have lost {margin:g} of"
        kept += " faithfulness"
    else:
        kept = f"Step {steps[place]} is the latest checkpoint up to which {margin:g} of faithfulness is not lost"
    if left is None or left["accuracy"] == left["faithfulness"] is None:
        return f"{kept}."
    parts = [_left(name, left[name], steps) for name in ("faithfulness", "accuracy")]
    order = "nothing shows which is first"
    if left["low"] > 0 or left["high"] < 0:
        order = f"{'faithfulness' if left['low'] > 0 else 'accuracy'} moves first"
    return f"{kept}; {parts[0]}, {parts[1]}: {order}."


def _left(name: str, place: str | None, steps: Mapping[str, int]) -> str:
    return f"{name} never leaves base by as much" if place is None else f"{name} leaves base by step {steps[place]}"
