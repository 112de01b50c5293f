"""Intervals: known values, degenerate samples, and coverage by simulation."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faithtune.statistics import NOTHING, Estimate, Sampling, macro, mcnemar_p, mean, share

SAMPLING = Sampling(replicates=2000, seed=1)


def alone(n: int) -> np.ndarray:
    return np.arange(n)


def test_share_is_wilsons_interval():
    # Newcombe 1998 (Statistics in Medicine 17:857), table I: 81 of 263, method 3.
    found = share(np.arange(263) < 81, alone(263), SAMPLING)
    assert found.value == pytest.approx(81 / 263)
    assert (found.low, found.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_no_data_gives_no_estimate():
    empty = np.array([])
    assert share(empty, empty, SAMPLING) == NOTHING
    assert mean(empty, empty, SAMPLING, bounds=(-1, 1)) == NOTHING
    assert mcnemar_p(empty, empty) is None


def test_equal_differences_leave_room_for_those_not_seen():
    u = 1.959964**2 / (100 + 1.959964**2)  # Wilson's upper bound of 0 / 100
    none = mean(np.zeros(100), alone(100), SAMPLING, bounds=(-1, 1))
    assert none == pytest.approx((0.0, -u, u), abs=1e-6)
    always = mean(np.ones(100), alone(100), SAMPLING, bounds=(-1, 1))
    assert always == pytest.approx((1.0, 1 - 2 * u, 1.0), abs=1e-6)
    fewer = mean(np.zeros(100), alone(100) % 10, SAMPLING, bounds=(-1, 1))
    assert fewer.high == pytest.approx(1.959964**2 / (10 + 1.959964**2), abs=1e-6)  # 10 groups know less


def test_one_group_alone_is_no_certainty():
    found = share(np.array([True, True, False]), np.zeros(3), SAMPLING)
    assert found.low < 0.3 and found.high > 0.9


def test_equal_values_without_bounds_have_no_interval():
    assert mean(np.full(5, 3.0), alone(5), SAMPLING) == Estimate(3.0, None, None)


def test_groups_widen_the_interval():
    """50 groups of 4 equal answers know no more than 50 questions, not 200."""
    rng = np.random.default_rng(3)
    once = rng.random(50) < 0.5
    clustered = share(np.repeat(once, 4), np.repeat(alone(50), 4), Sampling(replicates=20_000))
    standard_error = np.sqrt(once.mean() * (1 - once.mean()) / 50)
    assert clustered.high - clustered.low == pytest.approx(2 * 1.96 * standard_error, rel=0.05)


def test_drawing_kinds_or_single_groups_is_the_same_bootstrap(monkeypatch):
    values, groups = np.random.default_rng(0).normal(size=300).round(1), np.arange(300) % 90
    by_kind = mean(values, groups, Sampling(replicates=40_000))
    monkeypatch.setattr("faithtune.statistics._FEW_KINDS", 0)
    one_by_one = mean(values, groups, Sampling(replicates=40_000))
    assert by_kind == pytest.approx(one_by_one, abs=0.004)
    assert by_kind != one_by_one


@pytest.mark.parametrize("values", [lambda rng: rng.random(2000), lambda rng: rng.integers(-1, 2, 2000)])
def test_a_full_bootstrap_is_quick(values):
    start = time.perf_counter()
    mean(values(np.random.default_rng(0)), alone(2000), Sampling(replicates=10_000))
    assert time.perf_counter() - start < 2  # 0.2 s on an idle core


def test_seeds_belong_to_the_cell():
    values, groups = np.random.default_rng(0).normal(size=200), alone(200)
    assert mean(values, groups, SAMPLING, "a") == mean(values, groups, SAMPLING, "a")
    assert mean(values, groups, SAMPLING, "a") != mean(values, groups, SAMPLING, "b")
    assert mean(values, groups, SAMPLING, "a") != mean(values, groups, Sampling(replicates=2000, seed=2), "a")


def test_macro_of_two_sets():
    found = macro([Estimate(0.2, 0.1, 0.6), Estimate(0.6, 0.3, 0.9)])
    low, high = 0.4 - np.hypot(0.1, 0.3) / 2, 0.4 + np.hypot(0.4, 0.3) / 2
    assert found == pytest.approx((0.4, low, high))
    assert macro([Estimate(0.2, 0.1, 0.6)]) == pytest.approx((0.2, 0.1, 0.6))


def test_macro_of_a_missing_set_is_missing():
    assert macro([]) == NOTHING
    assert macro([Estimate(0.2, 0.1, 0.6), NOTHING]) == NOTHING


def test_mcnemar_counts_only_the_discordant():
    """3 against 9 discordant pairs: twice the tail of 12 coin flips at 3 or fewer, 299 / 2048."""
    first = np.array([1] * 3 + [0] * 9 + [1] * 20 + [0] * 5, dtype=bool)
    second = np.array([0] * 3 + [1] * 9 + [1] * 20 + [0] * 5, dtype=bool)
    assert mcnemar_p(first, second) == pytest.approx(299 / 2048)
    assert mcnemar_p(second, second) == 1.0


def coverage(interval, truth: float, runs: int = 400) -> float:
    covered = 0
    for run in range(runs):
        found = interval(np.random.default_rng(run))
        covered += found.low <= truth <= found.high
    return covered / runs


@pytest.mark.parametrize("rate", [0.03, 0.3, 0.6])
def test_coverage_of_a_share(rate):
    found = coverage(lambda rng: share(rng.random(60) < rate, alone(60), SAMPLING), rate)
    assert 0.92 <= found <= 0.99


@pytest.mark.parametrize(("up", "down"), [(0.3, 0.1), (0.1, 0.1), (0.02, 0.02)])
def test_coverage_of_a_paired_effect(up, down):
    """Pairs that change up, down or not; the last case has often no change at all."""

    def effect(rng: np.random.Generator) -> Estimate:
        changes = rng.choice([1, 0, -1], 80, p=[up, 1 - up - down, down])
        return mean(changes, alone(80), Sampling(replicates=1000, seed=1), bounds=(-1, 1))

    assert 0.91 <= coverage(effect, up - down) <= 1


def test_coverage_of_a_clustered_effect():
    """Questions of a context share most of what moves them: unclustered intervals cover far less."""
    groups = np.repeat(alone(60), 3)

    def effect(rng: np.random.Generator, cluster: bool) -> Estimate:
        shared = np.repeat(rng.choice([1, -1], 60, p=[0.6, 0.4]), 3)
        changes = np.where(rng.random(180) < 0.1, 0, shared)
        labels = groups if cluster else alone(180)
        return mean(changes, labels, Sampling(replicates=1000, seed=1), bounds=(-1, 1))

    assert coverage(lambda rng: effect(rng, True), 0.18) >= 0.91
    assert coverage(lambda rng: effect(rng, False), 0.18) < 0.85


def test_coverage_of_a_macro_mean():
    rates = (0.02, 0.2, 0.7)

    def average(rng: np.random.Generator) -> Estimate:
        return macro([share(rng.random(80) < rate, alone(80), SAMPLING) for rate in rates])

    assert 0.92 <= coverage(average, float(np.mean(rates))) <= 0.99


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(1, 60), st.randoms(use_true_random=False))
def test_share_is_a_share_and_knows_no_order(hits, n_groups, random):
    groups = [i % n_groups for i in range(len(hits))]
    found = share(np.array(hits), np.array(groups), Sampling(replicates=100))
    assert 0 <= found.low <= found.high <= 1
    order = list(range(len(hits)))
    random.shuffle(order)
    assert found == share(np.array(hits)[order], np.array(groups)[order], Sampling(replicates=100))


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=30), st.floats(-2, 2))
def test_scaling_keeps_the_interval_around_the_number(values, factor):
    found = mean(np.array(values), alone(len(values)), Sampling(replicates=50), bounds=(-1, 1)).scaled(factor, 1)
    assert found.low <= found.high
