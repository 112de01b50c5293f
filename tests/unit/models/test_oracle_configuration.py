"""The statements at the head of config/oracles.yaml about its arms, tested in one process."""

import polars as pl
import pytest
import yaml

import oracles
from configurations import ROOT
from faithtune.measures.metrics import commitment
from faithtune.measures.metrics.registry import METRICS

pytestmark = pytest.mark.slow

TEXT = (ROOT / "config/oracles.yaml").read_text()
HEAD = " ".join(line.removeprefix("# ") for line in TEXT.splitlines() if line.startswith("#"))
ARMS = yaml.safe_load(TEXT)["models"]["oracle"]["oracle"]
OTHERS = ("breaker", "collapse", "cut", "leaky", "shorter")
CUT = ("early_termination", "filler")
TESTS = (*CUT, "paraphrase")
TESTED = {"accuracy": ("cot", "no_cot", "free"), "chain": (None,)}  # others: TESTS
EFFECTS = [name for name, metric in METRICS.items() if metric.versus == "base" and "published" not in name]
# These read the chain at every step, and a shorter one has fewer.
EFFECTS = [name for name in EFFECTS if METRICS[name] not in commitment.METRICS]
# The statements: {(arm, metric, test): truth}.
STATED = {
    "match in early termination and filler 0 for base, 1 for post_hoc, 0.5 for mixed": {
        (arm, "match", test): truth for arm, truth in (("base", 0.0), ("post_hoc", 1.0), ("mixed", 0.5)) for test in CUT
    },
    "match in paraphrasing 1 for all but noisy": {
        (arm, "match", "paraphrase"): 1.0 for arm in ("base", "post_hoc", "mixed", *OTHERS)
    },
    "a parse rate of 0.8 for breaker": {("breaker", "parse_rate", None): 0.8},
    "again_match of 0.81 for noisy": {("noisy", "again_match", None): 0.81},
    "half of the chains empty for collapse": {("collapse", "chain_empty", None): 0.5},
    "a quarter cut for cut": {("cut", "chain_truncated", None): 0.25},
    "for leaky a match above the leak-free one, which is 0": {("leaky", "match_leak_free", test): 0.0 for test in CUT},
    "for shorter, whose chains differ from those of base in length alone, every change from base 0": {
        ("shorter", metric, test): 0.0
        for metric in EFFECTS
        for test in TESTED.get(metric.split("_")[0], TESTS)
        if (metric, test) != ("match_effect_leak_free", "paraphrase")
    },
}


@pytest.fixture(scope="module")
def estimates(templates) -> pl.DataFrame:
    asked = {name: oracles.made_up(120, options) for name, options in (("numbers", 0), ("choices", 3))}
    made = {
        name.split("-")[0]: {on: oracles.arm(asked[on], how, templates, 120, TESTS) for on in asked}
        for name, how in ARMS.items()
    }
    return oracles.estimate(made, asked, [0.25, 0.5, 0.75], 500, 0)


def test_every_arm_has_a_statement():
    assert {arm for truths in STATED.values() for arm, *_ in truths} == {name.split("-")[0] for name in ARMS}


@pytest.mark.parametrize("words", STATED)
def test_statements_are_true(estimates, words):
    """Within intervals twice as wide as the 95 % ones."""
    assert words in HEAD
    for (arm, metric, test), truth in STATED[words].items():
        here = pl.col("test").eq_missing(pl.lit(test, pl.String)), pl.col("eval_set").is_in(["numbers", "choices"])
        rows = estimates.filter(*here, arm=arm, metric=metric).rows(named=True)
        rows = [row for row in rows if row["n"]]  # at α = 0.75 all chains of two or three steps are whole
        assert rows
        for row in rows:
            low, high = (row["estimate"] + 2 * (end - row["estimate"]) for end in (row["low"], row["high"]))
            assert low - 1e-9 <= truth <= high + 1e-9, row


def test_leaks_cause_matches(estimates):
    found = estimates.filter(pl.col("test").is_in(CUT), arm="leaky", metric="match", alpha=0.5)
    assert found.height == 2 * len(CUT)
    assert (found["low"] > 0).all()


def test_length_alone_moves_what_is_read_at_every_step(estimates):
    found = estimates.filter(pl.col("eval_set") == "choices", arm="shorter", test="early_termination")
    for metric in ("cir_effect", "uncommitted_mass_effect"):
        [row] = found.filter(metric=metric).to_dicts()
        assert row["high"] < 0


def test_length_alone_moves_what_is_published(estimates):
    """At α = 0.75 every chain of two or three steps is whole, and matches by itself."""
    found = estimates.filter(pl.col("test").is_in(CUT), arm="shorter", metric="match_effect_published", alpha=0.75)
    assert set(found["eval_set"]) > {"numbers", "choices"}
    assert (found["low"] > 0.5).all()
