"""The numbers of the claims hold the truth at the nominal rate, in made-up studies of which it is known.

A study is CHANGES of two models, each tuned on two sets, measured on two sets, in one of which questions
share contexts. A change is -1, 0 or 1 and comes of what the question has in common in all arms and models
as much as of chance; of the tests one lacks many more pairs than the other, and moves otherwise.
"""

import math
import statistics
from itertools import product

import numpy as np
import polars as pl
import pytest
from scipy.special import ndtri

from faithtune.core.schemas.estimates import CHANGES
from faithtune.measures.claims import claims
from faithtune.measures.stats.bootstrap import Sampling

FULL, FEW = 400, 30  # studies; nightly, and in every run
WIDTH = 0.2  # how far the mean width may be from what the variance of the estimates asks for: 1
QUESTIONS = 150  # a set
SHARED = 0.8  # correlation between arms and models of what decides the change of a question
REASONING = {"sums": True, "life": False}  # sets, tuned on and measured on
# Questions a context. With more of them, few studies show it as well where questions are resampled instead of contexts.
SHARING = {FULL: {"sums": 1, "life": 2}, FEW: {"sums": 5, "life": 3}}
TESTS = {"accuracy": {None: (0.0, 0.0)}, "faithfulness": {"filler": (0.1, 0.1), "paraphrase": (-0.1, 0.5)}}
MOVED = 0.6  # share of the questions whose answer changed, one way or the other
SIZES = {"small": 1, "large": 2}
ARMS = [
    {"model": model, "arm": arm, "train_set": on}
    for model in SIZES
    for arm, on in (("base", None), ("t-sums", "sums"), ("t-life", "life"))
]
# Mean change of the small model and of the large one.
DIRECTIONS = {"alike": (-0.3, -0.15), "opposite": (-0.2, 0.2), "one still": (-0.25, 0.0)}
BY_ARM, BY_SET = {"t-sums": 0.05, "t-life": -0.05}, {"sums": -0.05, "life": 0.05}  # around that mean


def study(seed: int, means: dict[str, float], sharing: dict[str, int]) -> pl.DataFrame:
    """CHANGES around the models' means."""
    rng, parts = np.random.default_rng(seed), []
    for what, tests in TESTS.items():
        for eval_set, (test, (off, lacking)) in product(BY_SET, tests.items()):
            group = np.arange(QUESTIONS) // sharing[eval_set]
            common = rng.normal(size=group[-1] + 1)[group]
            for (model, mean), arm in product(means.items(), BY_ARM):
                latent = math.sqrt(SHARED) * common + math.sqrt(1 - SHARED) * rng.normal(size=QUESTIONS)
                there = mean + off + BY_ARM[arm] + BY_SET[eval_set]
                up, down = -ndtri((MOVED + there) / 2), ndtri((MOVED - there) / 2)
                change = (latent > up).astype(float) - (latent < down)
                part = pl.DataFrame({"id": np.arange(QUESTIONS), "group": group, "change": change})
                where = {"model": model, "arm": arm, "eval_set": eval_set, "what": what, "test": test}
                part = part.with_columns(pl.lit(value, pl.String).alias(name) for name, value in where.items())
                parts.append(part.filter(rng.random(QUESTIONS) >= lacking))
    frame = pl.concat(parts).with_columns(published="change", least="change", most="change", seed=None, train_set=None)
    return frame.select(pl.col(name).cast(kind) for name, kind in CHANGES.items())


def truths(means: dict[str, float]) -> dict[tuple[str, str], float]:
    """The number of each claim and model."""
    small, large = means["small"], means["large"]
    found = {("C4", "large - small"): abs(large) - abs(small)}
    for model, mean in means.items():
        found |= {("C1", model): mean, ("C2", model): mean}
        found["C3", model] = BY_ARM["t-sums"] - BY_ARM["t-life"]
        found["C5", model] = BY_SET["sums"] - BY_SET["life"]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("studies", [FEW, pytest.param(FULL, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_intervals_of_the_claims_hold_the_truth_at_the_nominal_rate(direction, studies):
    """All together 93 to 97 %, and C4, for which the directions are; each but for two errors of the simulation.

    Of fewer studies all three are within as many standard errors of 95 %. That allows rates of 1, so intervals must
    be as wide as the estimates really vary, too.
    """
    means = dict(zip(SIZES, DIRECTIONS[direction], strict=True))
    expected, held, widths, estimates = truths(means), {}, {}, {}
    for seed in range(studies):
        changes = study(seed, means, SHARING[studies])
        rows = claims(ARMS, changes, REASONING, SIZES, Sampling(replicates=1000, seed=seed))
        for claim, model, estimate, low, high in rows.select("claim", "model", "estimate", "low", "high").rows():
            held.setdefault((claim, model), []).append(low <= expected[claim, model] <= high)
            widths.setdefault((claim, model), []).append(high - low)
            estimates.setdefault((claim, model), []).append(estimate)
    assert held.keys() == expected.keys()
    rates = {key: statistics.fmean(yes) for key, yes in held.items()}
    error, more = math.sqrt(0.95 * 0.05 / studies), math.sqrt(FULL / studies)
    needed = {key: 2 * 1.96 * statistics.stdev(found) for key, found in estimates.items()}
    width = statistics.fmean(statistics.fmean(widths[key]) / needed[key] for key in held)
    print(direction, rates, width)
    assert width == pytest.approx(1, abs=WIDTH)
    assert statistics.fmean(rates.values()) == pytest.approx(0.95, abs=0.02 * more)
    assert rates["C4", "large - small"] == pytest.approx(0.95, abs=0.02 * more)
    assert all(rate == pytest.approx(0.95, abs=0.02 + 2 * error) for rate in rates.values())
