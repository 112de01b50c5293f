"""Intervals for shares, means and paired differences.

Questions of one group share a context and are not independent, so groups are
resampled, never single questions: the percentile interval of the cluster
bootstrap (Field & Welsh 2007, "Bootstrapping clustered data"). A share over
questions that are all alone in their group gets the Wilson score interval.

A bootstrap of values that do not differ has no width, however few they are.
Such a sample still allows that a share u of the groups would have answered
otherwise, where u is the upper Wilson bound of "0 of n groups"; the interval
is as wide as that share could make it, at the bounds of the values. With no
change among 100 questions this gives -0.037 … +0.037, not 0 … 0.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

# Drawn indices held at once: bounds the memory at a few tens of MB.
_CHUNK = 2_000_000
# Up to so many kinds of group, counting the draws of a kind beats drawing one by one.
_FEW_KINDS = 100


class Estimate(NamedTuple):
    """A number and its interval; None where the data say nothing."""

    value: float | None
    low: float | None
    high: float | None

    def scaled(self, factor: float, shift: float = 0.0) -> "Estimate":
        """shift + factor × the number, its interval likewise (ends swapped where factor < 0)."""
        value, low, high = (None if x is None else shift + factor * x for x in self)
        return Estimate(value, low, high) if factor >= 0 else Estimate(value, high, low)


NOTHING = Estimate(None, None, None)


@dataclass(frozen=True)
class Sampling:
    """How intervals are made: their confidence, and the bootstrap's replicates and seed."""

    confidence: float = 0.95
    replicates: int = 10_000
    seed: int = 42

    def generator(self, *name: object) -> np.random.Generator:
        """Random numbers of their own for the cell `name`: adding a cell changes no other."""
        text = "\x1f".join(map(str, (self.seed, *name)))
        return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big"))


def share(hits: np.ndarray, groups: np.ndarray, sampling: Sampling, *name: object) -> Estimate:
    """Share of `hits` (n booleans) in questions of `groups` (n labels).

    Wilson's score interval (Wilson 1927) if no group repeats, else the cluster bootstrap.
    """
    hits = np.asarray(hits, dtype=float)
    if len(np.unique(groups)) < len(hits):
        return mean(hits, groups, sampling, *name, bounds=(0.0, 1.0))
    if len(hits) == 0:
        return NOTHING
    low, high = proportion_confint(hits.sum(), len(hits), alpha=1 - sampling.confidence, method="wilson")
    value = float(hits.mean())
    return Estimate(value, min(float(low), value), max(float(high), value))  # none hit: low comes out as 3e-17


def mean(
    values: np.ndarray,
    groups: np.ndarray,
    sampling: Sampling,
    *name: object,
    bounds: tuple[float, float] | None = None,
) -> Estimate:
    """Mean of `values` (n) in questions of `groups` (n labels), cluster bootstrap.

    An effect is the mean of the questions' paired differences, bounds (-1, 1).
    bounds: the least and greatest value possible; they give values that do not
    differ an interval (see the module), which is None without bounds.
    """
    values = np.asarray(values, dtype=float)
    if len(values) == 0:
        return NOTHING
    _, group = np.unique(groups, return_inverse=True)
    sums, sizes = np.bincount(group, weights=values), np.bincount(group)
    value = float(values.mean())
    if np.ptp(sums / sizes) < 1e-12:
        if bounds is None:
            return Estimate(value, None, None)
        _, other = proportion_confint(0, len(sums), alpha=1 - sampling.confidence, method="wilson")
        low, high = (value + float(other) * (bound - value) for bound in bounds)
        return Estimate(value, low, high)
    tail = (1 - sampling.confidence) / 2
    means = _resampled_means(sums, sizes, sampling.replicates, sampling.generator(*name))
    low, high = np.quantile(means, [tail, 1 - tail])
    return Estimate(value, float(low), float(high))


def macro(estimates: Sequence[Estimate]) -> Estimate:
    """Unweighted mean of independent estimates, one an evaluation set.

    Its interval is recovered from theirs by MOVER (Zou & Donner 2008, Statistics
    in Medicine 27:1693): each side is the root of the sum of squared half-widths.
    So a set whose values do not differ adds its honest width. NOTHING where one of
    them is missing: means over different sets could not be compared.
    """
    if not estimates or any(x is None for estimate in estimates for x in estimate):
        return NOTHING
    value, low, high = np.array(estimates).T
    down, up = (math.sqrt(np.sum((value - end) ** 2)) for end in (low, high))
    return Estimate(*(float(x) / len(estimates) for x in (value.sum(), value.sum() - down, value.sum() + up)))


def mcnemar_p(first: np.ndarray, second: np.ndarray) -> float | None:
    """Two-sided p of the exact McNemar test that n paired booleans are equally often true.

    It takes questions as independent, so where groups repeat it is too small.
    """
    first, second = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if len(first) == 0:
        return None
    table = [[np.sum((first == a) & (second == b)) for b in (True, False)] for a in (True, False)]
    return float(mcnemar(table, exact=True).pvalue)


def _resampled_means(sums: np.ndarray, sizes: np.ndarray, replicates: int, rng: np.random.Generator) -> np.ndarray:
    """Means (replicates) over as many groups as there are, drawn with replacement."""
    # Groups of equal sum and size are of one kind: how many of each kind are drawn is
    # multinomial. The same draw as one by one, 100 times as fast for yes/no values.
    kinds, counts = np.unique(np.column_stack([sums, sizes]), axis=0, return_counts=True)
    if len(kinds) <= _FEW_KINDS:
        totals = rng.multinomial(len(sums), counts / len(sums), size=replicates) @ kinds
        return totals[:, 0] / totals[:, 1]
    parts = []
    chunk = max(1, _CHUNK // len(sums))
    for start in range(0, replicates, chunk):
        drawn = rng.integers(len(sums), size=(min(chunk, replicates - start), len(sums)))
        parts.append(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    return np.concatenate(parts)
