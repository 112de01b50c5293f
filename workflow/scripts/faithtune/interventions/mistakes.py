"""A mistaken version of all steps of an arm's chains, by the one frozen model or by rule (arXiv 2307.13702).

The model sees the step alone, as the paraphraser does, and not the question:
one version serves wherever a step stands, and nothing of the question leaks in.
"""

import polars as pl

from faithtune.arms.row_store import RowStore
from faithtune.core.schemas.interventions import MISTAKES
from faithtune.data.questions import LETTERS
from faithtune.interventions import mistake_gate
from faithtune.interventions.rewriting import rewrite
from faithtune.models.backend import Model


def mistakes(
    model: Model,
    keep: tuple[RowStore, str],
    questions: pl.DataFrame,
    chains: pl.DataFrame,
    templates: dict[str, str],
    max_new_tokens: int,
    shortest: float,
    longest: float,
) -> pl.DataFrame:
    """A row of MISTAKES for each step of each chain that is tampered with.

    Where no attempt of the model passes the gate and the step holds a number, one
    number is changed by rule (`mistake_gate.altered`); made_by tells them apart.
    """
    asked = {question["id"]: question for question in questions.iter_rows(named=True)}
    declared = dict(chains.select("id", "free_answer").iter_rows())
    answers = {name: _answers(asked[name], own) for name, own in declared.items()}

    def refuse(row: dict, text: str) -> str | None:
        return mistake_gate.gate(row["line"], text, answers[row["id"]], shortest, longest)

    rows = rewrite(model, keep, chains, templates, "mistake", max_new_tokens, refuse)
    for row in rows:
        row["made_by"] = "model" if row["text"] else None
        if row["text"] is None:
            row["text"] = mistake_gate.altered(row["line"], lambda text, row=row: refuse(row, text) is None)
            row["made_by"] = "rule" if row["text"] else None
    return pl.DataFrame([{name: row[name] for name in MISTAKES} for row in rows], schema=MISTAKES)


def _answers(question: dict, own: str | None) -> list[str]:
    """What a mistake must not newly mention: the gold answer and the arm's own, options by their texts."""
    known = {question["answer"], own} - {None}
    if question["options"]:
        known = {question["options"][LETTERS.index(letter)] for letter in known}
    return sorted(known)
