"""What the probes of a study's arms come to (INSIDE): means over questions, changes from base, numbers of whole arms.

Intervals of numbers that are given by question resample groups of questions (`stats.intervals`). Shares get its
correction for values that do not differ, which needs bounds. Of other measures a bound is far from most values (the
attention to a step is near 0, not 0.5), and the correction would only blur them: their intervals are merely cut at it.

Numbers of an arm as a whole come with the interval of their file, or without one. Over seeds it is their mean. Seeds
share their questions, so their own half-widths do not average out, and the variance between seeds comes on top:
half-width² = (mean of the half-widths)² + t² s² / seeds, with seeds - 1 degrees of freedom.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from faithtune.core.schemas.estimates import BASE
from faithtune.core.schemas.probes import INSIDE, PROBES
from faithtune.measures import pooling
from faithtune.measures.inside import values
from faithtune.measures.inside.values import BEYOND, KEYS
from faithtune.measures.pooling import Key
from faithtune.measures.stats import intervals
from faithtune.measures.stats.bootstrap import Sampling
from faithtune.measures.stats.intervals import NOTHING, Estimate
from faithtune.measures.stats.seed_variance import HalfWidth, SeedVariance
from faithtune.measures.stats.student import quantile
from faithtune.probes.registry import MEASURES

VALUE, CHANGE = "value", "change"
# Whether something is so, by question; and a mean of such.
_YES_OR_NO = ("knockout_changed", "removal_changed", "dose_correct", "dose_correct_no_cot", "dose_same")
_SHARES = (*_YES_OR_NO, "dose_match")
# Numbers of an arm as a whole that also have a mean over layers, or over modules.
_AVERAGED = ("cka", "effective_rank")


@dataclass(frozen=True)
class Probes:
    """What was found inside the arms of a study."""

    arms: list[dict]  # `plan.Arm.facts` of each, in the order of the tables; of `eval_sets` those that were looked at
    found: Mapping[Key, pl.DataFrame]  # PROBES by (model, arm, evaluation set), where there are any
    questions: Mapping[str, pl.DataFrame]  # QUESTIONS of each evaluation set


def by_question(probes: Probes, alphas: Sequence[float]) -> dict[Key, pl.DataFrame]:
    """`values` by (model, label, evaluation set), the seeds of an arm pooled."""
    return {
        key: values.values(frame, probes.questions[key[2]], alphas)
        for key, frame in pooling.pool(probes.arms, probes.found).items()
    }


def build(
    probes: Probes, weights: Mapping[tuple[str, str], pl.DataFrame], alphas: Sequence[float], sampling: Sampling
) -> pl.DataFrame:
    """INSIDE of a study; weights: PROBES of arms' weights by (model, arm); alphas: kept fractions.

    Rows of linear probes, which `decoding` scores, are left out.
    """
    known, pooled = by_question(probes, alphas), pooling.pool(probes.arms, probes.found)
    moved = _pool_weights(probes.arms, weights)
    rows = []
    for arm in pooling.labels(probes.arms):
        model, label, seeds = (arm[name] for name in ("model", "label", "seeds"))
        about = {"model": model, "arm": label, "train_set": arm["train_set"], "seeds": seeds}
        for eval_set in (name for name in arm["eval_sets"] if (model, label, name) in known):
            here, own, base = about | {"eval_set": eval_set}, known[model, label, eval_set], (model, BASE, eval_set)
            rows += _means(own, here | {"what": VALUE}, sampling)
            rows += _of_arm(pooled[model, label, eval_set], here | {"what": VALUE}, sampling)
            if label != BASE and base in known:
                rows += _means(values.pairs(own, known[base]), here | {"what": CHANGE}, sampling)
        if (model, label) in moved:
            rows += _of_arm(moved[model, label], about | {"what": VALUE}, sampling)
    return pl.DataFrame(rows, schema=INSIDE)


def _pool_weights(arms: list[dict], weights: Mapping[tuple[str, str], pl.DataFrame]) -> dict[tuple, pl.DataFrame]:
    """PROBES with a column `seed` by (model, label)."""
    found: dict[tuple, list[pl.DataFrame]] = {}
    for arm in arms:
        frame = weights.get((arm["model"], arm["arm"]))
        if frame is not None:
            seeded = frame.with_columns(seed=pl.lit(arm["seed"], dtype=pl.Int64))
            found.setdefault((arm["model"], arm["label"]), []).append(seeded)
    return {key: pl.concat(frames) for key, frames in found.items()}


def _means(frame: pl.DataFrame, about: dict, sampling: Sampling) -> Iterator[dict]:
    """Rows of INSIDE of a frame of `values`, of changes where `about` says so."""
    for keys, rows in frame.group_by(KEYS, maintain_order=True):
        key = dict(zip(KEYS, keys, strict=True))
        estimate = _mean(rows, key, about["what"] == CHANGE, sampling)
        counts = {"n": rows["value"].count()}
        for name in ("unanswered", "truncated"):
            asked = rows[name].drop_nulls()
            counts[f"n_{name}"] = int(asked.sum()) if len(asked) else None
        yield _row(about, key, estimate, **counts)


def _mean(rows: pl.DataFrame, key: dict, is_change: bool, sampling: Sampling) -> Estimate:
    """The mean of the column `value`, with its interval and, of a change, its p."""
    differs = is_change + (key["part"] in BEYOND.values())  # how many differences a value is made of
    columns = rows.select("group", pl.col("seed").fill_null(0), pl.col("value").fill_null(float("nan")))
    value, group, seed = (columns[name].to_numpy() for name in ("value", "group", "seed"))
    if key["measure"] in _YES_OR_NO and not differs:
        return intervals.share(value, group, sampling, seed)
    bounds = _bounds(key["measure"], differs)
    corrected = bounds if key["measure"] in _SHARES else None
    known = ~np.isnan(value)
    if corrected is None:
        value, group, seed = value[known], group[known], seed[known]
    mean = intervals.effect if is_change else intervals.mean
    found = mean(value, group, sampling, seeds=seed, bounds=corrected)
    return _cut(found, bounds)


def _bounds(measure: str, differs: int) -> tuple[float, float] | None:
    """The least and greatest possible mean of the measure, or of differences of it."""
    bounds = MEASURES[measure].bounds
    for _ in range(differs if bounds else 0):
        bounds = bounds[0] - bounds[1], bounds[1] - bounds[0]
    return bounds


def _cut(estimate: Estimate, bounds: tuple[float, float] | None) -> Estimate:
    """The estimate with its interval inside the bounds."""
    if bounds is None or estimate.low is None:
        return estimate
    return estimate._replace(low=max(estimate.low, bounds[0]), high=min(estimate.high, bounds[1]))


def _of_arm(frame: pl.DataFrame, about: dict, sampling: Sampling) -> Iterator[dict]:
    """Rows of INSIDE of numbers of the arm as a whole: PROBES without an id, with a column `seed`."""
    rows = frame.filter(pl.col("id").is_null(), pl.col("measure") != "linear")
    rows = rows.with_columns(alpha=pl.lit(None, pl.Float64), value=pl.col("value").fill_nan(None))
    several = rows.filter(pl.col("measure").is_in(_AVERAGED), pl.any_horizontal(pl.col("part", "layer").is_not_null()))
    over_all = several.with_columns(pl.lit(None, PROBES[name]).alias(name) for name in ("part", "layer", "low", "high"))
    # Modules of one kind in one layer, such as experts, are one row of their mean.
    by_seed = (
        pl.concat([rows, over_all])
        .group_by(*KEYS, "seed", maintain_order=True)
        .agg(pl.col("value", "low", "high").mean())
    )
    for keys, seeds in by_seed.group_by(KEYS, maintain_order=True):
        key = dict(zip(KEYS, keys, strict=True))
        yield _row(about, key, _over_seeds(seeds, MEASURES[key["measure"]].bounds, sampling))


def _over_seeds(seeds: pl.DataFrame, bounds: tuple[float, float] | None, sampling: Sampling) -> Estimate:
    """The mean over seeds (value, low, high, a row a seed), as the module says."""
    seeds = seeds.drop_nulls("value")
    if seeds.is_empty():
        return NOTHING
    value, has_interval = float(seeds["value"].mean()), not seeds["low"].null_count()
    if seeds.height == 1:
        return Estimate(value, *seeds.select("low", "high").row(0))
    tail, n = (1 - sampling.confidence) / 2, seeds.height
    between = SeedVariance(float(seeds["value"].var()) / n, 0.0, n - 1)
    ends = [value, value]
    for i, (name, sign) in enumerate((("low", -1), ("high", 1))):
        own = float((seeds[name] - seeds["value"]).mean()) * sign if has_interval else 0.0
        ends[i] += sign * HalfWidth(own / -quantile(math.inf, tail), math.inf, between).length(tail)
    return _cut(Estimate(value, *ends), bounds)


def _row(about: dict, key: dict, estimate: Estimate, **counts: int | None) -> dict:
    """A row of INSIDE; columns that are not given are null."""
    value, low, high, p = estimate
    return about | key | {"estimate": value, "low": low, "high": high, "p": p} | counts
