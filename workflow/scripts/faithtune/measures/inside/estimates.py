"""What the probes of a study's arms come to (INSIDE): means over questions, changes from base, numbers of whole arms.

Intervals of numbers that are given by question resample groups of questions (`stats.intervals`). Shares get its
correction for values that do not differ, which needs bounds. Of other measures a bound is far from most values (the
attention to a step is near 0, not 0.5), and the correction would only blur them: their intervals are merely cut at it.

Numbers of an arm as a whole come with the interval of their file, or without one; over seeds it is their mean
(`whole_arms`). How well linear probes decode the answer is such a number of scores and answers (`decoding`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from faithtune.core.schemas.estimates import BASE
from faithtune.core.schemas.probes import INSIDE, PROBES
from faithtune.measures import pooling
from faithtune.measures.inside import values, whole_arms
from faithtune.measures.inside.decoding import Side
from faithtune.measures.inside.values import BEYOND, KEYS
from faithtune.measures.inside.whole_arms import Found
from faithtune.measures.pooling import Key
from faithtune.measures.stats import intervals
from faithtune.measures.stats.bootstrap import Sampling
from faithtune.measures.stats.intervals import Estimate
from faithtune.probes.registry import MEASURES

VALUE, CHANGE = "value", "change"
# Whether something is so, by question; and a mean of such.
_YES_OR_NO = ("knockout_changed", "removal_changed", "dose_correct", "dose_correct_no_cot", "dose_same")
_SHARES = (*_YES_OR_NO, "dose_match")


@dataclass(frozen=True)
class Probes:
    """What was found inside the arms of a study."""

    arms: list[dict]  # `plan.Arm.facts` of each, in the order of the tables; of `eval_sets` those that were looked at
    found: Mapping[Key, pl.DataFrame]  # PROBES by (model, arm, evaluation set), where there are any
    questions: Mapping[str, pl.DataFrame]  # QUESTIONS of each evaluation set
    answers: Mapping[Key, pl.DataFrame] = field(default_factory=dict)  # ANSWERS as `found`, for linear probes


def by_question(probes: Probes, alphas: Sequence[float]) -> dict[Key, pl.DataFrame]:
    """`values` by (model, label, evaluation set), the seeds of an arm pooled."""
    return {
        key: values.values(frame, probes.questions[key[2]], alphas)
        for key, frame in pooling.pool(probes.arms, probes.found).items()
    }


def build(
    probes: Probes, weights: Mapping[tuple[str, str], pl.DataFrame], alphas: Sequence[float], sampling: Sampling
) -> pl.DataFrame:
    """INSIDE of a study; weights: PROBES of arms' weights by (model, arm); alphas: kept fractions."""
    known, pooled = by_question(probes, alphas), pooling.pool(probes.arms, probes.found)
    moved, rows = _pool_weights(probes.arms, weights), []
    for arm in pooling.labels(probes.arms):
        model, label = arm["model"], arm["label"]
        about = {name: arm[name] for name in ("model", "train_set", "seeds")} | {"arm": label}
        names = [one["arm"] for one in probes.arms if (one["model"], one["label"]) == (model, label)]
        for eval_set in (name for name in arm["eval_sets"] if (model, label, name) in known):
            key, base = (model, label, eval_set), (model, BASE, eval_set)
            value, change = (about | {"eval_set": eval_set, "what": what} for what in (VALUE, CHANGE))
            scores = _scores(probes, model, names, eval_set)
            rows += _means(known[key], value, sampling)
            rows += _of_arm(whole_arms.numbers(pooled[key], sampling), value)
            rows += _of_arm(whole_arms.decoded(scores, None, sampling), value)
            if label != BASE and base in known:
                rows += _means(values.pairs(known[key], known[base]), change, sampling)
                for side in _scores(probes, model, [BASE], eval_set):
                    rows += _of_arm(whole_arms.decoded(scores, side, sampling), change)
        if (model, label) in moved:
            rows += _of_arm(whole_arms.numbers(moved[model, label], sampling), about | {"what": VALUE})
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


def _of_arm(found: Found, about: dict) -> Iterator[dict]:
    """Rows of INSIDE of numbers of the arm as a whole."""
    for key, estimate, n in found:
        yield _row(about, key, estimate, n=n)


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
    return whole_arms.cut(found, bounds)


def _bounds(measure: str, differs: int) -> tuple[float, float] | None:
    """The least and greatest possible mean of the measure, or of differences of it."""
    bounds = MEASURES[measure].bounds
    for _ in range(differs if bounds else 0):
        bounds = bounds[0] - bounds[1], bounds[1] - bounds[0]
    return bounds


def _scores(probes: Probes, model: str, names: Sequence[str], eval_set: str) -> list[Side]:
    """The scores of the linear probes of these arms, where there are any, with the answers after whole chains."""
    found = []
    for name in names:
        key = model, name, eval_set
        rows = probes.found.get(key, pl.DataFrame(schema=PROBES)).filter(measure="linear")
        if not rows.is_empty():
            answers = probes.answers[key].filter(pl.col("test") == "full", pl.col("outcome") == "answered")
            found.append(
                Side(rows.select("id", "part", "layer", "option", "value"), answers.select("id", "answer", "group"))
            )
    return found


def _row(about: dict, key: dict, estimate: Estimate, **counts: int | None) -> dict:
    """A row of INSIDE; columns that are not given are null."""
    value, low, high, p = estimate
    return about | key | {"estimate": value, "low": low, "high": high, "p": p} | counts
