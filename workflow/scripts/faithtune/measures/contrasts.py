"""Means of what tuning changed (CHANGES): over tests and arms, then over evaluation sets.

Effects of several arms and tests on a question are not independent, so each question becomes one value before groups
are resampled within an evaluation set; `intervals.macro` averages the sets. The mean of a test is over the questions
with a pair in it, the mean of an arm over its tests: a question without paraphrases does not give the other tests more
weight.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import polars as pl

from faithtune.measures.stats import bootstrap, intervals
from faithtune.measures.stats.bootstrap import Sampling
from faithtune.measures.stats.intervals import NOTHING, Estimate

_QUESTION = ["eval_set", "seed", "id", "group"]


class Mean(NamedTuple):
    """A mean over evaluation sets."""

    estimate: Estimate = NOTHING
    sets: Collection[str] = ()
    n: int = 0  # questions


class Resampled(NamedTuple):
    """Means of k columns on one evaluation set."""

    drawn: np.ndarray  # (draws, k)
    actual: np.ndarray  # (k,), of the questions as they are
    n: int  # questions


def pairs(changes: pl.DataFrame, arms: list[dict], what: str, of: str = "change") -> pl.DataFrame:
    """(model, eval_set, arm, seed, test, id, group, change) from CHANGES of the arms; `of` is the column of the change.

    If the arms have different seeds, each arm's mean over its seeds, as seed 0: no interval then includes the variance
    between seeds.
    """
    frame = of_arms(changes, arms, what)
    seed = pl.lit(0, pl.Int64) if differing_seeds(frame) else pl.col("seed").fill_null(0)
    by = ["model", "eval_set", "arm", "seed", "test", "id", "group"]
    frame = frame.drop_nulls(of).with_columns(seed=seed, test=pl.col("test").fill_null(""))
    return frame.group_by(by, maintain_order=True).agg(change=pl.col(of).mean())


def of_arms(changes: pl.DataFrame, arms: list[dict], what: str) -> pl.DataFrame:
    """The rows of CHANGES about `what` in the arms."""
    names = [f"{arm['model']}/{arm['arm']}" for arm in arms]
    return changes.filter(pl.concat_str("model", "arm", separator="/").is_in(names), pl.col("what") == what)


def differing_seeds(changes: pl.DataFrame) -> bool:
    """Whether the arms of CHANGES were not all tuned with the same seeds; no seed (null) is a seed of its own."""
    by_arm = changes.group_by("model", "arm").agg(pl.col("seed").unique().sort())
    return by_arm["seed"].n_unique() > 1


def per_question(pairs: pl.DataFrame) -> pl.DataFrame:
    """(eval_set, seed, id, group, value) from one model's pairs: one value per question and seed.

    Their mean is the mean over arms of the means over tests. If every question has a pair in every arm and test, a
    value is the question's mean over them. Otherwise the means are over different questions, and a value is that of the
    mean's influence function (Hampel 1974), so bootstrapping the values is right to first order.
    """
    change, everywhere = pl.col("change"), ["eval_set", "seed"]
    here = [*everywhere, "arm", "test"]
    tests = pl.col("test").n_unique().over(*everywhere, "arm")
    spread = pairs.with_columns(
        mean=change.mean().over(here),
        questions=pl.col("id").n_unique().over(everywhere),
        # Each pair carries its test's mean; divided by the number of pairs, the mean counts once.
        weight=1 / (pl.len().over(here) * tests * pl.col("arm").n_unique().over(everywhere)),
    ).with_columns(
        part=(change - pl.col("mean")) * pl.col("questions") * pl.col("weight"),
        centre=(pl.col("mean") * pl.col("weight")).sum().over(everywhere),
    )
    by_question = spread.group_by(_QUESTION, maintain_order=True)
    return by_question.agg(value=pl.col("part").sum() + pl.col("centre").first())


def side_by_side(first: pl.DataFrame, second: pl.DataFrame, alike: Collection[str] = ()) -> pl.DataFrame:
    """(eval_set, seed, id, group, value, value_other) from two frames of pairs, on the questions common to each test.

    alike: further columns that two pairs must have in common.
    """
    keys = [*_QUESTION, "test", *alike]
    sides = [
        one.join(other, on=keys, how="semi", maintain_order="left") for one, other in ((first, second), (second, first))
    ]
    return per_question(sides[0]).join(per_question(sides[1]), on=_QUESTION, suffix="_other", maintain_order="left")


def mean(
    values: pl.DataFrame, sampling: Sampling, bound: float | None = 1.0, weights: Mapping[str, float] | None = None
) -> Mean:
    """Mean over the evaluation sets of each set's mean times its weight (default 1), with its interval and p.

    bound: the greatest possible absolute value; None: there is none. Without a bound the mean has no interval where a
    set's values do not differ.
    """
    scale, bounds = (1.0, None) if bound is None else (bound, (-1.0, 1.0))
    frames = _by_set(values)
    weight = [(weights or {}).get(name, 1.0) for name in frames]
    estimates = [
        intervals.effect(
            frame["value"].to_numpy() / scale, frame["group"].to_numpy(), sampling, frame["seed"].to_numpy(), bounds
        ).scaled(scale * times)
        for frame, times in zip(frames.values(), weight, strict=True)
    ]
    most = (math.inf if bound is None else bound) * (float(np.mean(np.abs(weight))) if weight else 1.0)
    found = _over_sets(frames, estimates, sampling, (-most, most), weight)
    if bound is None and found.estimate.value is None and estimates:
        return found._replace(estimate=Estimate(float(np.mean([one.value for one in estimates])), None, None))
    return found


def level(values: pl.DataFrame, sampling: Sampling) -> Mean:
    """Mean over the evaluation sets of a measure within 0 … 1, with its interval."""
    frames = _by_set(values)
    estimates = [
        intervals.mean(
            *(frame[name].to_numpy() for name in ("value", "group")),
            sampling,
            bounds=(0.0, 1.0),
            seeds=frame["seed"].to_numpy(),
        )
        for frame in frames.values()
    ]
    return _over_sets(frames, estimates, sampling, (0.0, 1.0))


def resampled(values: pl.DataFrame, names: list[str], sampling: Sampling) -> dict[str, Resampled]:
    """By evaluation set, the means of the columns `names` with their groups of questions resampled.

    values: eval_set, id, group and the columns, one row a question, without nulls. Sets are drawn independently of each
    other.
    """
    found = {}
    parts = values.sort("eval_set", "id").partition_by("eval_set", as_dict=True, maintain_order=True)
    for i, ((name,), frame) in enumerate(parts.items()):
        groups = frame.group_by("group", maintain_order=True).agg(pl.col(names).sum(), size=pl.len())
        sums, sizes = groups.select(names).to_numpy(), groups.select("size").to_numpy().astype(float)
        totals = bootstrap.totals(np.hstack([sums, sizes]), replace(sampling, seed=sampling.seed + i))
        found[name] = Resampled(totals[:, :-1] / totals[:, -1:], sums.sum(axis=0) / sizes.sum(), frame.height)
    return found


def _by_set(values: pl.DataFrame) -> dict[str, pl.DataFrame]:
    return {name: frame.sort("seed", "id") for (name,), frame in values.group_by("eval_set", maintain_order=True)}


def _over_sets(
    frames: Mapping[str, pl.DataFrame],
    estimates: list[Estimate],
    sampling: Sampling,
    bounds: tuple[float, float],
    weight: list[float] | None = None,
) -> Mean:
    """The mean of the sets' estimates, whose values are `frames`."""
    by_seed = [frame.group_by("seed").agg(pl.col("value").mean()).sort("seed") for frame in frames.values()]
    shared = by_seed and all(one["seed"].equals(by_seed[0]["seed"]) for one in by_seed)
    means = np.array([one["value"] for one in by_seed]).T * (weight or 1.0) if shared else None
    found = intervals.macro(estimates, sampling.confidence, means, bounds=bounds)
    questions = pl.concat([frame.select("eval_set", "id") for frame in frames.values()]).n_unique() if frames else 0
    return Mean(found, list(frames), questions)


def size_difference(both: pl.DataFrame, sampling: Sampling) -> Mean:
    """|a| - |b| for the means a of value and b of value_other in `side_by_side`.

    |a| - |b| is the smaller in size of a - b and a + b, positive where both have the same sign. Their intervals come
    from the questions' own differences and sums, so they account for what the questions share, whatever the signs of a
    and b. The interval is the range of the result over both intervals; if either contains 0, so does it.
    """
    value, other = pl.col("value"), pl.col("value_other")
    minus, plus = (mean(both.with_columns(value=one), sampling, bound=2.0) for one in (value - other, value + other))
    ends = [one.estimate[:3] for one in (minus, plus)]
    if None in (*ends[0], *ends[1]):
        return minus._replace(estimate=NOTHING)
    corners = [_smaller(a, b) for a in ends[0][1:] for b in ends[1][1:]]
    corners += [0.0 for _, low, high in ends if low <= 0 <= high]
    ps = [one.estimate.p for one in (minus, plus)]
    p = None if None in ps else max(ps)
    return minus._replace(estimate=Estimate(_smaller(ends[0][0], ends[1][0]), min(corners), max(corners), p))


def _smaller(a: float, b: float) -> float:
    return float(np.sign(a * b) * min(abs(a), abs(b)))
