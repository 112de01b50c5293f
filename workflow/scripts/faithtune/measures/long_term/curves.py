"""How far a training has come at each of its checkpoints: changes from base, and which of them leaves base first.

All points of a training are compared on the questions that each of them was asked, so a curve moves because the model
does. Every number is a mean over evaluation sets, paired by question (`contrasts`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from faithtune.measures import contrasts
from faithtune.measures.stats.bootstrap import Sampling
from faithtune.measures.verdicts import recipes

# The last point of every curve.
END = "end"
# What curves are about, as `what` of CHANGES names it, and the greatest possible change; None: there is none.
SUBJECTS = {name: bound for name, (bound, _) in recipes.SUBJECTS.items()} | {"steps": None, "parsed": 1.0}
# A change from base at one point of a training.
CURVES = pl.Schema(
    {
        "model": pl.String,
        "arm": pl.String,  # the arm at the training's end, as in ESTIMATES
        "place": pl.String,  # in the training: a step, a share of the steps (0p25), an epoch of a host's, or `end`
        "step": pl.Int64,  # optimiser steps so far; null at the end of a training elsewhere
        "seen": pl.Int64,  # examples so far; null in a training elsewhere
        # KL(base || arm) of the next tokens on base's chains, in nats: the mean over tokens, questions, sets and seeds;
        # null without weights here
        "kl": pl.Float64,
        # accuracy (with chain) | lift (accuracy with chain minus without) | faithfulness | chains (share that is valid)
        # | steps (mean number of a chain) | parsed (share of full-chain answers that are answered)
        "subject": pl.String,
        "test": pl.String,  # of faithfulness; null: the mean over all tests
        "estimate": pl.Float64,  # this point minus base, paired by question
        "low": pl.Float64,
        "high": pl.Float64,
        "p": pl.Float64,  # two-sided, not corrected
        "n": pl.Int64,  # questions it rests on
    }
)
# Which of accuracy and faithfulness leaves base first in a training.
DEPARTURES = pl.Schema(
    {
        "model": pl.String,
        "arm": pl.String,  # as in CURVES
        "margin": pl.Float64,  # a mean change of this size, up or down, leaves base
        "accuracy": pl.String,  # the first place at which accuracy has left; null: at none
        "faithfulness": pl.String,  # the first place at which faithfulness has left; null: at none
        # how many points later accuracy leaves than faithfulness; where one never leaves, it counts as one point after
        # the end; negative: accuracy first
        "estimate": pl.Int64,
        "low": pl.Float64,
        "high": pl.Float64,
        "p": pl.Float64,  # two-sided: that both leave at the same point
        "n": pl.Int64,  # questions it rests on
    }
)
_COMPARED = ("accuracy", "faithfulness")
_WHOSE = ("model", "arm", "eval_set")
# `join_probed` of nothing.
NOT_PROBED = pl.DataFrame(schema=dict.fromkeys((*_WHOSE, "id"), pl.String) | {"kl": pl.Float64})


@dataclass(frozen=True)
class Point:
    """A state of a training that is an arm of its own."""

    arm: str  # as in ESTIMATES
    place: str
    step: int | None = None  # None: the end of a training elsewhere, after all steps
    seen: int | None = None  # None: of a training elsewhere


@dataclass(frozen=True)
class Course:
    """A training with its points, in the order of their steps; the last one is the end."""

    model: str
    arm: str  # the arm at its end, as in ESTIMATES
    points: Sequence[Point]


def join_probed(found: Iterable[tuple[tuple[str, str, str], pl.DataFrame]]) -> pl.DataFrame:
    """One frame of DIVERGENCE frames by model, arm (as in ESTIMATES) and evaluation set; seeds share an arm."""
    named = [
        frame.select(*(pl.lit(name).alias(key) for name, key in zip(whose, _WHOSE, strict=True)), "id", "kl")
        for whose, frame in found
    ]
    return pl.concat([NOT_PROBED, *named])


def in_order(points: Iterable[Point]) -> list[Point]:
    """The points of a training by their steps, the end last."""
    return sorted(points, key=lambda point: (point.place == END, point.step or 0))


def curves(
    courses: Sequence[Course], changes: pl.DataFrame, sampling: Sampling, divergence: pl.DataFrame = NOT_PROBED
) -> pl.DataFrame:
    """CURVES of the trainings from CHANGES of their points; divergence: of `join_probed`."""
    rows = []
    for course in courses:
        distances = _distances(course, divergence)
        for subject, bound in SUBJECTS.items():
            pairs = _pairs(course, changes, subject)
            tests = pairs["test"].unique(maintain_order=True).to_list() if subject == "faithfulness" else []
            for test in [None, *(tests if len(tests) > 1 else [])]:
                of_test = pairs if test is None else pairs.filter(test=test)
                for point in course.points:
                    values = contrasts.per_question(of_test.filter(arm=point.arm))
                    mean = contrasts.mean(values, sampling, bound)
                    where = {"model": course.model, "arm": course.arm, "place": point.place, "step": point.step}
                    found = mean.estimate._asdict()
                    where |= {"seen": point.seen, "kl": distances.get(point.arm), "subject": subject, "test": test}
                    where["estimate"] = found.pop("value")
                    rows.append(where | found | {"n": mean.n})
    return pl.DataFrame(rows, schema=CURVES)


def departures(courses: Sequence[Course], changes: pl.DataFrame, sampling: Sampling, margin: float) -> pl.DataFrame:
    """DEPARTURES of the trainings from CHANGES of their points.

    Groups of questions that have both changes are resampled, with the means of a question over seeds: the variance
    between seeds is not in the intervals. In each draw a subject leaves base at the first point whose mean change is
    `margin` or more, up or down.
    """
    rows = []
    for course in courses:
        drawn, actual, n = _mean_changes(course, changes, sampling)
        if not n:
            continue
        k = len(course.points)
        first = [_first_left(actual[None, part], margin)[0] for part in (slice(0, k), slice(k, 2 * k))]
        places = [course.points[i].place if i < k else None for i in first]
        later = _first_left(drawn[:, :k], margin) - _first_left(drawn[:, k:], margin)
        tail = (1 - sampling.confidence) / 2
        low, high = np.quantile(later, [tail, 1 - tail], method="inverted_cdf")
        # Davison & Hinkley 1997: a draw more on either side, so that p is not 0.
        p = min(1.0, 2 * (1 + min((later <= 0).sum(), (later >= 0).sum())) / (1 + len(later)))
        where = {"model": course.model, "arm": course.arm, "margin": margin}
        where |= dict(zip(_COMPARED, places, strict=True))
        rows.append(where | {"estimate": int(first[0] - first[1]), "low": low, "high": high, "p": p, "n": n})
    return pl.DataFrame(rows, schema=DEPARTURES)


def latest_kept(of_course: pl.DataFrame, margin: float) -> str | None:
    """The latest place up to which no point may have lost faithfulness by `margin`; None if the first may have.

    of_course: the rows of one training in CURVES, in their order. A point may have lost where its interval reaches the
    loss, or where it has none.
    """
    found = None
    whole = of_course.filter(pl.col("test").is_null(), subject="faithfulness")
    for place, low in whole.select("place", "low").rows():
        if low is None or low <= -margin:
            break
        found = place
    return found


def _pairs(course: Course, changes: pl.DataFrame, subject: str) -> pl.DataFrame:
    """`contrasts.pairs` of all points, in each test on the questions that each point has in it."""
    arms = [{"model": course.model, "arm": point.arm} for point in course.points]
    pairs = contrasts.pairs(changes, arms, subject)
    everywhere = pl.col("arm").n_unique().over("eval_set", "id", "test") == len(course.points)
    return pairs.filter(everywhere)


def _distances(course: Course, divergence: pl.DataFrame) -> dict[str, float]:
    """The divergence of each point, by its arm, on the questions that all points have; {} if it is not known."""
    own = divergence.filter(pl.col("arm").is_in([point.arm for point in course.points]), model=course.model)
    everywhere = pl.col("arm").n_unique().over("eval_set", "id") == len(course.points)
    of_sets = own.drop_nulls("kl").filter(everywhere).group_by("arm", "eval_set", maintain_order=True)
    means = of_sets.agg(pl.col("kl").mean()).group_by("arm", maintain_order=True).agg(pl.col("kl").mean())
    return dict(means.rows())


def _mean_changes(course: Course, changes: pl.DataFrame, sampling: Sampling) -> tuple[np.ndarray, np.ndarray, int]:
    """Mean changes of both subjects at each point, resampled (draws, 2 k) and as they are (2 k), and the questions."""
    values = []
    for subject in _COMPARED:
        pairs = _pairs(course, changes, subject)
        for point in course.points:
            of_point = contrasts.per_question(pairs.filter(arm=point.arm))
            values.append(of_point.group_by("eval_set", "id", "group").agg(pl.col("value").mean()))
    both = values[0].rename({"value": "0"})
    for i, one in enumerate(values[1:], 1):
        both = both.join(one.rename({"value": str(i)}), on=["eval_set", "id", "group"])
    names = [str(i) for i in range(len(values))]
    sets = contrasts.resampled(both, names, sampling).values()
    if not sets:
        return np.empty((0, 0)), np.empty(0), 0
    fewest = min(len(one.drawn) for one in sets)
    drawn = np.mean([one.drawn[:fewest] for one in sets], axis=0)
    return drawn, np.mean([one.actual for one in sets], axis=0), both.height


def _first_left(means: np.ndarray, margin: float) -> np.ndarray:
    """(draws,): the index of the first point (draws, points) that has left base; the number of points if none has."""
    left = np.abs(means) >= margin - 1e-9
    return np.where(left.any(axis=1), left.argmax(axis=1), means.shape[1])
