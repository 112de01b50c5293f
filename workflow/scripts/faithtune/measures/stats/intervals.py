"""Intervals for shares, means and paired effects.

Questions of one group share a context and are not independent, so groups are
resampled (`bootstrap`), never single questions. The percentile interval is too
short for few groups and has no width where nothing differs. Two corrections, both
gone in large samples (tests/benchmarks/STATISTICS.md has the coverage measured):

* Two groups are added, as far above and below the centre of the values' bounds as those
  groups are that are off it. For pairs of yes/no answers this is one discordant pair of
  either kind, as Bonett & Price (2012, Journal of Educational and Behavioral
  Statistics 37:479) add. Values without bounds get no such groups.
* Both sides are stretched by t/z for G groups, after Hesterberg (2015, The American
  Statistician 69:371), who moves the percentiles to the same end. His √(G/(G-1)) is not needed: the
  Poisson bootstrap's number of drawn groups differs, which is as much.

A share of questions that are all alone in their group gets Wilson's score interval.
Where several tuning seeds are pooled, `seed_variance` adds what the draw of seeds does.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from faithtune.measures.stats import bootstrap, seed_variance
from faithtune.measures.stats.bootstrap import Sampling
from faithtune.measures.stats.seed_variance import Seeds, Side


class Estimate(NamedTuple):
    """A number, its interval, and of an effect the p that it is 0; None where the data say nothing."""

    value: float | None
    low: float | None
    high: float | None
    p: float | None = None

    def scaled(self, factor: float, shift: float = 0.0) -> "Estimate":
        """shift + factor × the number, its interval likewise (ends swapped where factor < 0), with the same p."""
        value, low, high = (None if x is None else shift + factor * x for x in self[:3])
        return Estimate(value, low, high, self.p) if factor >= 0 else Estimate(value, high, low, self.p)


NOTHING = Estimate(None, None, None)


def share(hits: np.ndarray, groups: np.ndarray, sampling: Sampling, seeds: np.ndarray | None = None) -> Estimate:
    """Share of `hits` (n of 0, 1 or NaN) in questions of `groups` (n labels), of tuning seeds `seeds` (n; None: one).

    NaN is missing. Wilson's score interval (Wilson 1927) if no group repeats, else the cluster bootstrap.
    """
    hits = np.asarray(hits, dtype=float)
    if len(np.unique(groups)) < len(hits) or _several(seeds):
        return mean(hits, groups, sampling, bounds=(0.0, 1.0), seeds=seeds)
    hits = hits[~np.isnan(hits)]
    if len(hits) == 0:
        return NOTHING
    from statsmodels.stats.proportion import proportion_confint  # two seconds to import: only where it is used

    low, high = proportion_confint(hits.sum(), len(hits), alpha=1 - sampling.confidence, method="wilson")
    value = float(hits.mean())
    return Estimate(value, min(float(low), value), max(float(high), value))  # none hit: low comes out as 3e-17


def mean(
    values: np.ndarray,
    groups: np.ndarray,
    sampling: Sampling,
    bounds: tuple[float, float] | None = None,
    seeds: np.ndarray | None = None,
) -> Estimate:
    """Mean of `values` (n; NaN is missing), cluster bootstrap; groups and seeds as in `share`.

    Missing values may be left out as well; where groups repeat, that is slower: figures over the
    same groups share their draws. bounds: the least and greatest value possible. Without them,
    values that do not differ have no interval.
    """
    return _estimate(_column(values), groups, sampling, _first, bounds, seeds)


def effect(changes: np.ndarray, groups: np.ndarray, sampling: Sampling, seeds: np.ndarray | None = None) -> Estimate:
    """Mean of `changes` (n, -1 … 1 or NaN), the paired differences of questions, as `mean`, with its p.

    p is the interval's (`sides.Side.p_value`): p < 0.05 where the 95 % interval leaves 0 out. Flipping the
    signs of whole groups would be an exact test, but one that contradicts the interval beside
    it in close cases and knows nothing of seeds.
    """
    return _estimate(_column(changes), groups, sampling, _first, (-1.0, 1.0), seeds, test=True)


def function_of_means(
    columns: np.ndarray,
    groups: np.ndarray,
    sampling: Sampling,
    function: Callable[[np.ndarray], np.ndarray],
    shares: bool = False,
    seeds: np.ndarray | None = None,
) -> Estimate:
    """function(means of the d `columns`), all resampled together; groups and seeds as in `share`.

    columns: (n, d); NaN is missing, and a mean is over its own values.
    function: (draws, d) → (draws,), smooth. NOTHING where it has no value at the means; no interval
    where it has none in more draws than a tail holds, or the same in all.
    shares: there are two columns, of yes and no. Where all draws have the same value, two groups are
    added, each with one column all yes and the other all no.
    """
    columns = np.asarray(columns, dtype=float)
    return _estimate(columns, groups, sampling, function, None, seeds, shares=shares)


def median(values: np.ndarray, groups: np.ndarray, sampling: Sampling) -> Estimate:
    """Median of `values` (n) in questions of `groups` (n labels).

    Woodruff's interval (1952, JASA 47:635): that of the share of values in the lower half, by
    `share` with its groups, read off the ordered values. Of pooled seeds' rows it
    covers the draw of questions only.
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


def macro(estimates: Sequence[Estimate], confidence: float = 0.95, by_seed: np.ndarray | None = None) -> Estimate:
    """Unweighted mean of estimates, one an evaluation set, their questions all different.

    Its interval is recovered from theirs by MOVER (Zou & Donner 2008, Statistics
    in Medicine 27:1693): a side is the root of the sum of their squared sides. NOTHING where one of
    them is missing: means over different sets could not be compared.
    by_seed: each pooled seed's mean on each set (seeds, sets). Sets share the seeds, so
    their covariance between seeds, where it is positive, is added to the squared sides.
    p, where all estimates have one, is that of the mean's interval, no combination of theirs.
    """
    if not estimates or any(x is None for estimate in estimates for x in estimate[:3]):
        return NOTHING
    n, tail = len(estimates), (1 - confidence) / 2
    values, lows, highs = np.array([estimate[:3] for estimate in estimates]).T
    value, down, up = (float(x) / n for x in (values.sum(), math.hypot(*values - lows), math.hypot(*highs - values)))
    seeds = Seeds()
    if by_seed is not None and len(by_seed) > 1:
        k = len(by_seed)
        seeds = Seeds(float(np.var(np.mean(by_seed, axis=1), ddof=1)) / k, 0.0, k - 1)
        covariance = max(0.0, seeds.between - np.var(by_seed, axis=0, ddof=1).sum() / n**2 / k)
        down, up = (math.hypot(side, Side(math.sqrt(covariance), k - 1).length(tail)) for side in (down, up))
    found = Estimate(value, value - down, value + up)
    if any(estimate.p is None for estimate in estimates):
        return found
    # How much of a side is the seeds' is not told by the estimates: all that can be, so that p is not too small.
    side = down if value > 0 else up
    t, z = stdtrit([seeds.df, math.inf], tail)
    between = min(seeds.between, (side / t) ** 2)
    questions = math.sqrt(max(0.0, side**2 - t**2 * between)) / -z
    return found._replace(p=Side(questions, math.inf, seeds._replace(between=between)).p_value(value))


@np.errstate(divide="ignore", invalid="ignore")
def _estimate(
    columns: np.ndarray,
    groups: np.ndarray,
    sampling: Sampling,
    function: Callable[[np.ndarray], np.ndarray],
    bounds: tuple[float, float] | None,
    seeds: np.ndarray | None,
    test: bool = False,
    shares: bool = False,
) -> Estimate:
    """function(means of `columns`) with its interval, of one column where `bounds` are given, and p where `test`."""
    if len(columns) == 0:
        return NOTHING
    labels, group = np.unique(groups, return_inverse=True)
    sums, sizes = seed_variance.by_group(group, columns, len(labels))
    value = float(function(_means(sums, sizes))[0])
    if not math.isfinite(value):
        return NOTHING
    if bounds:
        sums, sizes = _with_two_more(sums, sizes, bounds)
    draws = _draws(sums, sizes, function, sampling)
    if shares and _alike(draws):
        sums, sizes = _with_two_discordant(sums, sizes)
        draws = _draws(sums, sizes, function, sampling)
    n_groups, tail = np.count_nonzero(sizes.any(axis=1)), (1 - sampling.confidence) / 2
    known = np.isfinite(draws)
    if (not bounds and _alike(draws)) or known.mean() < 1 - tail:
        return Estimate(value, None, None)
    centre = float(function(_means(sums, sizes))[0])
    t, z = stdtrit([n_groups - 1, math.inf], tail)
    low, high = centre + t / z * (np.quantile(draws[known], [tail, 1 - tail]) - centre)
    of_seeds = seed_variance.seeds_of(columns, group, seeds, function) if _several(seeds) else Seeds()
    if not math.isfinite(of_seeds.between):
        return Estimate(value, None, None)
    down, up = (Side(max(0.0, side) / -t, n_groups - 1, of_seeds) for side in (value - low, high - value))
    low, high = value - down.length(tail), value + up.length(tail)
    if bounds:
        low, high = max(low, bounds[0]), min(high, bounds[1])
    return Estimate(value, low, high, (down if value > 0 else up).p_value(value) if test else None)


def _draws(sums: np.ndarray, sizes: np.ndarray, function: Callable, sampling: Sampling) -> np.ndarray:
    """The function's values in redrawn groups."""
    d = sums.shape[1]
    drawn = bootstrap.totals(np.hstack([sums, sizes]), sampling)
    return function(drawn[:, :d] / drawn[:, d:])


def _alike(draws: np.ndarray) -> bool:
    finite = draws[np.isfinite(draws)]
    return len(finite) > 0 and np.ptp(finite) < 1e-6 * max(1.0, abs(finite[0]))


def _with_two_more(sums: np.ndarray, sizes: np.ndarray, bounds: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Two groups of mean size more, either side of the middle of `bounds`.

    Their distance from it is the mean distance of the groups, each weighted by its own: that of
    those that are off the middle, however many are on it. It is that of the bounds where all
    are on it, and for a group alone, of which nothing is known but its own.
    """
    middle = sum(bounds) / 2
    there = sizes > 0
    off = np.abs(sums[there] / sizes[there] - middle)
    distance = np.sum(off**2) / off.sum() if len(off) > 1 and off.max() > 1e-6 else bounds[1] - middle
    size = sizes[there].mean()
    more = size * np.array([[middle - distance], [middle + distance]])
    return np.vstack([sums, more]), np.vstack([sizes, [[size], [size]]])


def _with_two_discordant(sums: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two groups of mean size more: in each, one of the two columns is all yes and the other all no."""
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
