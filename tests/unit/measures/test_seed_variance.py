"""What pooled seeds add to an interval, and the p of its sides."""

import math

import numpy as np
import pandas
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy import stats

from faithtune.measures.stats import seed_variance
from faithtune.measures.stats.intervals import Sampling, effect, function_of_means, share
from faithtune.measures.stats.seed_variance import HalfWidth, SeedVariance

SAMPLING = Sampling(replicates=2000, seed=1)


def layout(spread: float, n: int = 60, seeds: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, questions and seeds of a full two-way layout, seeds moved by up to `spread`."""
    rng = np.random.default_rng(0)
    shift = np.linspace(-spread, spread, seeds)
    values = rng.normal(0, 0.1, n) + shift[:, None] + rng.normal(0, 0.1, (seeds, n))
    return values.ravel(), np.tile(np.arange(n), seeds), np.repeat(np.arange(seeds), n)


def test_seeds_part_is_that_of_the_mean_squares():
    values, questions, seeds = layout(0.05)
    fit = smf.ols("y ~ C(q) + C(s)", pandas.DataFrame({"y": values, "q": questions, "s": seeds})).fit()
    squares = sm.stats.anova_lm(fit)["mean_sq"]
    found = seed_variance.seed_variance(values[:, None], questions, seeds, lambda means: means[:, 0])
    assert found == pytest.approx((squares["C(s)"] / 180, squares["Residual"] / 180, 2))


def test_a_function_of_means_gets_its_seeds_part_by_its_slope():
    values, questions, seeds = layout(0.05)
    once = seed_variance.seed_variance(values[:, None], questions, seeds, lambda means: means[:, 0])
    thrice = seed_variance.seed_variance(values[:, None], questions, seeds, lambda means: 3 * means[:, 0] + 1)
    assert thrice == pytest.approx((9 * once.between, 9 * once.rest, 2))


def test_seeds_over_different_questions_are_expected_to_differ():
    """Each of 40 equal seeds has half of the questions: its mean differs by which ones, not by the seed."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=60)
    questions = np.concatenate([rng.permutation(60)[:30] for _ in range(40)])
    seeds = np.repeat(np.arange(40), 30)
    found = seed_variance.seed_variance(values[questions][:, None], questions, seeds, lambda means: means[:, 0])
    assert found.between == pytest.approx(np.var(values[questions].reshape(40, 30).mean(axis=1), ddof=1) / 40)
    assert found.rest == pytest.approx(found.between, rel=0.4)


def test_one_seed_changes_nothing():
    values, questions, _ = layout(0.0)
    assert effect(values, questions, SAMPLING, seeds=np.zeros(180)) == effect(values, questions, SAMPLING)
    hits = values[:60] > 0
    assert share(hits, questions[:60], SAMPLING, seeds=np.zeros(60)) == share(hits, questions[:60], SAMPLING)


def test_seeds_that_differ_widen_and_seeds_that_do_not_hardly():
    def widths(spread: float) -> tuple[float, float]:
        values, questions, seeds = layout(spread, n=200, seeds=5)
        pooled, asked = effect(values, questions, SAMPLING), effect(values, questions, SAMPLING, seeds=seeds)
        assert pooled.value == asked.value
        return pooled.high - pooled.low, asked.high - asked.low

    narrow, wide = widths(0.2)
    error = np.std(np.linspace(-0.2, 0.2, 5), ddof=1) / math.sqrt(5)
    assert wide == pytest.approx(2 * stats.t.ppf(0.975, 4) * error, rel=0.1)
    assert wide > 5 * narrow
    narrow, wide = widths(0.0)
    assert narrow <= wide < 1.4 * narrow


def test_a_seed_without_values_leaves_no_interval():
    values, questions, seeds = layout(0.0)
    columns = np.column_stack([values, np.where(seeds == 1, np.nan, values)])
    found = function_of_means(columns, questions, SAMPLING, lambda means: means[:, 0] - means[:, 1], seeds=seeds)
    assert found.value is not None and found.low is None


def test_p_without_seeds_is_that_of_the_t_test():
    assert HalfWidth(0.1, 7).p_value(-0.3) == pytest.approx(2 * stats.t.sf(3, 7))
    assert HalfWidth(0.1, math.inf).p_value(0.3) == pytest.approx(2 * stats.norm.sf(3))
    assert HalfWidth(0.0, 7).p_value(0.3) is None
    assert HalfWidth(0.1, 7).p_value(0.0) == 1
    assert HalfWidth(0.1, 1000).p_value(100.0) == seed_variance.LEAST_P


def test_p_is_where_the_side_reaches_zero():
    side = HalfWidth(0.1, 500, SeedVariance(0.05**2, 0.01**2, 2))
    p = side.p_value(0.4)
    assert side.length(p / 2) == pytest.approx(0.4)
    assert HalfWidth(0.1, 500).p_value(0.4) < p < HalfWidth(0.12, 2).p_value(0.4)


def test_seeds_that_differ_less_than_expected_add_nothing():
    assert HalfWidth(0.1, 50, SeedVariance(1e-4, 1e-2, 2)).length(0.025) == HalfWidth(0.1, 50).length(0.025)
