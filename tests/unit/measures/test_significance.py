"""p-values over a table, and what a study could have found."""

import numpy as np
import pytest

from faithtune.measures.stats.intervals import NOTHING, Estimate, Sampling, effect
from faithtune.measures.stats.significance import holm, mcnemar_p, minimum_detectable


def test_mcnemar_counts_only_the_discordant():
    """3 against 9 discordant pairs: twice the tail of 12 coin flips at 3 or fewer, 299 / 2048."""
    first = np.array([1] * 3 + [0] * 9 + [1] * 20 + [0] * 5, dtype=bool)
    second = np.array([0] * 3 + [1] * 9 + [1] * 20 + [0] * 5, dtype=bool)
    assert mcnemar_p(first, second) == pytest.approx(299 / 2048)
    assert mcnemar_p(second, second) == 1.0
    assert mcnemar_p(np.array([]), np.array([])) is None


def test_holm_multiplies_by_the_tests_left_and_never_falls():
    assert holm([0.04, None, 0.01, 0.03]) == [pytest.approx(0.06), None, pytest.approx(0.03), pytest.approx(0.06)]
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([None]) == [None]
    assert holm([]) == []


@pytest.mark.slow  # imports statsmodels
def test_holm_is_that_of_statsmodels():
    from statsmodels.stats.multitest import multipletests

    source = np.random.default_rng(1)
    for n in (1, 2, 7, 200):
        ps = source.random(n).round(source.integers(1, 4)).tolist()  # with ties
        assert holm(ps) == multipletests(ps, method="holm")[1].tolist()


def test_minimum_detectable_effect_of_a_known_error():
    # 2.8 standard errors for 80 % power at 95 % (Bloom 1995).
    assert minimum_detectable(Estimate(0.0, -0.196, 0.196), 0.95) == pytest.approx(0.28, abs=5e-4)
    assert minimum_detectable(Estimate(0.3, 0.104, 0.496), 0.95) == pytest.approx(0.28, abs=5e-4)
    assert minimum_detectable(Estimate(0.0, -0.196, 0.196), 0.95, power=0.5) == pytest.approx(0.196)
    assert minimum_detectable(NOTHING, 0.95) is None
    assert minimum_detectable(Estimate(0.1, None, None), 0.95) is None


@pytest.mark.slow
@pytest.mark.parametrize("studies", [300, pytest.param(1500, marks=pytest.mark.nightly)])
@pytest.mark.parametrize(("n", "size"), [(150, 1), (400, 1), (200, 3)])
def test_an_effect_of_that_size_is_found_in_four_of_five_studies(n, size, studies):
    """Of 1,500 studies in 76 to 84 %, of fewer within as many standard errors."""
    groups = np.repeat(np.arange(n), size)

    def study(seed: int, true: float) -> Estimate:
        shared = np.random.default_rng((n, seed)).choice([1, -1, 0], n, p=[0.15 + true / 2, 0.15 - true / 2, 0.7])
        return effect(np.repeat(shared, size), groups, Sampling(replicates=1000, seed=seed))

    true = np.mean([minimum_detectable(study(10_000 + i, 0.0), 0.95) for i in range(20)])
    found = np.mean([study(seed, true).p < 0.05 for seed in range(studies)])
    assert found == pytest.approx(0.8, abs=0.04 * np.sqrt(1500 / studies))
