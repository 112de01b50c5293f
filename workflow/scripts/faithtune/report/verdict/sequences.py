"""The verdict on tunings that follow one another: what each stage left of the model before."""

import polars as pl

from faithtune.measures.long_term.forgetting import SUBJECTS
from faithtune.report.verdict import sentences

_NAMES = {"accuracy": "accuracy with the chain", "faithfulness": "faithfulness"}
_NUMBERS = ("estimate", "low", "high", "n")


def sequences(forgetting: pl.DataFrame) -> list[dict]:
    """The entries `sequences` of verdict.json, from FORGETTING."""
    found = []
    stages = forgetting.filter(pl.col("eval_set").is_null(), pl.col("quantity").str.starts_with("after "))
    for part in stages.partition_by("path", maintain_order=True):
        path = part["path"][0]
        entry = {"path": path, "stages": path.split(" → ")}
        entry |= {name: part.filter(subject=name).select(_NUMBERS).to_dicts() for name in SUBJECTS}
        found.append(entry | {"sentence": _sentence(entry)})
    return found


def _sentence(entry: dict) -> str:
    parts = []
    for subject in SUBJECTS:
        changes = [
            f"{sentences.change(one)} after {stage}"
            for stage, one in zip(entry["stages"], entry[subject], strict=False)
            if one["estimate"] is not None
        ]
        if changes:
            parts.append(f"{_NAMES[subject]} changed by {', '.join(changes)}")
    return f"{entry['path']}, against the model before: {'; '.join(parts)}."
