"""Every metric is defined once: the definitions are those of the estimates, and nothing shown lacks one."""

import re
from dataclasses import replace

import polars as pl
import pytest

import oracles
from faithtune.measures.metrics.metric import DIFFERENCE, DIRECTIONS
from faithtune.measures.metrics.registry import METRICS, markdown_table
from faithtune.report.tables import rows
from faithtune.report.tables.published import TRANSCRIBED
from faithtune.report.tables.tables import TABLES

CHANGES = {name for name, metric in METRICS.items() if metric.is_effect}
APPLIED = {"eval_set": "boxes", "changed": 0.25, "kl": 0.5, "positions": 80}


@pytest.fixture(scope="module")
def estimates(templates) -> pl.DataFrame:
    """A study of oracles in all tests, one arm of which lacks the chain of a question, as imported arms may.

    It is said to be one that was handed in.
    """
    asked = {"boxes": oracles.made_up(12, 4)}
    base, tuned = (
        oracles.arm(asked["boxes"], {"accuracy": accuracy, "faithful": faithful, "leaks": 0.5}, templates)
        for accuracy, faithful in ((0.8, 0.9), (0.6, 0.4))
    )
    there = pl.col("id") != asked["boxes"]["id"][0]
    frames = {name: frame.filter(there) for name, frame in vars(tuned).items()}
    arms = {"base": {"boxes": base}, "tuned": {"boxes": replace(tuned, **frames)}}
    return oracles.estimate(arms, asked, [0.25, 0.5], 100, 1, {"tuned": APPLIED})


def test_the_estimates_have_the_metrics_that_are_defined(estimates):
    assert set(estimates["metric"]) == set(METRICS)


def test_how_far_an_arm_is_from_base_is_told_once(estimates):
    found = estimates.filter(pl.col("metric").is_in(["tokens_changed", "token_divergence"]))
    assert found.select("arm", "eval_set", "estimate", "low", "n").rows() == [
        ("tuned", "boxes", 0.25, None, 80),
        ("tuned", "boxes", 0.5, None, 80),
    ]


def test_effects_have_a_p_and_no_other_metric_has(estimates):
    assert set(estimates.drop_nulls("p")["metric"]) == CHANGES


def test_differences_alone_may_be_negative(estimates):
    negative = estimates.filter(pl.col("low") < 0)["metric"].unique()
    assert all(METRICS[name].unit in (DIFFERENCE, "ratio", "correlation") for name in negative if name not in CHANGES)
    shares = estimates.filter(pl.col("high") > 1)["metric"].unique()
    assert not [name for name in shares if METRICS[name].unit in ("share", "probability", DIFFERENCE)]
    assert "change_floored" not in set(shares)  # a ratio, but no more than all answers can change


def test_bounds_bracket_what_they_bound(estimates):
    where = ["arm", "eval_set", "test", "alpha", "k"]
    bounded = {name: metric.bounds for name, metric in METRICS.items() if metric.bounds}
    for name, ends in bounded.items():
        least, most = (
            estimates.filter(metric=end).select(*where, pl.col("estimate").alias(side))
            for end, side in zip(ends, ("least", "most"), strict=True)
        )
        found = estimates.filter(metric=name).drop_nulls("estimate").select(*where, "estimate")
        found = found.join(least, on=where, nulls_equal=True).join(most, on=where, nulls_equal=True)
        assert found.height > 0
        assert found.filter((pl.col("least") > pl.col("estimate")) | (pl.col("most") < pl.col("estimate"))).is_empty()


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_a_definition_is_whole(metric):
    assert METRICS[metric.name] is metric
    assert metric.title and metric.n and metric.unit and metric.direction in DIRECTIONS
    assert metric.what[0].isupper() or metric.what[0] == "("
    assert not metric.what.endswith((".", ";")) and "\n" not in metric.what and "|" not in metric.what + metric.note
    assert set(metric.bounds or ()) <= set(METRICS)


def test_directions_agree_with_the_tests():
    assert [METRICS["match"].direction_in(test) for test in ("filler", "paraphrase")] == [-1, 1]
    assert [METRICS["aoc"].direction_in(test) for test in ("filler", "paraphrase")] == [1, -1]
    assert [METRICS["faithfulness"].direction_in(test) for test in ("filler", "paraphrase")] == [1, 1]
    assert METRICS["accuracy"].direction_in("cot") == 0


def test_nothing_is_shown_that_is_not_defined():
    shown = {metric for table in TABLES.values() for metric in table.metrics}
    shown |= {*rows.ACCURACY, *rows.MATCH, *rows.CHANGES, *rows.DIAGNOSTIC, *rows.LANHAM}
    shown |= {metric for _, metric in TRANSCRIBED.values()}
    assert shown <= set(METRICS)


def test_labels_are_unambiguous_within_a_table():
    assert len({metric.title for metric in METRICS.values()}) == len(METRICS)
    for table in TABLES.values():
        names = [table.named(metric) for metric in table.metrics]
        assert len(names) == len(set(names))


def test_the_manual_gets_a_line_for_each():
    head, rule, *lines = markdown_table().splitlines()
    assert [re.match(r"\| `(\w+)`", line).group(1) for line in lines] == list(METRICS)
    assert {line.count("|") for line in (head, rule, *lines)} == {head.count("|")}
