"""A cell of the tables: where an estimate stands, and the row of ESTIMATES it becomes."""

from dataclasses import dataclass

import polars as pl

from faithtune import statistics
from faithtune.statistics import Estimate, Sampling

# What stands for an evaluation set in rows that are means over them.
AVERAGES = ("average", "average_out_of_domain")


@dataclass(frozen=True)
class Cell:
    """One arm on one evaluation set, by `dataclasses.replace` in one test at one α.

    The methods take a frame with a column `group`, leave out the questions whose
    value is null and return a row; `counts` are its other columns (n replaces the
    number of values).
    """

    sampling: Sampling
    model: str
    arm: str
    train_set: str | None
    eval_set: str
    test: str | None = None
    alpha: float | None = None

    def row(self, metric: str, estimate: Estimate, **counts: int | None) -> dict:
        """A row of ESTIMATES; counts not given are null."""
        return {
            "model": self.model,
            "arm": self.arm,
            "train_set": self.train_set,
            "eval_set": self.eval_set,
            "test": self.test,
            "alpha": self.alpha,
            "metric": metric,
            "estimate": estimate.value,
            "low": estimate.low,
            "high": estimate.high,
            **counts,
        }

    def share(self, metric: str, frame: pl.DataFrame, hit: pl.Expr, **counts: int) -> dict:
        """Share of the questions for which `hit` (boolean) is true."""
        frame = frame.select("group", hit=hit).drop_nulls("hit")
        estimate = statistics.share(frame["hit"].to_numpy(), frame["group"].to_numpy(), *self._named(metric))
        return self.row(metric, estimate, **{"n": frame.height, **counts})

    def mean(
        self,
        metric: str,
        frame: pl.DataFrame,
        value: pl.Expr,
        bounds: tuple[float, float] | None = None,
        **counts: int,
    ) -> dict:
        """Mean of `value` (numeric), which lies within `bounds` where they are given."""
        frame = frame.select("group", value=value.cast(pl.Float64)).drop_nulls("value")
        values, groups = frame["value"].to_numpy(), frame["group"].to_numpy()
        estimate = statistics.mean(values, groups, *self._named(metric), bounds=bounds)
        return self.row(metric, estimate, **{"n": frame.height, **counts})

    def effect(self, metric: str, frame: pl.DataFrame, change: pl.Expr, **counts: int) -> dict:
        """Mean of `change`, a difference of two shares or answers of one question (-1 … 1)."""
        return self.mean(metric, frame, change, bounds=(-1.0, 1.0), **counts)

    def _named(self, metric: str) -> tuple:
        return (self.sampling, self.model, self.arm, self.eval_set, self.test, self.alpha, metric)
