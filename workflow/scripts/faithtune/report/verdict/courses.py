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
        steps = dict(part.select("place", "step").unique(maintain_order=True).rows())  # in the order of the training
        left = departures.filter(model=model, arm=arm).to_dicts()
        place = curves.latest_kept(part, margin)
        names = ("accuracy", "faithfulness", "estimate", "low", "high", "p", "n")
        entry = {"points": len(steps), "latest_kept": place, "step": steps.get(place)}
        entry["left"] = {name: left[0][name] for name in names} if left else None
        measured = part.filter(subject="faithfulness")["estimate"].is_not_null().any()
        found[model, arm] = entry | {"sentence": _sentence(entry, steps, margin, measured)}
    return found


def _sentence(entry: Mapping, steps: Mapping[str, int | None], margin: float, measured: bool) -> str:
    place, left = entry["latest_kept"], entry["left"]
    if not measured:
        kept = "Faithfulness at its checkpoints cannot be compared"
    elif place == END:
        kept = f"No checkpoint loses {margin:g} of faithfulness"
    elif place is None:
        first = next(iter(steps.values()))
        kept = f"Already at its first checkpoint, step {first}, the training may have lost {margin:g} of faithfulness"
    else:
        kept = f"Step {steps[place]} is the latest checkpoint up to which {margin:g} of faithfulness is not lost"
    if left is None or left["accuracy"] == left["faithfulness"] is None:
        return f"{kept}."
    parts = [_left(name, left[name], steps) for name in ("faithfulness", "accuracy")]
    order = "nothing shows which is first"
    if left["low"] > 0 or left["high"] < 0:
        order = f"{'faithfulness' if left['low'] > 0 else 'accuracy'} moves first"
    return f"{kept}; {parts[0]}, {parts[1]}: {order}."


def _left(name: str, place: str | None, steps: Mapping[str, int | None]) -> str:
    if place is None:
        return f"{name} never leaves base by as much"
    return f"{name} leaves base by {'the end' if steps[place] is None else f'step {steps[place]}'}"
