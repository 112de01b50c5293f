"""A cell of the tables: where an estimate stands, and the row of ESTIMATES it becomes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from faithtune import significance, statistics
from faithtune.bootstrap import Sampling
from faithtune.statistics import Estimate

# What stands for an evaluation set in rows that are means over them.
AVERAGES = ("average", "average_out_of_domain")


@dataclass(frozen=True)
class Cell:
    """One arm on one evaluation set, by `dataclasses.replace` in one test at one α.

    The methods take a frame with the columns `group` and `seed` (of the tuning; null for
    an arm that has none), leave out the rows whose value is null and return a row of
    ESTIMATES; `counts` are its other columns (n replaces the number of values). Beside those it
    has `by_seed`, each seed's own mean, which the averages need.
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
        """A row of ESTIMATES; what is not given is null."""
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
        """Share of the rows for which `hit` (boolean) is true."""
        hits, groups, seeds = self._values(frame, hit.cast(pl.Float64))
        estimate = statistics.share(hits, groups, *self._named(metric), seeds=seeds)
        return self.row(metric, estimate, **{"n": len(hits), "by_seed": _by_seed(hits, seeds), **counts})

    def mean(
        self,
        metric: str,
        frame: pl.DataFrame,
        value: pl.Expr,
        bounds: tuple[float, float] | None = None,
        **counts: int,
    ) -> dict:
        """Mean of `value` (numeric), which lies within `bounds` where they are given."""
        values, groups, seeds = self._values(frame, value.cast(pl.Float64))
        estimate = statistics.mean(values, groups, *self._named(metric), bounds=bounds, seeds=seeds)
        return self.row(metric, estimate, **{"n": len(values), "by_seed": _by_seed(values, seeds), **counts})

    def median(self, metric: str, frame: pl.DataFrame, value: pl.Expr) -> dict:
        """Median of `value` (numeric)."""
        values, groups, _ = self._values(frame, value.cast(pl.Float64))
        return self.row(metric, statistics.median(values, groups, *self._named(metric)), n=len(values))

    def effect(self, metric: str, frame: pl.DataFrame, change: pl.Expr, **counts: float) -> dict:
        """Mean of `change`, a paired difference within -1 … 1; with its p and minimum detectable effect."""
        changes, groups, seeds = self._values(frame, change.cast(pl.Float64))
        estimate = statistics.effect(changes, groups, *self._named(metric), seeds=seeds)
        detectable = significance.minimum_detectable(estimate, self.sampling.confidence)
        found = {"n": len(changes), "p": estimate.p, "mde": detectable, "by_seed": _by_seed(changes, seeds)}
        return self.row(metric, estimate, **found, **counts)

    def function(
        self, metric: str, frame: pl.DataFrame, columns: list[pl.Expr], function: Callable[[np.ndarray], np.ndarray]
    ) -> dict:
        """`function` of the means of several `columns` of the same questions, each over those where it is known.

        The function takes an array (draws, columns) and returns one (draws,).
        """
        values = frame.select(*(column.cast(pl.Float64).alias(str(i)) for i, column in enumerate(columns)))
        groups, seeds = frame["group"].to_numpy(), frame["seed"].to_numpy()
        estimate = statistics.function_of_means(
            values.to_numpy(), groups, self.sampling, function, *self._named(metric)[1:], seeds=seeds
        )
        complete = values.drop_nulls().height
        return self.row(metric, estimate, n=complete)

    def _values(self, frame: pl.DataFrame, value: pl.Expr) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        frame = frame.select("group", "seed", value=value).drop_nulls("value")
        return frame["value"].to_numpy(), frame["group"].to_numpy(), frame["seed"].fill_null(0).to_numpy()

    def _named(self, metric: str) -> tuple:
        return (self.sampling, self.model, self.arm, self.eval_set, self.test, self.alpha, self.k, metric)


def _by_seed(values: np.ndarray, seeds: np.ndarray) -> list[float]:
    return [float(values[seeds == seed].mean()) for seed in np.unique(seeds)]
