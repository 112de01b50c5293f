"""What a sequence of tunings forgets and transfers, by the field's names, of accuracy and of faithfulness.

R(i, j) is the measure on set j after stage i; stage 0 is the model before the first tuning, T the last stage, and s(j)
the first stage that is tuned on set j.

    forgetting   max over l = 1 … T-1 of R(l, j), minus R(T, j); for s(j) < T (Chaudhry et al. 2018, arXiv 1801.10112).
                 avalanche's `Forgetting` is another number: R(s(j), j) - R(T, j), that is, minus backward transfer
    backward     R(T, j) - R(s(j), j), for s(j) < T: backward transfer (Lopez-Paz & Ranzato 2017, arXiv 1706.08840)
    forward      R(s(j)-1, j) - R(0, j), for s(j) > 1: forward transfer; they take random weights for stage 0
    whole        R(T, j) - R(0, j), of every set: what the sequence changed as a whole

Only differences of R occur, so each is a sum of paired changes (CHANGES): the base of stage i + 1 is the arm of stage
i.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import polars as pl

from faithtune.measures import contrasts
from faithtune.measures.stats import bootstrap
from faithtune.measures.stats.bootstrap import Sampling

# What tunings that follow one another forget or transfer, on one set or over all.
FORGETTING = pl.Schema(
    {
        "path": pl.String,  # the stages: qlora-gsm8k → bare-siqa → qlora-gsm8k
        "subject": pl.String,  # accuracy (with chain) | faithfulness (over all tests)
        "quantity": pl.String,  # forgetting | backward | forward | whole
        "eval_set": pl.String,  # null: the mean over the sets that have the quantity
        "estimate": pl.Float64,
        "low": pl.Float64,  # percentiles of resampled groups of questions
        "high": pl.Float64,
        "n": pl.Int64,  # questions that all stages were asked
    }
)
SUBJECTS = ("accuracy", "faithfulness")
QUANTITIES = ("forgetting", "backward", "forward", "whole")


class Stage(NamedTuple):
    """A tuning of a sequence."""

    model: str
    arm: str  # as in ESTIMATES
    seed: int | None  # of its tuning, from which the next stage starts; None: all seeds, pooled
    learns: Sequence[str]  # the evaluation sets whose training questions it is tuned on


def forgetting(sequences: Sequence[Sequence[Stage]], changes: pl.DataFrame, sampling: Sampling) -> pl.DataFrame:
    """FORGETTING of sequences of two stages or more, each of which starts from the arm before it, from CHANGES."""
    rows = []
    for stages in sequences:
        for subject in SUBJECTS:
            by_set = _cumulative(stages, changes, subject)
            found = _quantities(by_set, _first_stages(stages), sampling)
            where = {"path": " → ".join(stage.arm for stage in stages), "subject": subject}
            rows += [where | row for row in found]
    return pl.DataFrame(rows, schema=FORGETTING)


def quantities(changed: np.ndarray, first: int | None) -> dict[str, np.ndarray]:
    """Each quantity that a set has, from R(i, j) - R(0, j) after the stages 1 … T.

    changed: (draws, T); first: s(j), from 1 on; None if no stage is tuned on the set. Values: (draws,).

    >>> quantities(np.array([[0.5, 0.4, 0.1]]), 1)["forgetting"]
    array([0.4])
    """
    last = changed.shape[1]
    found = {"whole": changed[:, -1]}
    if first is not None and first < last:
        found["forgetting"] = changed[:, :-1].max(axis=1) - changed[:, -1]
        found["backward"] = changed[:, -1] - changed[:, first - 1]
    if first is not None and first > 1:
        found["forward"] = changed[:, first - 2]
    return found


def _first_stages(stages: Sequence[Stage]) -> dict[str, int]:
    """s(j) by set."""
    found: dict[str, int] = {}
    for i, stage in enumerate(stages, 1):
        for name in stage.learns:
            found.setdefault(name, i)
    return found


def _cumulative(stages: Sequence[Stage], changes: pl.DataFrame, subject: str) -> dict[str, pl.DataFrame]:
    """By set (id, group, 1 … T): R(i, j) - R(0, j) of each question that every stage was asked."""
    frames = []
    for stage in stages:
        own = changes if stage.seed is None else changes.filter(seed=stage.seed)
        pairs = contrasts.pairs(own, [stage._asdict()], subject)
        values = contrasts.per_question(pairs)
        frames.append(values.group_by("eval_set", "id", "group").agg(pl.col("value").mean()))
    both = frames[0].rename({"value": "1"})
    for i, frame in enumerate(frames[1:], 2):
        both = both.join(frame.rename({"value": str(i)}), on=["eval_set", "id", "group"])
    names = [str(i + 1) for i in range(len(stages))]
    summed = both.with_columns(pl.sum_horizontal(names[: i + 1]).alias(name) for i, name in enumerate(names))
    parts = summed.sort("eval_set", "id").partition_by("eval_set", as_dict=True, maintain_order=True)
    return {name: part.select("id", "group", *names) for (name,), part in parts.items()}


def _quantities(by_set: Mapping[str, pl.DataFrame], first: Mapping[str, int], sampling: Sampling) -> list[dict]:
    drawn: dict[str, dict[str, np.ndarray]] = {name: {} for name in QUANTITIES}
    actual: dict[str, dict[str, float]] = {name: {} for name in QUANTITIES}
    sizes = {name: frame.height for name, frame in by_set.items()}
    for i, (eval_set, frame) in enumerate(by_set.items()):
        names = frame.columns[2:]
        groups = frame.group_by("group", maintain_order=True).agg(pl.col(names).sum(), size=pl.len())
        sums, counts = groups.select(names).to_numpy(), groups.select("size").to_numpy().astype(float)
        # Sets are drawn independently of each other.
        totals = bootstrap.totals(np.hstack([sums, counts]), replace(sampling, seed=sampling.seed + i))
        as_it_is = (sums.sum(axis=0) / counts.sum())[None]
        for name, values in quantities(totals[:, :-1] / totals[:, -1:], first.get(eval_set)).items():
            drawn[name][eval_set] = values
        for name, values in quantities(as_it_is, first.get(eval_set)).items():
            actual[name][eval_set] = float(values[0])
    rows = []
    for name in QUANTITIES:
        if not actual[name]:
            continue
        fewest = min(map(len, drawn[name].values()))
        mean = np.mean([values[:fewest] for values in drawn[name].values()], axis=0)
        whole = _row(name, None, float(np.mean(list(actual[name].values()))), mean, sampling)
        rows.append(whole | {"n": sum(sizes[one] for one in actual[name])})
        for eval_set, value in actual[name].items():
            rows.append(_row(name, eval_set, value, drawn[name][eval_set], sampling) | {"n": sizes[eval_set]})
    return rows


def _row(quantity: str, eval_set: str | None, value: float, draws: np.ndarray, sampling: Sampling) -> dict:
    tail = (1 - sampling.confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return {"quantity": quantity, "eval_set": eval_set, "estimate": value, "low": float(low), "high": float(high)}
