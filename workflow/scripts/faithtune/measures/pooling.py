"""What a study's arms came to, and an arm's tuning seeds pooled into one.

Pooling concatenates the frames of an arm's seeds and adds a column `seed`. A question then occurs once per seed, always
in its group, so resampling groups resamples questions; `stats.intervals` adds the variance between seeds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import polars as pl

Key = tuple[str, str, str]  # model, arm (or its label), evaluation set


@dataclass(frozen=True)
class ArmResults:
    """What one arm came to on one evaluation set; each frame has a column `seed` once seeds are pooled."""

    answers: pl.DataFrame  # ANSWERS
    chains: pl.DataFrame  # CHAINS
    measures: pl.DataFrame  # MEASURES, `alpha.at_alphas` at the study's alphas
    paraphrases: pl.DataFrame | None = None  # PARAPHRASES; None where no test needs them
    mistakes: pl.DataFrame | None = None  # MISTAKES, likewise


@dataclass(frozen=True)
class StudyResults:
    """What all arms of a study came to."""

    arms: list[dict]  # `plan.Arm.facts` of each, in the order of the tables
    results: Mapping[Key, ArmResults]  # by (model, arm, evaluation set)
    questions: Mapping[str, pl.DataFrame]  # QUESTIONS of each evaluation set, in the order of the tables
    alphas: list[float]  # kept fractions
    applied: Mapping[tuple[str, str], dict] = field(default_factory=dict)  # by (model, label): `arms.applied.compare`


def labels(arms: list[dict]) -> list[dict]:
    """Arms as the tables have them: {"model", "label", "train_set", "seeds" (how many), "eval_sets"}, in order.

    An arm has the evaluation sets that all its seeds have.
    """
    found: dict[tuple[str, str], dict] = {}
    for arm in arms:
        new = {"model": arm["model"], "label": arm["label"], "train_set": arm["train_set"], "seeds": 0}
        pooled = found.setdefault((arm["model"], arm["label"]), new | {"eval_sets": arm["eval_sets"]})
        pooled["seeds"] += 1
        pooled["eval_sets"] = [name for name in pooled["eval_sets"] if name in arm["eval_sets"]]
    return list(found.values())


def pool(arms: list[dict], frames: Mapping[Key, pl.DataFrame]) -> dict[Key, pl.DataFrame]:
    """Frames by (model, arm, evaluation set) → frames with `seed` by (model, label, evaluation set)."""
    found: dict[Key, list[pl.DataFrame]] = {}
    for arm in arms:
        for eval_set in arm["eval_sets"]:
            frame = frames.get((arm["model"], arm["arm"], eval_set))
            if frame is not None:
                seeded = frame.with_columns(seed=pl.lit(arm["seed"], dtype=pl.Int64))
                found.setdefault((arm["model"], arm["label"], eval_set), []).append(seeded)
    return {key: pl.concat(parts) for key, parts in found.items()}


def pool_results(arms: list[dict], results: Mapping[Key, ArmResults]) -> dict[Key, ArmResults]:
    """The same as `pool` for every frame of the results; a frame that a seed lacks is pooled from the others."""
    names = [each.name for each in fields(ArmResults)]
    frames = {name: {key: getattr(one, name) for key, one in results.items()} for name in names}
    pooled = {name: pool(arms, frames[name]) for name in names}
    return {key: ArmResults(**{name: pooled[name].get(key) for name in names}) for key in pooled["answers"]}
