"""Draws of the cluster bootstrap (Field & Welsh 2007, "Bootstrapping clustered data").

Groups of questions are drawn, and all rows of a drawn group come with it. How often a group is drawn is Poisson
distributed with mean 1, independently of the others: the Poisson bootstrap (Hanley & MacGibbon 2006, Computer Methods
and Programs in Biomedicine 83:57; Chamandy et al. 2012, "Estimating Uncertainty for Massive Data Streams"). Estimates
are functions of means, so a draw need not hold as many groups as there are, and one table of draws serves estimates
over any number of groups.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

# Multiplications per matrix product: beyond this BLAS starts threads, which cost more than the product.
_PRODUCT = 200_000


@dataclass(frozen=True)
class Sampling:
    """How intervals are computed: their confidence, and the bootstrap's replicates and seed."""

    confidence: float = 0.95
    replicates: int = 10_000
    seed: int = 42


def totals(columns: np.ndarray, sampling: Sampling) -> np.ndarray:
    """Sums of the rows of `columns` (groups, c) over resampled groups: (draws, c).

    One draw per replicate, without those that drew no group at all (1 of e^groups).
    """
    kinds, ends = _kinds(columns)
    table = _drawn_up_to(1 << max(6, int(ends[-1]).bit_length()), sampling.replicates, sampling.seed)
    # A kind (a distinct row) is drawn as often as all groups up to its end, less those up to the end before it. So
    # Σ kind × (drawn up to its end - drawn up to the end before) = Σ (kind - next kind) × drawn up to its end.
    steps = -np.diff(kinds, axis=0, append=0).astype(np.float32)
    drawn, rows = table[ends - 1], max(1, _PRODUCT // len(ends))
    parts = [drawn[:, i : i + rows].T.astype(np.float32) @ steps for i in range(0, sampling.replicates, rows)]
    return np.concatenate(parts)[drawn[-1] > 0]


def _kinds(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct rows, sorted, and the number of rows up to the end of each; np.unique over an axis, but fast."""
    ordered = rows[np.lexsort(rows.T)]
    ends = np.flatnonzero(np.append(np.any(ordered[1:] != ordered[:-1], axis=1), True)) + 1
    return ordered[ends - 1], ends


@lru_cache(maxsize=4)
def _drawn_up_to(n: int, replicates: int, seed: int) -> np.ndarray:
    """How many draws the first 1, 2, ... n groups get together: (n, replicates)."""
    drawn = np.random.default_rng([seed, n]).poisson(size=(n, replicates))
    return drawn.cumsum(axis=0, dtype=np.uint16 if n < 60_000 else np.uint32)
