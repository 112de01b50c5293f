"""The exact McNemar test, Holm's correction over a table, and minimum detectable effects.

The p of other effects comes from their interval: `intervals.effect`.
"""

import math
from collections.abc import Sequence

import numpy as np

from faithtune.measures.stats import student
from faithtune.measures.stats.intervals import Estimate


def mcnemar_p(first: np.ndarray, second: np.ndarray) -> float | None:
    """Two-sided p of the exact McNemar test that n paired booleans are equally often true; None for n = 0.

    Pairs must be independent. Where groups repeat or seeds are pooled, this p is too small: use `intervals.effect`.
    """
    first, second = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if len(first) == 0:
        return None
    from statsmodels.stats.contingency_tables import mcnemar  # imported here: it takes seconds

    table = [[np.sum((first == a) & (second == b)) for b in (True, False)] for a in (True, False)]
    return float(mcnemar(table, exact=True).pvalue)


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """p-values adjusted by Holm's (1979) method; None is not counted as a test and stays None.

    statsmodels' `multipletests` gives the same numbers, but its import takes a second in the job of every table.
    """
    tested = np.array([p for p in ps if p is not None])
    order = np.argsort(tested)
    adjusted = np.empty_like(tested)
    adjusted[order] = np.minimum(np.maximum.accumulate(tested[order] * np.arange(len(tested), 0, -1)), 1)
    found = iter(adjusted)
    return [None if p is None else float(next(found)) for p in ps]


def correct_detectable(detectable: float, confidence: float, tests: int, power: float = 0.8) -> float:
    """`minimum_detectable` where the effect is one of so many tests, as the first step of Holm's method has it.

    There p must be below (1 - confidence) / tests, so the effect must be larger.
    """
    level = (1 - confidence) / 2
    z, z_corrected, z_power = (-student.quantile(math.inf, share) for share in (level, level / tests, 1 - power))
    return float(detectable * (z_corrected + z_power) / (z + z_power))


def minimum_detectable(estimate: Estimate, confidence: float, power: float = 0.8) -> float | None:
    """The true effect that a study of this size would find with `power`, at `confidence`; None without an interval.

    (z of the confidence + z of the power) × standard error (Bloom 1995, Evaluation Review 19:547), with the standard
    error taken from the width of the interval.
    """
    if estimate.low is None or estimate.high is None:
        return None
    z, z_power = (student.quantile(math.inf, share) for share in ((1 + confidence) / 2, power))
    return float((z + z_power) * (estimate.high - estimate.low) / (2 * z))
