"""Exact p-values, their correction over a table, and what a study could have found."""

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from faithtune.measures.stats.intervals import Estimate


def mcnemar_p(first: np.ndarray, second: np.ndarray) -> float | None:
    """Two-sided p of the exact McNemar test that n paired booleans are equally often true.

    It takes pairs as independent: where groups repeat, or seeds are pooled, it is
    too small, and the p of `intervals.effect` is the one to use.
    """
    first, second = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if len(first) == 0:
        return None
    from statsmodels.stats.contingency_tables import mcnemar  # seconds to import: only where it is used

    table = [[np.sum((first == a) & (second == b)) for b in (True, False)] for a in (True, False)]
    return float(mcnemar(table, exact=True).pvalue)


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """The p-values of a table's cells, adjusted by Holm's (1979) method; None stays None and is no test."""
    from statsmodels.stats.multitest import multipletests  # seconds to import: only where it is used

    tested = [p for p in ps if p is not None]
    adjusted = iter(multipletests(tested, method="holm")[1] if tested else [])
    return [None if p is None else float(next(adjusted)) for p in ps]


def minimum_detectable(estimate: Estimate, confidence: float, power: float = 0.8) -> float | None:
    """The true effect that a study of this size finds with `power`, at `confidence`; None without an interval.

    (z of the confidence + z of the power) × standard error (Bloom 1995, Evaluation Review
    19:547), the standard error from the width of the interval.
    """
    if estimate.low is None or estimate.high is None:
        return None
    z = ndtri((1 + confidence) / 2)
    return float((z + ndtri(power)) * (estimate.high - estimate.low) / (2 * z))
