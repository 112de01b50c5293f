"""Draws of the cluster bootstrap (Field & Welsh 2007, "Bootstrapping clustered data").

Groups of questions are drawn with replacement, as many as there are, and a
group's rows come together. What a figure needs of a group are its sums.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

# Up to so many kinds of group, drawing how often each kind comes is quicker than adding up drawn groups.
_FEW_KINDS = 3
# Drawn groups made at once: bounds the memory at a few tens of MB.
_CHUNK = 1_000_000
# Multiplications in one product: for more of them BLAS starts threads, which costs more than the product.
_PRODUCT = 200_000


@dataclass(frozen=True)
class Sampling:
    """How intervals are made: their confidence, and the bootstrap's replicates and seed."""

    confidence: float = 0.95
    replicates: int = 10_000
    seed: int = 42

    def generator(self, *name: object) -> np.random.Generator:
        """Random numbers of their own for the cell `name`: adding a cell changes no other."""
        text = "\x1f".join(map(str, (self.seed, *name)))
        return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big"))


def totals(columns: np.ndarray, sampling: Sampling, *name: object) -> np.ndarray:
    """Sums of the rows of `columns` (groups, c) over as many groups as there are, redrawn: (replicates, c)."""
    # Equal groups are of one kind, and how often each kind is drawn is multinomial: no table is needed.
    kinds, counts = _kinds(columns)
    if len(kinds) <= _FEW_KINDS:
        drawn = sampling.generator(*name).multinomial(len(columns), counts / len(columns), size=sampling.replicates)
        return drawn @ kinds
    # Every draw that is none of the other groups is one of the commonest kind: only the others are counted.
    commonest = kinds[counts.argmax()]
    others = columns[(columns != commonest).any(axis=1)] - commonest
    table = _times_drawn(len(columns), sampling.replicates, sampling.seed)[:, : len(others)]
    single, rows = others.astype(np.float32), max(1, _PRODUCT // others.size)
    parts = [table[i : i + rows].astype(np.float32) @ single for i in range(0, len(table), rows)]
    return len(columns) * commonest + np.concatenate(parts)


def _kinds(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different rows and how often each occurs, as numpy's unique over an axis, at a fifth of its time."""
    ordered = rows[np.lexsort(rows.T)]
    starts = np.flatnonzero(np.append(True, np.any(ordered[1:] != ordered[:-1], axis=1)))
    return ordered[starts], np.diff(np.append(starts, len(rows)))


@lru_cache(maxsize=4)
def _times_drawn(n: int, replicates: int, seed: int) -> np.ndarray:
    """How often each of n groups is drawn (replicates, n); a byte each, as drawing 256 times one of them is unheard of.

    Figures over as many groups share it: making it takes longer than all that is done with it.
    """
    rng = Sampling(replicates=replicates, seed=seed).generator("groups", n)
    table = np.empty((replicates, n), np.uint8)
    chunk = max(1, _CHUNK // n)
    for start in range(0, replicates, chunk):
        rows = table[start : start + chunk]
        drawn = rng.integers(n, size=rows.shape) + n * np.arange(len(rows))[:, None]
        rows[:] = np.bincount(drawn.ravel(), minlength=rows.size).reshape(rows.shape)
    return table
