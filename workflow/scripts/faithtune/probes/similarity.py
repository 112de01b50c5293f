"""Linear CKA of two arms' hidden states on the same questions: how far a training has moved what a layer represents.

Centred kernel alignment (Kornblith, Norouzi, Lee & Hinton 2019, "Similarity of Neural Network Representations
Revisited", §3) is HSIC(K, L) / √(HSIC(K, K) HSIC(L, L)) of the Gram matrices K = XXᵀ and L = YYᵀ of states X and Y. It
is 1 where Y is X but for a rotation, a factor and a shift.

HSIC is estimated without bias (Song et al. 2012, JMLR 13:1393, eq. 5), as Nguyen, Raghu & Kornblith 2021
(arXiv 2010.15327, §3) do for CKA. The usual estimator is biased upwards where there are fewer questions than
dimensions, as here: states without any relation come near 1, because each question is more similar to itself than to
all others in both arms. The price is that an estimate can be below 0.

Descriptive only: a few dimensions of large variance dominate CKA.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# Fewer questions have no unbiased estimate.
LEAST = 4
# Draws that are in memory at a time.
_PIECE = 200


def compare_states(
    first: np.ndarray,
    second: np.ndarray,
    groups: Sequence[str],
    seed: int,
    confidence: float = 0.95,
    replicates: int = 1000,
) -> list[dict]:
    """{"layer", "cka", "low", "high"} of each layer; "layer" is its index.

    first, second: states (n, layers, width), of one number of layers and maybe of two widths; groups: n labels.
    low, high: percentile interval of `replicates` Poisson bootstraps of groups. In simulated states whose variances
    fall as 1/i it is 0.95 to 1.2 times as wide as estimates vary (30 to 400 questions), and up to 1.8 times where
    variances are equal. All are None where there are fewer than 4 questions or where all states are the same, as before
    the first layer if the token is the same; low and high are None where less than `confidence` of the draws have an
    estimate.
    """
    labels, group = np.unique(np.asarray(groups), return_inverse=True)
    drawn = np.random.default_rng(seed).poisson(size=(len(labels), replicates))[group].astype(float)
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    rows = []
    for layer in range(first.shape[1]):
        row = {"layer": layer, "cka": None, "low": None, "high": None}
        grams = [_gram(states[:, layer]) for states in (first, second)]
        if len(group) >= LEAST and all(gram.any() for gram in grams):
            [value] = _cka(*grams, np.ones((len(group), 1)))
            draws = np.concatenate([_cka(*grams, drawn[:, i : i + _PIECE]) for i in range(0, replicates, _PIECE)])
            known = draws[np.isfinite(draws)]
            if np.isfinite(value):
                row["cka"] = float(value)
                if len(known) >= confidence * replicates:
                    low, high = np.quantile(known, tails)
                    row |= {"low": min(float(low), row["cka"]), "high": max(float(high), row["cka"])}
        rows.append(row)
    return rows


def _gram(states: np.ndarray) -> np.ndarray:
    """Inner products of the centred states (n, width), the diagonal 0; all 0 if the states do not differ."""
    states = states.astype(np.float64)
    centred = states - states.mean(axis=0)
    if np.abs(centred).max(initial=0.0) <= 1e-12 * np.abs(states).max(initial=0.0):  # rounding of the mean
        return np.zeros((len(states), len(states)))
    gram = centred @ centred.T
    np.fill_diagonal(gram, 0.0)
    return gram


@np.errstate(divide="ignore", invalid="ignore")
def _cka(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """CKA of Gram matrices (n, n) in each draw; weights: (n, draws), how often a question is drawn. NaN: undefined."""
    counts = _Counts.of(weights)
    cross, one, other = (_hsic(*pair, weights, counts) for pair in ((first, second), (first, first), (second, second)))
    return np.where((one > 0) & (other > 0), np.minimum(cross / np.sqrt(one * other), 1.0), np.nan)


class _Counts(NamedTuple):
    """Ordered pairs, triples and quadruples of distinct questions in each draw, weighted."""

    pairs: np.ndarray
    triples: np.ndarray
    quadruples: np.ndarray

    @classmethod
    def of(cls, weights: np.ndarray) -> "_Counts":
        one, two, three, four = (np.sum(weights**power, axis=0) for power in (1, 2, 3, 4))
        return cls(
            one**2 - two,
            one**3 - 3 * one * two + 2 * three,
            one**4 - 6 * one**2 * two + 3 * two**2 + 8 * one * three - 6 * four,
        )


def _hsic(first: np.ndarray, second: np.ndarray, weights: np.ndarray, counts: _Counts) -> np.ndarray:
    """The unbiased HSIC in each draw: means of K_ij L_ij - 2 K_ij L_ik + K_ij L_kl over distinct i, j, k, l.

    A question that is drawn twice is no pair with itself: it would be as similar to itself in both arms, which is the
    bias that this estimator is without. With all weights 1 this is eq. 5 of Song et al.
    """
    squares, product = weights**2, first * second
    of_first, of_second, of_product = first @ weights, second @ weights, product @ squares
    pairs = np.sum(weights * (product @ weights), axis=0)
    joined = of_first * of_second - of_product  # Σ K_ij L_ik over j ≠ k, for each i
    triples = np.sum(weights * joined, axis=0)
    apart = np.sum(weights * of_first, axis=0) * np.sum(weights * of_second, axis=0)
    quadruples = apart - 4 * np.sum(squares * joined, axis=0) - 2 * np.sum(squares * of_product, axis=0)
    return pairs / counts.pairs - 2 * triples / counts.triples + quadruples / counts.quadruples
