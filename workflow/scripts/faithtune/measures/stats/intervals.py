"""Intervals for shares, means and paired effects.

Questions that share a context are not independent, so groups of questions are resampled (`bootstrap`), never single
questions. The percentile interval is too short for few groups, and has no width where the values do not differ. Two
corrections, both of which vanish in large samples (tests/benchmarks/STATISTICS.md has the measured coverage):

* Two pseudo-groups are added, one above and one below the middle of the values' bounds, as far from it as the other
  groups are. For pairs of yes/no answers this adds one discordant pair of either kind, as Bonett & Price (2012, Journal
  of Educational and Behavioral Statistics 37:479) do. Values without bounds get no pseudo-groups.
* Both half-widths are stretched by t/z for G groups, after Hesterberg (2015, The American Statistician 69:371), who
  moves the percentiles to the same end. His √(G/(G-1)) is not needed: the number of groups that the Poisson bootstrap
  draws varies, which has the same effect.

A share of questions that are each alone in their group gets Wilson's score interval. Where several tuning seeds are
pooled, `seed_variance` adds the variance between seeds.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from faithtune.measures.stats import bootstrap, seed_variance, student
from faithtune.measures.stats.bootstrap import Sampling
from faithtune.measures.stats.seed_variance import HalfWidth, SeedVariance


class Estimate(NamedTuple):
    """A number, its interval and, for an effect, the p of its being 0; None where the data do not determine it."""

    value: float | None
    low: float | None
    high: float | None
    p: float | None = None

    def scaled(self, factor: float, shift: float = 0.0) -> "Estimate":
        """shift + factor × the number and its interval (ends swapped where factor < 0), with the same p."""
        value, low, high = (None if x is None else shift + factor * x for x in self[:3])
        return Estimate(value, low, high, self.p) if factor >= 0 else Estimate(value, high, low, self.p)


NOTHING = Estimate(None, None, None)


class _Rows(NamedTuple):
    """What is resampled."""

    columns: np.ndarray  # (n, d), NaN is missing
    groups: np.ndarray  # n labels
    seeds: np.ndarray | None  # n labels of tuning seeds; None for one seed


def share(hits: np.ndarray, groups: np.ndarray, sampling: Sampling, seeds: np.ndarray | None = None) -> Estimate:
    """Share of ones in `hits` (n of 0, 1 or NaN for missing).

    groups: n labels of groups of questions; seeds: n labels of tuning seeds, None for one seed. Wilson's score interval
    (Wilson 1927) if no group repeats, else the cluster bootstrap.
    """
    hits = np.asarray(hits, dtype=float)
    if len(np.unique(groups)) < len(hits) or _several(seeds):
        return mean(hits, groups, sampling, bounds=(0.0, 1.0), seeds=seeds)
    hits = hits[~np.isnan(hits)]
    if len(hits) == 0:
        return NOTHING
    from statsmodels.stats.proportion import proportion_confint  # imported here: it takes two seconds

    low, high = proportion_confint(hits.sum(), len(hits), alpha=1 - sampling.confidence, method="wilson")
    value = float(hits.mean())
    return Estimate(value, min(float(low), value), max(float(high), value))  # without hits, low comes out as 3e-17


def mean(
    values: np.ndarray,
    groups: np.ndarray,
    sampling: Sampling,
    bounds: tuple[float, float] | None = None,
    seeds: np.ndarray | None = None,
) -> Estimate:
    """Mean of `values` (n; NaN is missing), cluster bootstrap; groups and seeds as in `share`.

    Callers may drop missing values first, but estimates over the same groups share their draws, so keeping them is
    faster where groups repeat. bounds: the least and greatest possible value; without them, values that do not differ
    have no interval.
    """
    return _estimate(_Rows(_column(values), groups, seeds), sampling, bounds=bounds)


def effect(
    changes: np.ndarray,
    groups: np.ndarray,
    sampling: Sampling,
    seeds: np.ndarray | None = None,
    bounds: tuple[float, float] | None = (-1.0, 1.0),
) -> Estimate:
    """Mean of `changes` (n; NaN is missing), the paired differences of questions, as `mean`, with its p.

    p comes from the interval (`HalfWidth.p_value`): p < 0.05 exactly where the 95 % interval excludes 0. Flipping the
    signs of whole groups would be an exact test, but it contradicts the interval in close cases and ignores seeds.
    """
    return _estimate(_Rows(_column(changes), groups, seeds), sampling, bounds=bounds, test=True)


def function_of_means(
    columns: np.ndarray,
    groups: np.ndarray,
    sampling: Sampling,
    function: Callable[[np.ndarray], np.ndarray],
    shares: bool = False,
    seeds: np.ndarray | None = None,
) -> Estimate:
    """function(means of the d `columns`), the columns resampled together; groups and seeds as in `share`.

    columns: (n, d); NaN is missing, and each mean is over its own values.
    function: (draws, d) → (draws,), smooth. NOTHING where it is not finite at the means; no interval where it is not
    finite in more draws than a tail holds, or the same in all.
    shares: there are two columns of 0 and 1. Where all draws have the same value, a discordant pair of groups is added:
    in each, one column is all 1 and the other all 0.
    """
    columns = np.asarray(columns, dtype=float)
    return _estimate(_Rows(columns, groups, seeds), sampling, function, shares=shares)


def median(values: np.ndarray, groups: np.ndarray, sampling: Sampling) -> Estimate:
    """Median of `values` (n) in questions of `groups` (n labels).

    Woodruff's interval (1952, JASA 47:635): the interval of the share of values in the lower half, by `share` with its
    groups, read off the ordered values. With pooled seeds it covers the draw of questions alone.
    """
    values = np.asarray(values, dtype=float)
    if len(values) == 0:
        return NOTHING
    lower = np.empty(len(values))
    lower[np.argsort(values, kind="stable")] = np.arange(len(values)) < len(values) / 2
    half = share(lower, groups, sampling)
    low, high = np.quantile(values, [half.low, half.high], method="inverted_cdf")
    value = float(np.median(values))
    return Estimate(value, min(float(low), value), max(float(high), value))


def macro(
    estimates: Sequence[Estimate],
    confidence: float = 0.95,
    by_seed: np.ndarray | None = None,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Estimate:
    """Unweighted mean of independent estimates, one per evaluation set; bounds: its least and greatest possible value.

    MOVER (Zou & Donner 2008, Statistics in Medicine 27:1693) recovers its interval from theirs: a half-width is the
    root of the sum of their squared half-widths. NOTHING where an estimate is missing, because means over different
    sets are not comparable.
    by_seed: mean of each pooled seed on each set, (seeds, sets). Sets share the seeds, so the covariance between seeds,
    where positive, is added to the squared half-widths.
    p, where all estimates have one, comes from the mean's interval, not from their p.
    """
    if not estimates or any(x is None for estimate in estimates for x in estimate[:3]):
        return NOTHING
    n, tail = len(estimates), (1 - confidence) / 2
    values, lows, highs = np.array([estimate[:3] for estimate in estimates]).T
    value, down, up = (float(x) / n for x in (values.sum(), math.hypot(*values - lows), math.hypot(*highs - values)))
    seeds = SeedVariance()
    if by_seed is not None and len(by_seed) > 1:
        k = len(by_seed)
        seeds = SeedVariance(float(np.var(np.mean(by_seed, axis=1), ddof=1)) / k, 0.0, k - 1)
        covariance = max(0.0, seeds.between - np.var(by_seed, axis=0, ddof=1).sum() / n**2 / k)
        down, up = (math.hypot(side, HalfWidth(math.sqrt(covariance), k - 1).length(tail)) for side in (down, up))
    found = Estimate(value, max(value - down, bounds[0]), min(value + up, bounds[1]))
    if any(estimate.p is None for estimate in estimates):
        return found
    # The estimates do not say how much of a half-width is due to seeds: assume as much as possible, so that p is not
    # too small.
    side = down if value > 0 else up
    t, z = student.quantile([seeds.df, math.inf], tail)
    between = min(seeds.between, (side / t) ** 2)
    questions = math.sqrt(max(0.0, side**2 - t**2 * between)) / -z
    return found._replace(p=HalfWidth(questions, math.inf, seeds._replace(between=between)).p_value(value))


@np.errstate(divide="ignore", invalid="ignore")
def _estimate(
    rows: _Rows,
    sampling: Sampling,
    function: Callable[[np.ndarray], np.ndarray] | None = None,
    bounds: tuple[float, float] | None = None,
    test: bool = False,
    shares: bool = False,
) -> Estimate:
    """function(means of the columns), by default the first mean, with its interval and, for a `test`, its p.

    bounds: the least and greatest possible value of the one column; shares: as in `function_of_means`.
    """
    (columns, groups, seeds), function = rows, function or _first
    if len(columns) == 0:
        return NOTHING
    labels, group = np.unique(groups, return_inverse=True)
    sums, sizes = seed_variance.by_group(group, columns, len(labels))
    value = float(function(_means(sums, sizes))[0])
    if not math.isfinite(value):
        return NOTHING
    if bounds:
        sums, sizes = _with_pseudo_groups(sums, sizes, bounds)
    draws = _draws(sums, sizes, function, sampling)
    if shares and _alike(draws):
        sums, sizes = _with_discordant_pair(sums, sizes)
        draws = _draws(sums, sizes, function, sampling)
    n_groups, tail = np.count_nonzero(sizes.any(axis=1)), (1 - sampling.confidence) / 2
    known = np.isfinite(draws)
    if (not bounds and _alike(draws)) or known.mean() < 1 - tail:
        return Estimate(value, None, None)
    centre = float(function(_means(sums, sizes))[0])
    t, z = student.quantile([n_groups - 1, math.inf], tail)
    low, high = centre + t / z * (np.quantile(draws[known], [tail, 1 - tail]) - centre)
    of_seeds = seed_variance.seed_variance(columns, group, seeds, function) if _several(seeds) else SeedVariance()
    if not math.isfinite(of_seeds.between):
        return Estimate(value, None, None)
    down, up = (HalfWidth(max(0.0, side) / -t, n_groups - 1, of_seeds) for side in (value - low, high - value))
    low, high = value - down.length(tail), value + up.length(tail)
    if bounds:
        low, high = max(low, bounds[0]), min(high, bounds[1])
    return Estimate(value, low, high, (down if value > 0 else up).p_value(value) if test else None)


def _draws(sums: np.ndarray, sizes: np.ndarray, function: Callable, sampling: Sampling) -> np.ndarray:
    """The function's values over resampled groups: (draws,)."""
    d = sums.shape[1]
    drawn = bootstrap.totals(np.hstack([sums, sizes]), sampling)
    return function(drawn[:, :d] / drawn[:, d:])


def _alike(draws: np.ndarray) -> bool:
    finite = draws[np.isfinite(draws)]
    return len(finite) > 0 and np.ptp(finite) < 1e-6 * max(1.0, abs(finite[0]))


def _with_pseudo_groups(
    sums: np.ndarray, sizes: np.ndarray, bounds: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Add two pseudo-groups of mean size at middle ± d of the bounds, d = Σdᵢ²/Σdᵢ over the groups' distances dᵢ.

    The weighting makes d the distance of the groups that are off the middle, however many are on it. If all are on it,
    or there is one group, d reaches the bounds.
    """
    middle = sum(bounds) / 2
    known = sizes > 0
    off = np.abs(sums[known] / sizes[known] - middle)
    distance = np.sum(off**2) / off.sum() if len(off) > 1 and off.max() > 1e-6 else bounds[1] - middle
    size = sizes[known].mean()
    more = size * np.array([[middle - distance], [middle + distance]])
    return np.vstack([sums, more]), np.vstack([sizes, [[size], [size]]])


def _with_discordant_pair(sums: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Add two groups of mean size: in each, one of the two columns is all 1 and the other all 0."""
    size = sizes[sizes.any(axis=1)].mean(axis=0)
    return np.vstack([sums, np.diag(size)]), np.vstack([sizes, size, size])


def _means(sums: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    return (sums.sum(axis=0) / sizes.sum(axis=0))[None]


def _column(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, dtype=float)[:, None]


def _first(means: np.ndarray) -> np.ndarray:
    return means[:, 0]


def _several(labels: np.ndarray | None) -> bool:
    return labels is not None and len(np.unique(labels)) > 1
