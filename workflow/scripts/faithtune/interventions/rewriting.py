"""Every step of an arm's chains rewritten by the one frozen model, through a gate.

Each distinct step is rewritten once, so values of k share it.
"""

from collections.abc import Callable

import polars as pl

from faithtune.arms.chains import generate
from faithtune.arms.row_store import RowStore
from faithtune.extraction import steps
from faithtune.interventions import gate
from faithtune.models.backend import Model


def rewrite(
    model: Model,
    keep: tuple[RowStore, str],
    chains: pl.DataFrame,
    templates: dict[str, str],
    form: str,
    max_new_tokens: int,
    refuse: Callable[[dict, str], str | None],
) -> list[dict]:
    """A row for each step of each chain that is tampered with: id, step (from 1), line, text, attempts, reason.

    The templates whose name begins with `form` are tried in the order of their
    names, greedily, until `refuse(row, text)` names no reason; a template's last
    line opens the assistant's turn. `line` is the step as the arm wrote it;
    text is None where no attempt passed, and reason then that of the last.
    """
    rows = [
        {"id": chain["id"], "step": i, "line": step, "text": None, "attempts": 0, "reason": None}
        for chain in chains.filter(pl.col("outcome") != "truncated").iter_rows(named=True)
        for i, step in enumerate(chain["steps"], 1)
    ]
    for name in sorted(name for name in templates if name.startswith(form)):
        open_rows = [row for row in rows if row["text"] is None]
        user, opening = templates[name].rsplit("\n", 1)
        texts = [model.render(user.replace("{step}", row["line"]), opening) for row in open_rows]
        written = generate(model, keep, texts, max_new_tokens, "line", steps.line_ended)
        for row, made in zip(open_rows, written, strict=True):
            text = gate.clean(made["text"])
            row["attempts"] += 1
            row["reason"] = refuse(row, text) if made["finished"] else "truncated"
            row["text"] = text if row["reason"] is None else None
    return rows
