"""Rewrites each step of an arm's chains with one frozen model, through a gate.

Each step is rewritten once and shared by all values of k.
"""

from collections.abc import Callable

import polars as pl

from faithtune.arms.cached_arm import LINE, CachedArm
from faithtune.interventions import gate


def rewrite(
    arm: CachedArm,
    chains: pl.DataFrame,
    templates: list[str],
    max_new_tokens: int,
    refuse: Callable[[dict, str], str | None],
) -> list[dict]:
    """A row for each step of each chain that is not truncated: id, step (from 1), line, text, attempts, reason.

    The templates are tried in order, with greedy decoding, until `refuse(row, text)` gives no reason; the last line of
    a template begins the assistant's turn. `line` is the step as the arm wrote it. If no attempt passes, `text` is None
    and `reason` says why the last attempt was refused.
    """
    rows = [
        {"id": chain["id"], "step": i, "line": step, "text": None, "attempts": 0, "reason": None}
        for chain in chains.filter(pl.col("outcome") != "truncated").iter_rows(named=True)
        for i, step in enumerate(chain["steps"], 1)
    ]
    for template in templates:
        open_rows = [row for row in rows if row["text"] is None]
        user, opening = template.rsplit("\n", 1)
        begun = arm.model.form.reply(opening)
        texts = [arm.model.render(user.replace("{step}", row["line"]), begun) for row in open_rows]
        for row, made in zip(open_rows, arm.generate(texts, max_new_tokens, LINE), strict=True):
            text = gate.clean(made.text)
            row["attempts"] += 1
            row["reason"] = refuse(row, text) if made.finished else "truncated"
            row["text"] = text if row["reason"] is None else None
    return rows


def template_versions(templates: dict[str, str], name: str) -> list[str]:
    """The versions of a prompt template in order: `name`_1, `name`_2, ..."""
    return [templates[key] for key in sorted(templates) if key.startswith(name)]
