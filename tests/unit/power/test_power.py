"""The least change that a study finds: against oracles that differ by it, and against what must be."""

import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from configurations import ROOT
from faithtune.measures import contrasts
from faithtune.measures.stats.bootstrap import Sampling
from faithtune.power import power

TESTS, ALPHAS = ("early_termination", "filler"), [0.25, 0.5]
SAMPLING = Sampling(replicates=500)


@pytest.fixture(scope="module")
def changes() -> pl.DataFrame:
    """Made-up changes of 400 questions by 30 tunings, 0 on average, their means 0.03 apart."""
    rng = np.random.default_rng(1)
    rows = []
    for seed in range(power.SEEDS):
        mean = rng.normal(0, 0.03)
        drawn = rng.choice([-1.0, 0.0, 1.0], size=power.QUESTIONS, p=[0.2 - mean / 2, 0.6, 0.2 + mean / 2])
        rows += [
            {"what": what, "seed": seed, "id": str(i), "test": "", "change": x}
            for what in power.KINDS
            for i, x in enumerate(drawn)
        ]
    return pl.DataFrame(rows)


def found(changes: pl.DataFrame, questions: int, seeds: int = 1, sets: int = 1) -> float:
    return power.detectable(changes, questions, seeds, sets, SAMPLING, 7)["faithfulness"]


def test_more_questions_and_more_sets_find_less(changes):
    assert found(changes, 1000) < found(changes, 300) < found(changes, 100)
    assert found(changes, 100, sets=4) < found(changes, 100)


def test_more_than_one_seed_has_a_price_that_five_pay_back(changes):
    """Three seeds tell their variance from two degrees of freedom (t = 4.3); one seed does not tell it at all."""
    assert found(changes, 300, seeds=5) < found(changes, 300, seeds=3)
    assert found(changes, 300, seeds=1) < found(changes, 300, seeds=3)


def test_equal_calls_give_equal_numbers(changes):
    assert found(changes, 100, seeds=3) == found(changes, 100, seeds=3)


@pytest.mark.parametrize("questions", [100, 400])
def test_a_study_finds_the_change_as_often_as_is_said(changes, questions):
    """Changes of -1, 0 and 1 whose mean is the least detectable one are found by 0.8 of other studies of one seed."""
    least, rng, hits, studies = found(changes, questions), np.random.default_rng(2), 0, 300
    for _ in range(studies):
        mean = least + rng.normal(0, 0.03)
        drawn = rng.choice([-1.0, 0.0, 1.0], size=questions, p=[0.2 - mean / 2, 0.6, 0.2 + mean / 2])
        ids = [str(i) for i in range(questions)]
        study = pl.DataFrame({"eval_set": "s", "seed": 0, "id": ids, "group": ids, "value": drawn})
        hits += contrasts.mean(study, SAMPLING).estimate.low > 0
    assert 0.7 < hits / studies < 0.9


@pytest.mark.slow
def test_oracles_change_nothing_on_average(templates):
    changes = power.simulate_changes(TESTS, ALPHAS, templates, power.Assumed(spread=0.0), seed=3)
    means = changes.group_by("what", "seed").agg(pl.col("change").mean()).group_by("what").agg(pl.col("change").mean())
    assert dict(means.rows()) == pytest.approx({"accuracy": 0, "faithfulness": 0}, abs=0.08)
    assert changes["seed"].n_unique() == power.SEEDS
    assert set(changes.filter(what="faithfulness")["test"]) == set(TESTS)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--questions", "1"], "2 questions or more"),
        (["--seeds", "99"], "1 to 30 seeds"),
        (["--accuracy", "3"], "expected 0 to 1"),
        (["--configfile", "nowhere.yaml"], "No such file"),
    ],
)
def test_wrong_use_ends_in_one_line(given, told):
    done = subprocess.run([sys.executable, ROOT / "workflow/power.py", *given], capture_output=True, text=True)
    assert done.returncode
    assert told in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
