"""The verdict on other forms of the same questions: what a form changes in the tuned arm more than in base."""

import polars as pl

from faithtune.measures.stats.intervals import Estimate
from faithtune.measures.verdicts import verdict
from faithtune.measures.verdicts.verdict import FELL, KEPT, ROSE, UNKNOWN
from faithtune.report.verdict import sentences

_SUBJECTS = ("accuracy", "faithfulness")
_NUMBERS = ("estimate", "low", "high", "n")


def forms(shifts: pl.DataFrame, margin: float) -> dict[tuple[str, str], dict]:
    """(model, arm) -> the entry `shifts` of verdict.json, from SHIFTS."""
    found = {}
    differences = shifts.filter(pl.col("test").is_null(), pl.col("subject").is_in(_SUBJECTS), quantity="difference")
    for part in differences.partition_by("model", "arm", maintain_order=True):
        model, arm = part.select("model", "arm").row(0)
        rows = [
            row | {"word": verdict.word(Estimate(row["estimate"], row["low"], row["high"]), margin)}
            for row in part.select("shift", "eval_set", "subject", *_NUMBERS).to_dicts()
        ]
        found[model, arm] = {"differences": rows, "sentence": _sentence(rows, margin)}
    return found


def _sentence(rows: list[dict], margin: float) -> str:
    """What each form is shown to change otherwise than in base, what it is shown not to, and what is not clear."""
    parts = [
        f"{row['subject']} as {row['shift']} changes by {sentences.change(row)} more than that of base"
        for row in rows
        if row["word"] in (FELL, ROSE)
    ]
    if alike := _named(rows, KEPT):
        parts.append(f"as in base, within {margin:g}, changes {alike}")
    if unclear := _named(rows, UNKNOWN):
        parts.append(f"whether as in base is not clear of {unclear}")
    return f"In other forms of the questions: {'; '.join(parts)}." if parts else ""


def _named(rows: list[dict], word: str) -> str:
    """`accuracy as asked, faithfulness as asked`: the differences with that word."""
    return ", ".join(f"{row['subject']} as {row['shift']}" for row in rows if row["word"] == word)
