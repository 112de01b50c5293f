"""The verdict on other forms of the same questions: what a form changes in the tuned arm more than in base."""

import polars as pl

from faithtune.report.verdict import sentences

_SUBJECTS = ("accuracy", "faithfulness")
_NUMBERS = ("estimate", "low", "high", "n")


def forms(shifts: pl.DataFrame) -> dict[tuple[str, str], dict]:
    """(model, arm) -> the entry `shifts` of verdict.json, from SHIFTS."""
    found = {}
    differences = shifts.filter(pl.col("test").is_null(), pl.col("subject").is_in(_SUBJECTS), quantity="difference")
    for part in differences.partition_by("model", "arm", maintain_order=True):
        model, arm = part.select("model", "arm").row(0)
        rows = part.select("shift", "eval_set", "subject", *_NUMBERS).to_dicts()
        found[model, arm] = {"differences": rows, "sentence": _sentence(rows)}
    return found


def _sentence(rows: list[dict]) -> str:
    """Where a form is shown to change the tuned arm otherwise than base; empty where none is."""
    shown = [row for row in rows if row["low"] is not None and not row["low"] <= 0 <= row["high"]]
    parts = [
        f"asked as {row['shift']}, its {row['subject']} changes otherwise than in base, by {sentences.change(row)}"
        for row in shown
    ]
    return f"{sentences.capital('; '.join(parts))}." if parts else ""
