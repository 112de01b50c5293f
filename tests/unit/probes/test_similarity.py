"""CKA of states with a known relation, against the definition by loops over questions."""

import itertools

import numpy as np
import pytest

from faithtune.probes import similarity

N, WIDTH = 40, 24


def states(seed: int, n: int = N, width: int = WIDTH) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 1, width)).astype(np.float32)


def groups(n: int = N, members: int = 2) -> list[str]:
    return [str(i // members) for i in range(n)]


def one(first: np.ndarray, second: np.ndarray, of: list[str] | None = None) -> dict:
    [row] = similarity.compare_states(first, second, of or groups(len(first)), seed=1)
    return row


def hsic(first: np.ndarray, second: np.ndarray) -> float:
    """Song et al. 2012, eq. 5, of centred Gram matrices."""
    n = len(first)
    k, other = (np.array(gram) for gram in (first, second))
    np.fill_diagonal(k, 0)
    np.fill_diagonal(other, 0)
    ends = k.sum() * other.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * k.sum(axis=0) @ other.sum(axis=0)
    return ((k * other).sum() + ends) / (n * (n - 3))


def expected(first: np.ndarray, second: np.ndarray) -> float:
    k, other = (x[:, 0].astype(float) @ x[:, 0].astype(float).T for x in (first, second))
    return hsic(k, other) / np.sqrt(hsic(k, k) * hsic(other, other))


def by_loops(k: np.ndarray, other: np.ndarray, weights: np.ndarray) -> float:
    """The unbiased HSIC as means over distinct questions, each tuple as often as its questions were drawn."""
    found = np.zeros((3, 2))
    for i, j, a, b in itertools.permutations(range(len(k)), 4):
        found[2] += np.array([k[i, j] * other[a, b], 1]) * weights[[i, j, a, b]].prod()
    for i, j, a in itertools.permutations(range(len(k)), 3):
        found[1] += np.array([k[i, j] * other[i, a], 1]) * weights[[i, j, a]].prod()
    for i, j in itertools.permutations(range(len(k)), 2):
        found[0] += np.array([k[i, j] * other[i, j], 1]) * weights[[i, j]].prod()
    pairs, triples, quadruples = found[:, 0] / found[:, 1]
    return pairs - 2 * triples + quadruples


def test_equal_states_have_a_cka_of_1_and_so_have_rotated_scaled_and_shifted_ones():
    first = states(1)
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(WIDTH, WIDTH)))[0]
    for second in (first, -3 * first, first @ turn + 7):
        assert one(first, second) == pytest.approx({"layer": 0, "cka": 1.0, "low": 1.0, "high": 1.0}, abs=1e-4)


@pytest.mark.parametrize("noise", [0.2, 1.0, 4.0])
def test_cka_is_that_of_the_formula(noise):
    first = states(1)
    second = first + noise * states(2)
    found = one(first, second)
    assert found["cka"] == pytest.approx(expected(first, second), abs=1e-6)
    assert found["low"] < found["cka"] < found["high"] <= 1


def test_unrelated_states_of_more_dimensions_than_questions_are_near_0():
    """The estimator that is not corrected for bias has them near 1."""
    found = [one(states(i, 30, 500), states(100 + i, 30, 500))["cka"] for i in range(20)]
    assert abs(np.mean(found)) < 0.03
    first, second = (x[:, 0] - x[:, 0].mean(axis=0) for x in (states(1, 30, 500), states(101, 30, 500)))
    biased = np.linalg.norm(first.T @ second) ** 2 / (
        np.linalg.norm(first.T @ first) * np.linalg.norm(second.T @ second)
    )
    assert biased > 0.9


def test_more_questions_do_not_move_the_estimate():
    """Half of the variance is shared, in 300 dimensions: 0.25 of the whole product in expectation."""
    found = {}
    for n in (20, 150):
        pairs = [(states(i, n, 300), states(50 + i, n, 300)) for i in range(12)]
        found[n] = np.mean([one(a, (a + b) / np.sqrt(2))["cka"] for a, b in pairs])
    assert found[20] == pytest.approx(found[150], abs=0.06)


def test_weights_count_distinct_questions_alone():
    rng = np.random.default_rng(3)
    k, other = (x @ x.T for x in (rng.normal(size=(6, 4)), rng.normal(size=(6, 4))))
    weights = np.array([[1, 1, 1, 1, 1, 1], [2, 0, 1, 3, 1, 1], [0, 0, 5, 1, 2, 1]], dtype=float)
    np.fill_diagonal(k, 0)
    np.fill_diagonal(other, 0)
    found = similarity._hsic(k, other, weights.T, similarity._Counts.of(weights.T))
    assert found == pytest.approx([by_loops(k, other, row) for row in weights])
    assert found[0] == pytest.approx(hsic(k, other))


def test_the_interval_is_as_wide_as_estimates_of_other_questions_vary():
    """Variances of states fall as 1/i, as most of a network's variance is in few directions."""
    rows, lengths = [], (1 / np.sqrt(np.arange(1, 65))).astype(np.float32)
    for i in range(150):
        first = states(i, 100, 64) * lengths
        second = first + 0.4 * states(1000 + i, 100, 64) * lengths
        [row] = similarity.compare_states(first, second, [str(j) for j in range(100)], seed=1, replicates=200)
        rows.append(row)
    found = np.array([row["cka"] for row in rows])
    assert np.mean([row["high"] - row["low"] for row in rows]) == pytest.approx(2 * 1.96 * found.std(), rel=0.25)
    assert np.mean([row["low"] <= found.mean() <= row["high"] for row in rows]) > 0.9


def test_questions_of_a_group_are_drawn_together():
    """Eight copies of a group's states say no more than one."""
    first, second = states(1, 20, 6), states(2, 20, 6) + states(1, 20, 6)
    noise = [0.05 * states(seed, 160, 6) for seed in (3, 4)]
    many = [x.repeat(8, axis=0) + y for x, y in zip((first, second), noise, strict=True)]
    together, apart = (one(*many, of) for of in (groups(160, 8), groups(160, 1)))
    assert together["high"] - together["low"] > 2 * (apart["high"] - apart["low"])
    assert together["cka"] == apart["cka"]


def test_layers_are_compared_one_by_one_and_may_have_other_widths():
    first = np.concatenate([states(1), states(2)], axis=1)
    second = np.concatenate([states(1), states(9)], axis=1)
    rows = similarity.compare_states(first, second, groups(), seed=1)
    assert [row["layer"] for row in rows] == [0, 1]
    assert rows[0]["cka"] == pytest.approx(1) and abs(rows[1]["cka"]) < 0.3
    assert rows[0] == similarity.compare_states(first[:, :1], second[:, :1], groups(), seed=1)[0]
    wide = np.concatenate([states(1), states(1)], axis=2)
    assert one(states(1), wide)["cka"] == pytest.approx(1)


def test_what_has_no_estimate_is_none():
    nothing = {"layer": 0, "cka": None, "low": None, "high": None}
    same = np.full((N, 1, WIDTH), 0.1234567, dtype=np.float32)
    assert one(same, same) == nothing and one(same, states(1)) == nothing
    assert one(states(1, 3), states(1, 3)) == nothing
    few = one(states(1, 4), states(1, 4) + states(2, 4), ["a", "a", "b", "b"])  # too few in most draws
    assert few["cka"] is not None and few["low"] is None


def test_two_runs_are_equal_and_another_seed_has_another_interval():
    first, second = states(1), states(1) + states(2)
    runs = [similarity.compare_states(first, second, groups(), seed) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] and runs[0] != runs[2]
    assert runs[0][0]["cka"] == runs[2][0]["cka"]
