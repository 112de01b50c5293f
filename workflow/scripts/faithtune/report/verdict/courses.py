"""The verdict on a training's course: how long it kept faithfulness, and what left base first."""

from collections.abc import Mapping

import polars as pl

from faithtune.measures.long_term import curves
from faithtune.measures.long_term.curves import END
from faithtune.report.verdict import sentences


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
        found[model, arm] = entry | {"sentence": _sentence(entry, part.filter(pl.col("test").is_null()), margin)}
    return found


def _sentence(entry: Mapping, points: pl.DataFrame, margin: float) -> str:
    """The entry in words; points: CURVES of the training over all tests."""
    kept, left = _kept(entry["latest_kept"], points.filter(subject="faithfulness"), margin), entry["left"]
    if left is None or left["accuracy"] == left["faithfulness"] is None:
        return f"{kept}."
    parts = [_left(name, left[name], points.filter(subject=name)) for name in ("faithfulness", "accuracy")]
    order = "nothing shows which is first"
    if left["low"] > 0 or left["high"] < 0:
        order = f"{'faithfulness' if left['low'] > 0 else 'accuracy'} moves first"
    return f"{kept}; {parts[0]}, {parts[1]}: {order}."


def _kept(place: str | None, faithfulness: pl.DataFrame, margin: float) -> str:
    if faithfulness["estimate"].is_null().all():
        return "Faithfulness at its checkpoints cannot be compared"
    if place == END:
        return f"No checkpoint loses {margin:g} of faithfulness"
    if place is not None:
        step = faithfulness.filter(place=place)["step"][0]
        return f"Step {step} is the latest checkpoint up to which {margin:g} of faithfulness is not lost"
    first = faithfulness.row(0, named=True)
    where = f"Already at its first checkpoint, step {first['step']},"
    if first["high"] is not None and first["high"] < 0:
        return f"{where} the training may have lost {margin:g} of faithfulness"
    return f"{where} too few questions tell whether {margin:g} of faithfulness is lost"


def _left(name: str, place: str | None, points: pl.DataFrame) -> str:
    """Where a subject leaves base: only where the interval there excludes 0 is it shown."""
    if place is None:
        return f"{name} never leaves base by as much"
    there = points.filter(place=place).row(0, named=True)
    where = "the end" if there["step"] is None else f"step {there['step']}"
    return (
        f"{name} leaves base by {where}"
        if sentences.is_shown(there)
        else f"{name} is not shown to leave base by {where}"
    )
