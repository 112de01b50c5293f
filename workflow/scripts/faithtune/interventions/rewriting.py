"""Every step of an arm's chains rewritten by the one frozen model, through a gate.

Each distinct step is rewritten once, so values of k share it.
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
    """A row for each step of each chain that is tampered with: id, step (from 1), line, text, attempts, reason.

    The templates are tried in order, greedily, until `refuse(row, text)` gives no reason; a template's last line opens
    the assistant's turn. `line` is the step as its arm wrote it. `text` is None where no attempt passed; `reason` is
    then that of the last.
    """
    rows = [
        {"id": chain["id"], "step": i, "line": step, "text": None, "attempts": 0, "reason": None}
        for chain in chains.filter(pl.col("outcome") != "truncated").iter_rows(named=True)
        for i, step in enumerate(chain["steps"], 1)
    ]
    for template in templates:
        open_rows = [row for row in rows if row["text"] is None]
        user, opening = template.rsplit("\n", 1)
        texts = [arm.model.render(user.replace("{step}", row["line"]), opening) for row in open_rows]
        for row, made in zip(open_rows, arm.generate(texts, max_new_tokens, LINE), strict=True):
            text = gate.clean(made.text)
            row["attempts"] += 1
            row["reason"] = refuse(row, text) if made.finished else "truncated"
            row["text"] = text if row["reason"] is None else None
    return rows


def template_versions(templates: dict[str, str], name: str) -> list[str]:
    """The versions of a prompt template, `name`_1, `name`_2 ..., in order."""
    return [templates[key] for key in sorted(templates) if key.startswith(name)]
