"""The verdict on what a change is due to: other chains, or another reading of chains."""

from collections.abc import Mapping

import polars as pl

from faithtune.core.schemas.estimates import BASE
from faithtune.measures.generalisation.crossing import DESIGN, READERS
from faithtune.report.verdict import sentences

# The subjects, as sentences name them, and the reference of each.
_SUBJECTS = {"accuracy": None, "faithfulness": READERS}
_NUMBERS = ("estimate", "low", "high", "n")


def crossings(crossing: pl.DataFrame) -> dict[tuple[str, str], dict]:
    """(model, arm) -> the entry `crossing` of verdict.json, for arms that were crossed with base, from CROSSING."""
    found = {}
    whole = crossing.filter(pl.col("eval_set").is_null(), pl.col("test").is_null(), against=BASE)
    for part in whole.partition_by("model", "arm", maintain_order=True):
        entry = {}
        for subject, reference in _SUBJECTS.items():
            of = pl.col("reference").is_null() if reference is None else pl.col("reference") == reference
            rows = part.filter(of, subject=subject).rows(named=True)
            named = {row["quantity"]: {name: row[name] for name in _NUMBERS} for row in rows}
            entry[subject] = {name: named[name] for name in DESIGN.differences} if named else None
        model, arm = part.select("model", "arm").row(0)
        found[model, arm] = entry | {"sentence": _sentence(entry)}
    return found


def _sentence(entry: Mapping[str, Mapping | None]) -> str:
    """What changed, and by what."""
    parts = []
    for subject, found in entry.items():
        if found and sentences.is_shown(found["change"]):
            change, n = sentences.signed(found["change"]["estimate"]), found["change"]["n"]
            parts.append(
                f"of the change of {subject}, {change} ({n} questions), its chains account for"
                f" {sentences.change(found['chains'])}, and its reading of chains for"
                f" {sentences.change(found['reading'])}"
            )
    accuracy = entry["accuracy"]
    if accuracy and accuracy["change"]["estimate"] is not None and sentences.is_shown(accuracy["change"]):
        given = accuracy["given b's chains"]
        if accuracy["change"]["estimate"] < 0 and sentences.is_shown(given) and given["estimate"] > 0:
            parts.append(f"given base's chains it is right {sentences.change(given)} more often than after its own")
    nothing = "it and base show no change of accuracy or faithfulness to divide"
    return f"After each other's chains: {'; '.join(parts) or nothing}."
