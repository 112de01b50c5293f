"""Numbers of an arm as a whole, over its tuning seeds.

They come with an interval, or without one, and a mean over seeds has no questions to resample. Seeds share their
questions, so their own half-widths do not average out, and the variance between seeds comes on top:
half-width² = (mean of the half-widths)² + t² s² / seeds, with seeds - 1 degrees of freedom.
"""

import math
from collections.abc import Iterator, Sequence

import polars as pl

from faithtune.core.schemas.probes import PROBES
from faithtune.measures.inside import decoding
from faithtune.measures.inside.decoding import Side
from faithtune.measures.inside.values import KEYS
from faithtune.measures.stats.bootstrap import Sampling
from faithtune.measures.stats.intervals import NOTHING, Estimate
from faithtune.measures.stats.seed_variance import HalfWidth, SeedVariance
from faithtune.measures.stats.student import quantile
from faithtune.probes.registry import LEVEL, MEASURES

# What is estimated: the columns KEYS of INSIDE, the estimate, and the number of questions where it is known.
Found = Iterator[tuple[dict, Estimate, int | None]]
# These also have a mean over layers, or over modules.
_AVERAGED = ("cka", "effective_rank")


def numbers(frame: pl.DataFrame, sampling: Sampling) -> Found:
    """The numbers without an id in PROBES, with a column `seed`."""
    rows = frame.filter(pl.col("id").is_null())
    rows = rows.with_columns(alpha=pl.lit(None, pl.Float64), value=pl.col("value").fill_nan(None))
    several = rows.filter(pl.col("measure").is_in(_AVERAGED), pl.any_horizontal(pl.col("part", "layer").is_not_null()))
    over_all = several.with_columns(pl.lit(None, PROBES[name]).alias(name) for name in ("part", "layer", "low", "high"))
    # Modules of one kind in one layer, such as experts, are one row of their mean.
    by_seed = pl.concat([rows, over_all]).group_by(*KEYS, "seed", maintain_order=True)
    by_seed = by_seed.agg(pl.col("value", "low", "high").mean())
    for keys, seeds in by_seed.group_by(KEYS, maintain_order=True):
        key = dict(zip(KEYS, keys, strict=True))
        yield key, mean_of_seeds(seeds, MEASURES[key["measure"]].bounds, sampling, LEVEL), None


def decoded(sides: Sequence[Side], base: Side | None, sampling: Sampling) -> Found:
    """The AUC of the linear probes of an arm's seeds; with `base` its change by tuning.

    n: questions, of a change those that both arms answer, times seeds.
    """
    if not sides:
        return
    if base is None:
        frames, bounds = [decoding.estimate_auc(side, sampling).rename({"auc": "value"}) for side in sides], (0.0, 1.0)
    else:
        frames = [decoding.compare_auc(side, base, sampling).rename({"change": "value"}) for side in sides]
        bounds = (-1.0, 1.0)
    for (part, layer), seeds in pl.concat(frames).group_by("part", "layer", maintain_order=True):
        key = dict.fromkeys(KEYS) | {"measure": "linear_auc", "part": part, "layer": layer}
        yield (
            key,
            mean_of_seeds(seeds, bounds, sampling, sampling.confidence, test=base is not None),
            int(seeds["n"].sum()),
        )


def mean_of_seeds(
    seeds: pl.DataFrame,
    bounds: tuple[float, float] | None,
    sampling: Sampling,
    level: float,
    test: bool = False,
) -> Estimate:
    """The mean over seeds, as the module says, within the bounds; for a `test` with its p.

    seeds: value, low and high of each; null where unknown; level: of these intervals.
    """
    seeds, tail = seeds.drop_nulls("value"), (1 - sampling.confidence) / 2
    if seeds.is_empty():
        return NOTHING
    value, n, has_interval = float(seeds["value"].mean()), seeds.height, not seeds["low"].null_count()
    if n == 1 and not has_interval:
        return Estimate(value, None, None)
    between = SeedVariance(float(seeds["value"].var()) / n, 0.0, n - 1) if n > 1 else SeedVariance()
    sides = [float((seeds[name] - seeds["value"]).abs().mean()) if has_interval else 0.0 for name in ("low", "high")]
    down, up = (HalfWidth(side / -quantile(math.inf, (1 - level) / 2), math.inf, between) for side in sides)
    found = Estimate(value, value - down.length(tail), value + up.length(tail))
    p = (down if value > 0 else up).p_value(value) if test else None
    return cut(found, bounds)._replace(p=p)


def cut(estimate: Estimate, bounds: tuple[float, float] | None) -> Estimate:
    """The estimate with its interval inside the bounds."""
    if bounds is None or estimate.low is None:
        return estimate
    return estimate._replace(low=max(estimate.low, bounds[0]), high=min(estimate.high, bounds[1]))
