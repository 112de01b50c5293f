"""Paraphrases of all steps of an arm's chains, by the one frozen paraphraser.

Each distinct step is put in other words once, so arms and values of k share it.
"""

import polars as pl

from faithtune import paraphrase_gate, prompts, steps
from faithtune.backend import Model
from faithtune.chains import generate
from faithtune.parquet import PARAPHRASES
from faithtune.store import RowStore


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

    The templates whose name begins with "paraphrase" are tried in the order of
    their names, greedily, until one result passes the gate. A template's last
    line opens the assistant's turn.
    """
    asked = {row["id"]: row for row in questions.iter_rows(named=True)}
    rows = [
        {"id": chain["id"], "step": i, "source": step, "text": None, "attempts": 0, "reason": None}
        for chain in chains.filter(pl.col("outcome") != "truncated").iter_rows(named=True)
        for i, step in enumerate(chain["steps"], 1)
    ]
    for name in sorted(name for name in templates if name.startswith("paraphrase")):
        open_rows = [row for row in rows if row["text"] is None]
        user, opening = templates[name].rsplit("\n", 1)
        texts = [prompts.render(model.tokenizer, user.replace("{step}", row["source"]), opening) for row in open_rows]
        written = generate(model, keep, texts, max_new_tokens, "line", steps.line_ended)
        for row, made in zip(open_rows, written, strict=True):
            text = paraphrase_gate.clean(made["text"])
            answers = _answers(asked[row["id"]])
            row["attempts"] += 1
            row["reason"] = (
                paraphrase_gate.gate(row["source"], text, answers, shortest, longest)
                if made["finished"]
                else "truncated"
            )
            row["text"] = text if row["reason"] is None else None
    return pl.DataFrame([{name: row[name] for name in PARAPHRASES} for row in rows], schema=PARAPHRASES)


def _answers(question: dict) -> list[str]:
    """What a paraphrase must not newly mention: the texts of the options."""
    return question["options"]
