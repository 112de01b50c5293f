"""Intervals: known values, degenerate samples, other libraries. Their coverage is in test_interval_coverage.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from faithtune.measures.stats import bootstrap
from faithtune.measures.stats.intervals import (
    NOTHING,
    Estimate,
    Sampling,
    effect,
    function_of_means,
    macro,
    mean,
    median,
    share,
)

SAMPLING = Sampling(replicates=2000, seed=1)
FINE = Sampling(replicates=40_000)


def alone(n: int) -> np.ndarray:
    return np.arange(n)


def changes(up: int, down: int, n: int) -> np.ndarray:
    return np.repeat([1, -1, 0], [up, down, n - up - down])


def test_share_is_wilsons_interval():
    # Newcombe 1998 (Statistics in Medicine 17:857), table I: 81 of 263, method 3.
    found = share(np.arange(263) < 81, alone(263), SAMPLING)
    assert found.value == pytest.approx(81 / 263)
    assert (found.low, found.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_no_data_gives_no_estimate():
    empty = np.array([])
    for estimate in (share, mean, effect, median):
        assert estimate(empty, empty, SAMPLING) == NOTHING
    assert function_of_means(np.empty((0, 2)), empty, SAMPLING, lambda means: means[:, 0]) == NOTHING


@pytest.mark.parametrize(("up", "down"), [(12, 5), (30, 30), (60, 10)])
def test_effect_is_near_bonett_and_prices_interval(up, down):
    p, q = (up + 1) / 202, (down + 1) / 202
    error = np.sqrt((p + q - (p - q) ** 2) / 202)
    found = effect(changes(up, down, 200), alone(200), FINE)
    assert found.value == pytest.approx((up - down) / 200)
    assert (found.low, found.high) == pytest.approx((p - q - 1.96 * error, p - q + 1.96 * error), abs=0.006)


def test_values_that_do_not_differ_leave_room_for_those_not_seen():
    none = effect(np.zeros(100), alone(100), FINE)
    assert none.value == 0 and none.p == 1
    assert none.low == pytest.approx(-none.high, rel=0.03) and 0.025 < none.high < 0.037
    fewer = effect(np.zeros(100), alone(100) % 10, FINE)
    assert fewer.high > 5 * none.high  # 10 groups know less
    always = effect(np.ones(100), alone(100), FINE)
    assert always.high == 1 and 0.9 < always.low < 0.97
    hit = share(np.ones(100), alone(100) // 2, FINE)
    assert hit.high == 1 and 0.85 < hit.low < 0.97


def test_one_group_alone_is_no_certainty():
    found = share(np.array([True, True, False]), np.zeros(3), SAMPLING)
    assert found.low < 0.3 and found.high > 0.9


def test_small_changes_are_not_widened_by_large_ones_that_could_have_been():
    soft = np.random.default_rng(0).normal(0, 0.01, 50)
    found = effect(soft, alone(50), FINE)
    assert found.high - found.low < 1.25 * 2 * 1.96 * soft.std() / np.sqrt(50)


def test_equal_values_without_bounds_have_no_interval():
    assert mean(np.full(5, 3.0), alone(5), SAMPLING) == Estimate(3.0, None, None)
    assert mean(np.full(1000, 0.1), alone(1000) % 77 // 3, SAMPLING).low is None
    assert mean(np.arange(3.0), np.zeros(3), SAMPLING) == Estimate(1.0, None, None)


def test_mean_without_bounds_is_scipys_percentile_interval_stretched():
    values = np.random.default_rng(0).exponential(size=40)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=40_000, method="percentile", rng=1).confidence_interval
    stretch = stats.t.ppf(0.975, 39) / stats.norm.ppf(0.975) * np.sqrt(40 / 39)
    ends = [values.mean() + stretch * (end - values.mean()) for end in theirs]
    found = mean(values, alone(40), FINE)
    assert (found.low, found.high) == pytest.approx(ends, abs=0.01)


def test_groups_widen_the_interval():
    """50 groups of 4 equal answers know no more than 50 questions, not 200."""
    once = np.random.default_rng(3).random(50) < 0.5
    clustered = share(np.repeat(once, 4), np.repeat(alone(50), 4), FINE)
    standard_error = np.sqrt(once.mean() * (1 - once.mean()) / 50)
    assert clustered.high - clustered.low == pytest.approx(2 * 1.96 * standard_error, rel=0.05)


def test_groups_are_drawn_by_kind_as_one_by_one():
    """The sums are those of Poisson counts of single groups, whatever order the groups come in."""
    values = np.random.default_rng(0).integers(-1, 2, 300)
    columns = np.column_stack([values, np.ones(300)])
    counts = np.random.default_rng([SAMPLING.seed, 512]).poisson(size=(512, SAMPLING.replicates))[:300]
    expected = counts.T @ np.column_stack([np.sort(values), np.ones(300)])
    assert bootstrap.totals(columns, SAMPLING) == pytest.approx(expected, abs=1e-3)
    assert (bootstrap.totals(columns[::-1], SAMPLING) == bootstrap.totals(columns, SAMPLING)).all()


def test_single_values_are_summed_exactly_enough():
    """Values that all differ, and more of them than one product takes."""
    values = np.random.default_rng(0).normal(5, 1, 1000)
    drawn = bootstrap.totals(np.column_stack([values, np.ones(1000)]), SAMPLING)
    counts = np.random.default_rng([SAMPLING.seed, 1024]).poisson(size=(1024, SAMPLING.replicates))[:1000]
    assert drawn[:, 0] / drawn[:, 1] == pytest.approx(counts.T @ np.sort(values) / counts.sum(axis=0), rel=1e-5)


def test_means_of_draws_vary_as_the_multinomial_bootstraps():
    """The Poisson bootstrap of a mean is the ordinary one, but for its number of draws: 1/n more variance."""
    values = np.random.default_rng(0).normal(size=60)
    drawn = bootstrap.totals(np.column_stack([values, np.ones(60)]), FINE)
    counts = np.random.default_rng(1).multinomial(60, np.full(60, 1 / 60), size=FINE.replicates)
    assert stats.ks_2samp(drawn[:, 0] / drawn[:, 1], counts @ values / 60).statistic < 0.02


def test_a_draw_of_no_group_is_none():
    drawn = bootstrap.totals(np.array([[3.0, 1.0], [5.0, 1.0]]), FINE)
    assert (drawn[:, 1] > 0).all()
    assert len(drawn) / FINE.replicates == pytest.approx(1 - np.exp(-2), abs=0.01)


def test_draws_follow_the_seed():
    few, many = (np.column_stack([np.arange(200.0) % kinds, np.ones(200)]) for kinds in (3, 50))
    first = bootstrap.totals(many, SAMPLING)
    for columns in (few, many):
        other = bootstrap.totals(columns, Sampling(replicates=2000, seed=2))
        assert (bootstrap.totals(columns, SAMPLING)[:1000] != other[:1000]).any()
    bootstrap._drawn_up_to.cache_clear()
    bootstrap.totals(many[:20], SAMPLING)
    assert (bootstrap.totals(many, SAMPLING) == first).all()


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([-1, 0, 0, 0.5, 1]), min_size=1, max_size=60),
    st.integers(1, 60),
    st.integers(1, 3),
)
def test_p_agrees_with_the_interval(values, n_groups, n_seeds):
    groups = np.arange(len(values)) % n_groups
    seeds = np.arange(len(values)) // n_groups % n_seeds
    found = effect(np.array(values), groups, Sampling(replicates=100), seeds=seeds)
    assert found.low <= found.value <= found.high
    assert (found.p < 0.05) == (found.low > 0 or found.high < 0)


def test_p_is_the_t_tests_where_that_holds():
    for shift in (0.01, 0.02, 0.03, 0.05):
        values = np.random.default_rng(1).normal(shift, 0.1, 200)
        expected = stats.ttest_1samp(values, 0).pvalue
        assert np.log(effect(values, alone(200), FINE).p) == pytest.approx(np.log(expected), rel=0.1, abs=0.1)


def test_missing_values_may_be_given_or_left_out():
    values = np.random.default_rng(0).integers(-1, 2, 300).astype(float)
    values[::7] = np.nan
    there = ~np.isnan(values)
    for groups in (alone(300), alone(300) // 3):
        given, left_out = effect(values, groups, FINE), effect(values[there], groups[there], FINE)
        assert given.value == left_out.value
        assert (given.low, given.high) == pytest.approx((left_out.low, left_out.high), abs=0.008)
    hits = np.where(there, values > 0, np.nan)
    assert share(hits, alone(300), SAMPLING) == share(hits[there], alone(300)[there], SAMPLING)
    nothing = np.full(4, np.nan)
    assert effect(nothing, alone(4), SAMPLING) == share(nothing, alone(4) // 2, SAMPLING) == NOTHING


def test_a_function_of_one_mean_is_the_mean():
    values, groups = np.random.default_rng(0).exponential(size=90), alone(90) // 2
    found = function_of_means(values[:, None], groups, SAMPLING, lambda means: 3 * means[:, 0])
    assert found == pytest.approx(mean(values, groups, SAMPLING).scaled(3), nan_ok=True)


def test_a_function_of_means_resamples_them_together():
    """A difference of two equal means is known exactly, a ratio to itself too: no draw differs."""
    values = np.random.default_rng(0).random(200)
    same = np.column_stack([values, values])
    assert function_of_means(same, alone(200), SAMPLING, lambda m: m[:, 0] - m[:, 1])[:3] == (0, None, None)
    noisy = np.column_stack([values, values + np.random.default_rng(1).normal(0, 0.01, 200)])
    paired = function_of_means(noisy, alone(200), SAMPLING, lambda m: m[:, 0] - m[:, 1])
    assert paired.high - paired.low == pytest.approx(2 * 1.96 * 0.01 / np.sqrt(200), rel=0.1)


def test_shares_that_never_differ_get_a_width():
    """Nothing changes under tampering, nothing under rewording: the share above that floor is 0, and not for sure."""

    def floored(means):
        return (means[:, 0] - means[:, 1]) / (1 - means[:, 1])

    none = np.zeros((50, 2))
    found = function_of_means(none, alone(50), SAMPLING, floored, shares=True)
    assert found.value == 0 and -0.15 < found.low < -0.01 and 0.01 < found.high < 0.15
    wide, narrow = (function_of_means(np.zeros((n, 2)), alone(n), SAMPLING, floored, shares=True) for n in (20, 200))
    assert wide.low < found.low < narrow.low and narrow.high < found.high < wide.high
    always = np.column_stack([np.ones(50), np.zeros(50)])
    assert function_of_means(always, alone(50), SAMPLING, floored, shares=True).low < 1


def test_a_mean_of_a_function_is_over_its_own_values():
    columns = np.array([[1.0, np.nan], [3.0, 2.0], [np.nan, 4.0], [5.0, np.nan], [2.0, 2.5]] * 3)
    found = function_of_means(columns, alone(15), SAMPLING, lambda m: m[:, 0] / m[:, 1])
    assert found.value == pytest.approx((11 / 4) / (8.5 / 3))
    assert found.low < found.value < found.high


def test_a_function_without_a_value_is_nothing():
    columns = np.column_stack([np.ones(20), np.ones(20)])
    assert function_of_means(columns, alone(20), SAMPLING, lambda m: m[:, 0] / (1 - m[:, 1])) == NOTHING
    rare = np.column_stack([np.ones(20), alone(20) == 0]).astype(float)  # a third of the draws divide by 0
    assert function_of_means(rare, alone(20), SAMPLING, lambda m: m[:, 0] / m[:, 1]) == Estimate(20.0, None, None)


def test_median_is_near_the_exact_one():
    values = np.random.default_rng(0).normal(size=201)
    exact = stats.quantile_test(values, p=0.5).confidence_interval(0.95)
    found = median(values, alone(201), SAMPLING)
    assert found.value == np.median(values)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=0.06)
    pairs = median(np.repeat(values, 4), np.repeat(alone(201), 4), FINE)
    assert (pairs.low, pairs.high) == pytest.approx((exact.low, exact.high), abs=0.06)


def test_macro_of_two_sets():
    found = macro([Estimate(0.2, 0.1, 0.6), Estimate(0.6, 0.3, 0.9)])
    low, high = 0.4 - np.hypot(0.1, 0.3) / 2, 0.4 + np.hypot(0.4, 0.3) / 2
    assert found[:3] == pytest.approx((0.4, low, high))
    assert found.p is None
    assert macro([Estimate(0.2, 0.1, 0.6)])[:3] == pytest.approx((0.2, 0.1, 0.6))


def test_macro_of_effects_has_a_p():
    one = Estimate(0.1, 0.1 - 0.196, 0.1 + 0.3, 0.3)  # standard error 0.1 towards 0
    found = macro([one] * 4)
    assert found.p == pytest.approx(2 * stats.norm.sf(2), abs=1e-4)
    assert macro([one, one._replace(p=None)]).p is None


def test_macro_of_sets_that_share_their_seeds():
    one = Estimate(0.1, 0.05, 0.15, 0.01)
    alike = np.array([[0.1, 0.1], [0.15, 0.15], [0.05, 0.05]])
    apart = macro([one, one])
    together = macro([one, one], by_seed=alike)
    covariance = 2 * np.var([0.1, 0.15, 0.05], ddof=1) / 4 / 3
    t = stats.t.ppf(0.975, 2)
    assert together.high == pytest.approx(0.1 + np.sqrt((apart.high - 0.1) ** 2 + t**2 * covariance))
    assert together.p > apart.p
    assert (together.p < 0.05) == (together.low > 0)
    assert macro([one, one], by_seed=alike[:1]) == apart


def test_macro_of_a_missing_set_is_missing():
    assert macro([]) == NOTHING
    assert macro([Estimate(0.2, 0.1, 0.6), NOTHING]) == NOTHING


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(1, 60), st.randoms(use_true_random=False))
def test_share_is_a_share_and_knows_no_order(hits, n_groups, random):
    groups = [i % n_groups for i in range(len(hits))]
    found = share(np.array(hits), np.array(groups), Sampling(replicates=100))
    assert 0 <= found.low <= found.value <= found.high <= 1
    order = list(range(len(hits)))
    random.shuffle(order)
    assert found == share(np.array(hits)[order], np.array(groups)[order], Sampling(replicates=100))


@settings(deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=30), st.floats(-2, 2))
def test_scaling_keeps_the_interval_around_the_number(values, factor):
    found = effect(np.array(values), alone(len(values)), Sampling(replicates=50))
    scaled = found.scaled(factor, 1)
    assert scaled.low <= scaled.value <= scaled.high
    assert scaled.p == found.p
