"""The seeds of an arm, pooled: their frames one below the other, told apart by a column `seed`.

A question then stands once a seed in its group, and what resamples groups draws
questions; the draw of seeds is `intervals`' matter.
"""

from collections.abc import Mapping

import polars as pl

Key = tuple[str, str, str]  # model, arm (or its label), evaluation set


def labels(arms: list[dict]) -> list[dict]:
    """Arms as the tables have them: {"model", "label", "train_set", "seeds" (how many), "eval_sets"}, in order.

    The evaluation sets are those that all seeds have.
    """
    found: dict[tuple[str, str], dict] = {}
    for arm in arms:
        new = {"model": arm["model"], "label": arm["label"], "train_set": arm["train_set"], "seeds": 0}
        one = found.setdefault((arm["model"], arm["label"]), new | {"eval_sets": arm["eval_sets"]})
        one["seeds"] += 1
        one["eval_sets"] = [name for name in one["eval_sets"] if name in arm["eval_sets"]]
    return list(found.values())


def pool(arms: list[dict], frames: Mapping[Key, pl.DataFrame]) -> dict[Key, pl.DataFrame]:
    """`frames` by (model, arm, evaluation set) as frames by (model, label, evaluation set), with `seed`."""
    found: dict[Key, list[pl.DataFrame]] = {}
    for arm in arms:
        for eval_set in arm["eval_sets"]:
            frame = frames.get((arm["model"], arm["arm"], eval_set))
            if frame is not None:
                seeded = frame.with_columns(seed=pl.lit(arm["seed"], dtype=pl.Int64))
                found.setdefault((arm["model"], arm["label"], eval_set), []).append(seeded)
    return {key: pl.concat(parts) for key, parts in found.items()}
