"""The verdict on tunings that follow one another: what each stage left of the model before."""

import polars as pl

from faithtune.measures.long_term.forgetting import SUBJECTS
from faithtune.report.verdict import sentences

# What the sentence says, and its words for it.
_SAID = {"accuracy": "accuracy with the chain", "faithfulness": "faithfulness", "chains": "the share of valid chains"}
_NUMBERS = ("estimate", "low", "high", "n")


def sequences(forgetting: pl.DataFrame) -> list[dict]:
    """The entries `sequences` of verdict.json, from FORGETTING."""
    found = []
    stages = forgetting.filter(pl.col("eval_set").is_null(), pl.col("quantity").str.starts_with("after "))
    for part in stages.partition_by("model", "path", maintain_order=True):
        model, path = part.select("model", "path").row(0)
        entry = {"model": model, "path": path, "stages": path.split(" → ")}
        entry |= {name: part.filter(subject=name).select(_NUMBERS).to_dicts() for name in SUBJECTS}
        found.append(entry | {"sentence": _sentence(entry)})
    return found


def _sentence(entry: dict) -> str:
    parts = []
    for subject, name in _SAID.items():
        if entry[subject]:
            stages = zip(entry["stages"], entry[subject], strict=True)
            changes = [f"{sentences.change(change)} after {stage}" for stage, change in stages]
            parts.append(f"{name} changed by {', '.join(changes)}")
    return f"{entry['path']} (up to {entry['model']}), against the model before: {'; '.join(parts)}."
