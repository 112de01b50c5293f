"""The difference between the means over two groups of evaluation sets, whose questions differ.

With the mean m_j of set j, a of the sets on the first side and b on the second, it is Σ w_j m_j with w_j = 1/a or -1/b.
Questions are drawn for each set by itself, so MOVER (`intervals.macro`) adds up the sets' half-widths. The tuning seeds
are the same in all sets. What a seed changes in both sides alike leaves the difference, so the variance between seeds
is of the seeds' own differences D_s = Σ w_j m_js:

    half-width² = (questions' half-width)² + max(0, t² Var(D_s) - z² Σ w_j² R_j) / seeds

R_j is the part of the variance of m_js between seeds that is not due to the seeds (`seed_variance`). `intervals.macro`
takes the variance between seeds set by set and adds the covariance of sets where it is positive. Of a difference it is
negative, and without it the interval would be too wide.
"""

from collections.abc import Collection

import numpy as np
import polars as pl

from faithtune.measures import contrasts
from faithtune.measures.contrasts import Mean
from faithtune.measures.stats import seed_variance, student
from faithtune.measures.stats.bootstrap import Sampling
from faithtune.measures.stats.intervals import Estimate
from faithtune.measures.stats.seed_variance import HalfWidth, SeedVariance


def difference(
    values: pl.DataFrame, sampling: Sampling, first: Collection[str], second: Collection[str], bound: float = 1.0
) -> Mean:
    """Mean over the evaluation sets `first` minus the mean over `second`, with its interval and p.

    values: as `contrasts.per_question` has them; bound: their greatest possible absolute value. Sets that are not in
    `values` do not count; nothing where a side is left without any. Where the sets do not have the same seeds, these
    are taken as drawn for each set, which makes the interval too wide rather than too short.
    """
    frames = {name: frame for (name,), frame in values.group_by("eval_set", maintain_order=True)}
    sides = [[name for name in side if name in frames] for side in (first, second)]
    if not all(sides):
        return Mean()
    share = {name: sign / len(side) for side, sign in zip(sides, (1, -1), strict=True) for name in side}
    # `contrasts.mean` divides by the number of sets.
    weights = {name: weight * len(share) for name, weight in share.items()}
    values = values.filter(pl.col("eval_set").is_in(list(share)))
    seeds = [frames[name]["seed"].unique().sort() for name in share]
    if len(seeds[0]) == 1 or not all(one.equals(seeds[0]) for one in seeds):
        return contrasts.mean(values, sampling, bound, weights)
    of_questions = contrasts.mean(values.with_columns(seed=pl.lit(0, pl.Int64)), sampling, bound, weights)
    found = _with_seeds(of_questions.estimate, _between(frames, share), sampling, 2 * bound)
    return of_questions._replace(estimate=found)


def _between(frames: dict[str, pl.DataFrame], share: dict[str, float]) -> SeedVariance:
    """What the draw of seeds adds to the half-widths of the weighted sum of the sets' means."""
    means, rest = [], 0.0
    for name, weight in share.items():
        frame = frames[name].sort("seed", "id")
        _, group = np.unique(frame["group"].to_numpy(), return_inverse=True)
        columns, seeds = frame["value"].to_numpy()[:, None], frame["seed"].to_numpy()
        rest += weight**2 * seed_variance.seed_variance(columns, group, seeds, lambda mean: mean[:, 0]).rest
        means.append(weight * frame.group_by("seed").agg(pl.col("value").mean()).sort("seed")["value"].to_numpy())
    by_seed = np.sum(means, axis=0)
    return SeedVariance(float(np.var(by_seed, ddof=1)) / len(by_seed), rest, len(by_seed) - 1)


def _with_seeds(of_questions: Estimate, seeds: SeedVariance, sampling: Sampling, most: float) -> Estimate:
    """The estimate with the variance between seeds in its interval and p; most: its greatest possible size."""
    value, low, high, _ = of_questions
    tail = (1 - sampling.confidence) / 2
    z = -student.quantile(np.inf, tail)
    down, up = (HalfWidth(side / z, np.inf, seeds) for side in (value - low, high - value))
    low, high = max(value - down.length(tail), -most), min(value + up.length(tail), most)
    return Estimate(value, low, high, (down if value > 0 else up).p_value(value))
