"""Paraphrases of all steps of an arm's chains, by the one frozen paraphraser."""

import polars as pl

from faithtune.arms.row_store import RowStore
from faithtune.core.schemas.interventions import PARAPHRASES
from faithtune.interventions import paraphrase_gate
from faithtune.interventions.rewriting import rewrite
from faithtune.models.backend import Model


def paraphrases(
    model: Model,
    keep: tuple[RowStore, str],
    questions: pl.DataFrame,
    chains: pl.DataFrame,
    templates: dict[str, str],
    max_new_tokens: int,
    shortest: float,
    longest: float,
) -> pl.DataFrame:
    """A row of PARAPHRASES for each step of each chain that is tampered with.

    A paraphrase must not newly mention an option's text.
    """
    options = dict(questions.select("id", "options").iter_rows())

    def refuse(row: dict, text: str) -> str | None:
        return paraphrase_gate.gate(row["line"], text, options[row["id"]], shortest, longest)

    rows = rewrite(model, keep, chains, templates, "paraphrase", max_new_tokens, refuse)
    return pl.DataFrame([{name: row[name] for name in PARAPHRASES} for row in rows], schema=PARAPHRASES)
