"""A cell of the tables: what an estimate is about, and the row of ESTIMATES it becomes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from faithtune.measures.stats import intervals, significance
from faithtune.measures.stats.bootstrap import Sampling
from faithtune.measures.stats.intervals import Estimate

# The `eval_set` of rows that are means over the evaluation sets.
AVERAGES = ("average", "average_out_of_domain")


@dataclass(frozen=True)
class Cell:
    """One arm on one evaluation set; `dataclasses.replace` narrows it to a test, an α or a k.

    Each method takes a frame with the columns `group` and `seed` (of the tuning; null for an arm without), ignores the
    rows whose value is null, and returns a row of ESTIMATES. `counts` sets further columns of the row; n in it replaces
    the number of values. The row also has `by_seed`, the mean of each seed, which averages need.
    """

    sampling: Sampling
    model: str
    arm: str
    train_set: str | None
    eval_set: str
    seeds: int = 1
    test: str | None = None
    alpha: float | None = None
    k: int | None = None

    def row(self, metric: str, estimate: Estimate, **counts: float | None) -> dict:
        """A row of ESTIMATES; columns that are not given are null."""
        return {
            "model": self.model,
            "arm": self.arm,
            "train_set": self.train_set,
            "eval_set": self.eval_set,
            "test": self.test,
            "alpha": self.alpha,
            "k": self.k,
            "metric": metric,
            "estimate": estimate.value,
            "low": estimate.low,
            "high": estimate.high,
            "seeds": self.seeds,
            **counts,
        }

    def share(self, metric: str, frame: pl.DataFrame, hit: pl.Expr, **counts: int) -> dict:
        """Share of the rows where `hit` (boolean) is true."""
        hits, groups, seeds = _columns(frame, hit)
        estimate = intervals.share(hits, groups, self.sampling, seeds=seeds)
        return self.row(metric, estimate, **_counted(hits, seeds) | counts)

    def mean(
        self,
        metric: str,
        frame: pl.DataFrame,
        value: pl.Expr,
        bounds: tuple[float, float] | None = None,
        **counts: int,
    ) -> dict:
        """Mean of `value` (numeric), whose least and greatest possible values are `bounds` where given."""
        values, groups, seeds = _columns(frame, value)
        estimate = intervals.mean(values, groups, self.sampling, bounds=bounds, seeds=seeds)
        return self.row(metric, estimate, **_counted(values, seeds) | counts)

    def median(self, metric: str, frame: pl.DataFrame, value: pl.Expr) -> dict:
        """Median of `value` (numeric); with pooled seeds the interval covers the draw of questions alone."""
        values, groups, _ = _columns(frame, value)
        known = ~np.isnan(values)
        estimate = intervals.median(values[known], groups[known], self.sampling)
        return self.row(metric, estimate, n=int(known.sum()))

    def effect(
        self, metric: str, frame: pl.DataFrame, change: pl.Expr, bound: float | None = 1.0, **counts: float
    ) -> dict:
        """Mean of `change`, a paired difference within ± `bound`, with its p and minimum detectable effect.

        bound: None where it has none; changes that do not differ then have no interval.
        """
        changes, groups, seeds = _columns(frame, change)
        scale, bounds = (bound, (-1.0, 1.0)) if bound else (1.0, None)
        estimate = intervals.effect(changes / scale, groups, self.sampling, seeds, bounds).scaled(scale)
        detectable = significance.minimum_detectable(estimate, self.sampling.confidence)
        found = {"p": estimate.p, "mde": detectable, **_counted(changes, seeds)}
        return self.row(metric, estimate, **found | counts)

    def function(
        self, metric: str, frame: pl.DataFrame, columns: list[pl.Expr], function: Callable[[np.ndarray], np.ndarray]
    ) -> dict:
        """`function` of the shares of two boolean `columns`, both over the rows where both are known.

        The function maps an array (draws, columns) to an array (draws,).
        """
        parts = [_columns(frame, column) for column in columns]
        values, (_, groups, seeds) = np.column_stack([part[0] for part in parts]), parts[0]
        values[np.isnan(values).any(axis=1)] = np.nan  # shares over different questions could not be compared
        estimate = intervals.function_of_means(values, groups, self.sampling, function, shares=True, seeds=seeds)
        return self.row(metric, estimate, n=int((~np.isnan(values).any(axis=1)).sum()))


def count_missing(frame: pl.DataFrame, *outcomes: str, chains: bool = False) -> dict[str, int]:
    """{"n_unanswered", "n_truncated"}: how many rows have that outcome in any column of `outcomes` (default: outcome).

    chains: count chains (`id` and `seed`) with such a row instead of rows.
    """
    why = {"n_unanswered": "unanswered", "n_truncated": "truncated"}
    columns = outcomes or ("outcome",)
    rows = frame.with_columns(pl.any_horizontal(pl.col(columns) == of).alias(name) for name, of in why.items())
    if chains:
        rows = rows.group_by("id", "seed").agg(pl.col(*why).any())
    return {name: int(rows[name].sum()) for name in why}


def _columns(frame: pl.DataFrame, value: pl.Expr) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values (NaN: missing), groups and seeds of all rows: estimates over the same rows share their draws."""
    frame = frame.select("group", pl.col("seed").fill_null(0), value=value.cast(pl.Float64).fill_null(float("nan")))
    return frame["value"].to_numpy(), frame["group"].to_numpy(), frame["seed"].to_numpy()


def _counted(values: np.ndarray, seeds: np.ndarray) -> dict:
    known = ~np.isnan(values)
    by_seed = [float(values[known & (seeds == seed)].mean()) for seed in np.unique(seeds[known])]
    return {"n": int(known.sum()), "by_seed": by_seed}
