"""How well an arm's final answer is decoded before its chain: AUC of linear probes, and what a tuning changes in it.

An AUC is the share of pairs of a question with an option and one with another answer in which the first has the higher
score; a tie is half (Hanley & McNeil 1982, Radiology 143:29). It is averaged over the options with equal weights.
Unlike accuracy it does not depend on how often an option is answered.

Intervals are of resampled groups of questions (`bootstrap`), and stretched as in `intervals`. The probes are not fitted
again in each draw, and a question's score depends on others that were in its probe's training folds. So half-widths are
also multiplied by √(1 + folds × held out / trained on) = 1.5 for 5 folds (Nadeau & Bengio 2003, "Inference for the
Generalization Error", Machine Learning 52:239, whose correction is of the variance over random splits). Without that,
16 to 19 % of simulated pairs of arms that are equally decodable differed at p < 0.05.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import polars as pl

from faithtune.measures.stats import bootstrap, student
from faithtune.measures.stats.bootstrap import Sampling
from faithtune.measures.stats.intervals import NOTHING, Estimate
from faithtune.measures.stats.seed_variance import HalfWidth
from faithtune.probes.registry import N_FOLDS

DECODING = pl.Schema(
    {
        "part": pl.String,  # what the probes read: states | text | shuffled | base (`probes.linear`)
        "layer": pl.Int32,  # null for the text
        "n": pl.Int32,  # questions
        "n_options": pl.Int32,  # options whose AUC is averaged
        "auc": pl.Float64,  # 0.5: nothing is decoded; 1: everything; null if no option's AUC is defined
        "low": pl.Float64,  # null where all draws are the same, as with an AUC of 1
        "high": pl.Float64,
    }
)
CHANGES = pl.Schema(
    {
        "part": pl.String,
        "layer": pl.Int32,
        "n": pl.Int32,  # questions that both arms answer
        "change": pl.Float64,  # AUC(tuned) - AUC(base)
        "low": pl.Float64,
        "high": pl.Float64,
        "p": pl.Float64,  # of no change, from the interval; null without one
    }
)
# What the fitting of probes adds to half-widths: each is trained on folds - 1 folds for one held out.
STRETCH = math.sqrt(1 + N_FOLDS / (N_FOLDS - 1))
# Draws whose cumulated weights are in memory at a time.
_PIECE = 500


class Side(NamedTuple):
    """The scores of an arm's probes, and what they were to find."""

    rows: pl.DataFrame  # id, part, layer, option, value: one row for each question and option
    answers: pl.DataFrame  # id, answer, group; the answer is null where the arm gave none


def estimate_auc(side: Side, sampling: Sampling) -> pl.DataFrame:
    """DECODING of an arm: each part and layer, in the order of the rows."""
    draws, found = _Draws.over(side.answers, sampling), []
    for part, layer, rows in _tables(side):
        sums = _means(rows, draws)
        estimate = _estimate(sums.value, sums.draws, draws.n_groups, sampling)
        found.append((part, layer, rows["id"].n_unique(), sums.n_options, *estimate[:3]))
    return pl.DataFrame(found, schema=DECODING, orient="row")


def compare_auc(tuned: Side, base: Side, sampling: Sampling) -> pl.DataFrame:
    """CHANGES of the parts and layers that both sides have, in the order of `tuned`'s rows.

    Both AUC are over the questions that both arms answer, in the same draws of groups. Each is averaged over the
    options that its own arm answers there.
    """
    shared = _answered(tuned).join(_answered(base), on="id", how="semi")
    draws, found = _Draws.over(shared, sampling), []
    of_base = {(part, layer): rows for part, layer, rows in _tables(base)}
    for part, layer, rows in _tables(tuned):
        if (part, layer) not in of_base:
            continue
        ours, theirs = rows, of_base[part, layer]
        ours, theirs = (one.join(other, on="id", how="semi") for one, other in ((ours, theirs), (theirs, ours)))
        first, second = _means(ours, draws), _means(theirs, draws)
        change = first.value - second.value
        estimate = _estimate(change, first.draws - second.draws, draws.n_groups, sampling, least=-1.0)
        found.append((part, layer, ours["id"].n_unique(), *estimate))
    return pl.DataFrame(found, schema=CHANGES, orient="row")


def auc(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """AUC of n scores in each draw: (draws,); NaN where all or none of the questions drawn are positive.

    positive: n booleans; weights: (draws, n), how often a question is drawn.
    """
    negative = np.flatnonzero(~positive)
    negative = negative[np.argsort(scores[negative], kind="stable")]
    below = np.searchsorted(scores[negative], scores[positive], side="left")
    upto = np.searchsorted(scores[negative], scores[positive], side="right")
    found = []
    for start in range(0, len(weights), _PIECE):
        part = weights[start : start + _PIECE].astype(np.float64)
        ordered = np.cumsum(np.pad(part[:, negative], ((0, 0), (1, 0))), axis=1)
        ours = part[:, positive]
        won = np.einsum("dp,dp->d", ours, ordered[:, below] + ordered[:, upto]) / 2
        pairs = ours.sum(axis=1) * ordered[:, -1]
        found.append(np.divide(won, pairs, out=np.full(len(won), np.nan), where=pairs > 0))
    return np.concatenate(found)


class _Draws(NamedTuple):
    """How often each group of questions is drawn."""

    groups: dict[str, int]  # the column of a group
    weights: np.ndarray  # (draws, groups)

    @classmethod
    def over(cls, answers: pl.DataFrame, sampling: Sampling) -> "_Draws":
        names = answers.filter(pl.col("answer").is_not_null())["group"].unique().sort().to_list()
        each = bootstrap.totals(np.eye(len(names)), sampling) if names else np.zeros((1, 0))
        return cls({name: i for i, name in enumerate(names)}, each)

    @property
    def n_groups(self) -> int:
        return len(self.groups)


class _Means(NamedTuple):
    """The mean AUC of the options, as it is and in each draw; NaN where no option's is defined."""

    value: float
    draws: np.ndarray
    n_options: int


def _tables(side: Side) -> Iterator[tuple[str, int | None, pl.DataFrame]]:
    """Each part and layer with its rows of answered questions: id, option, value, answer, group."""
    known = side.rows.join(_answered(side), on="id", how="inner", maintain_order="left")
    for (part, layer), rows in known.group_by("part", "layer", maintain_order=True):
        yield part, layer, rows.select("id", "option", "value", "answer", "group")


def _answered(side: Side) -> pl.DataFrame:
    return side.answers.filter(pl.col("answer").is_not_null()).select("id", "answer", "group")


def _means(rows: pl.DataFrame, draws: _Draws) -> _Means:
    found, values = [], []
    for (option,), one in rows.sort("option", "id").group_by("option", maintain_order=True):
        scores, positive = one["value"].to_numpy(), (one["answer"] == option).to_numpy()
        if positive.any() and not positive.all():
            column = np.array([draws.groups[group] for group in one["group"]])
            values.append(auc(scores, positive, np.ones((1, len(scores))))[0])
            found.append(auc(scores, positive, draws.weights[:, column]))
    if not found:
        return _Means(np.nan, np.full(len(draws.weights), np.nan), 0)
    known = np.isfinite(found)
    sums = np.where(known, found, 0.0).sum(axis=0)
    mean = np.divide(sums, known.sum(axis=0), out=np.full(len(sums), np.nan), where=known.any(axis=0))
    return _Means(float(np.mean(values)), mean, len(values))


def _estimate(value: float, draws: np.ndarray, n_groups: int, sampling: Sampling, least: float = 0.0) -> Estimate:
    """A value between `least` and 1 with the interval of its draws, and the p of its being 0.

    As for a function of means without bounds in `intervals`: no interval where the draws do not differ or where fewer
    than a tail leaves are defined.
    """
    if not np.isfinite(value):
        return NOTHING
    known, tail = draws[np.isfinite(draws)], (1 - sampling.confidence) / 2
    if len(known) < (1 - tail) * len(draws) or np.ptp(known) < 1e-6 or n_groups < 2:
        return Estimate(value, None, None)
    (low, high), z = np.quantile(known, [tail, 1 - tail]), student.quantile(np.inf, tail)
    down, up = (HalfWidth(STRETCH * max(0.0, float(side)) / -z, n_groups - 1) for side in (value - low, high - value))
    low, high = max(least, value - down.length(tail)), min(1.0, value + up.length(tail))
    return Estimate(value, low, high, (down if value > 0 else up).p_value(value))
