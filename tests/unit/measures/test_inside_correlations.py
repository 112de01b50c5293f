"""Rank correlations of changes inside arms with changes of their answers, and their intervals, worked out by hand."""

import math

import polars as pl
import pytest

from faithtune.core.schemas.estimates import CHANGES
from faithtune.core.schemas.probes import CORRELATIONS, INSIDE
from faithtune.measures.inside.correlations import correlations, interval, spearman

Z_95 = 1.959963984540054


def inside(measure: str, estimates: dict, what="change", part: str | None = "chain", **columns) -> list[dict]:
    """Rows of INSIDE by (model, arm, evaluation set)."""
    keys = [dict(zip(("model", "arm", "eval_set"), key, strict=True)) for key in estimates]
    shared = dict.fromkeys(INSIDE) | {"what": what, "measure": measure, "part": part} | columns
    return [shared | key | {"estimate": value} for key, value in zip(keys, estimates.values(), strict=True)]


def changed(what: str, changes: dict, tests=(None,)) -> list[dict]:
    """Rows of CHANGES by (model, arm, evaluation set): two questions around the mean, in each test."""
    return [
        dict.fromkeys(CHANGES)
        | {"model": model, "arm": arm, "eval_set": eval_set, "id": f"{eval_set}{i}", "group": f"{eval_set}{i}"}
        | {"what": what, "test": test, "seed": 1, "change": change + sign * 0.05 + shift}
        for (model, arm, eval_set), change in changes.items()
        for test, shift in zip(tests, (0.1, -0.1) if len(tests) > 1 else (0.0,), strict=True)
        for i, sign in enumerate((1, -1))
    ]


def found(rows: list[dict], changes: list[dict]) -> dict[tuple, dict]:
    """The rows by measure, part and against."""
    given = pl.DataFrame(rows, schema=INSIDE), pl.DataFrame(changes, schema=CHANGES)
    frame = correlations(*given, confidence=0.95)
    assert frame.schema == CORRELATIONS
    return {(row["measure"], row["part"], row["against"]): row for row in frame.rows(named=True)}


def points(values: list[float], model="tiny", sets=("s",)) -> dict:
    """By (model, arm, evaluation set): arms a0, a1, … on each set in turn."""
    keys = [(model, f"a{i}", name) for i in range(math.ceil(len(values) / len(sets))) for name in sets]
    return dict(zip(keys, values, strict=True))


def test_a_correlation_and_its_interval():
    changes = changed("faithfulness", points([0.1, 0.3, 0.2, 0.5, 0.4]), tests=("filler", "mistake"))
    row = found(inside("knockout_log_p", points([1.0, 2.0, 3.0, 4.0, 5.0]), alpha=1.0), changes)[
        "knockout_log_p", "chain", "faithfulness"
    ]
    assert row["rho"] == pytest.approx(0.8)  # 1 - 6 Σd² / (n (n² - 1)) = 1 - 24 / 120
    error = math.sqrt((1 + 0.8**2 / 2) / 2)
    assert row["low"] == pytest.approx(math.tanh(math.atanh(0.8) - Z_95 * error)) == pytest.approx(-0.45712, abs=1e-5)
    assert row["high"] == pytest.approx(math.tanh(math.atanh(0.8) + Z_95 * error)) == pytest.approx(0.99085, abs=1e-5)
    assert (row["n"], row["arms"], row["models"]) == (5, 5, 1)


def test_ties_have_their_mean_rank():
    # Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: covariance 4.5 / √(4.5 × 5).
    assert spearman([1.0, 2.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0]) == pytest.approx(math.sqrt(0.9))
    assert spearman([1.0, 0.1 + 0.2, 0.3, 2.0], [1.0, 2.0, 3.0, 4.0]) == spearman([1.0, 0.3, 0.3, 2.0], [1, 2, 3, 4])


def test_p_and_interval_agree():
    for rho in (-0.9, -0.1, 0.3, 0.62, 0.63, 0.64, 0.65, 0.9, 1.0):
        for n in (4, 6, 10, 30):
            found = interval(rho, n, 0.95)
            assert found.low <= rho <= found.high
            assert (found.p < 0.05) == (not found.low <= 0 <= found.high)


def test_a_perfect_order_of_few_points_is_not_certain():
    value, low, high, p = interval(1.0, 4, 0.95)
    assert (value, high) == (1.0, 1.0) and p > 0.05
    # In place of 1 stands 1 - 6 / 60 = 0.9.
    assert low == pytest.approx(math.tanh(math.atanh(0.9) - Z_95 * math.sqrt(1.405))) and low < 0
    assert interval(-1.0, 4, 0.95)[:3] == pytest.approx((-1.0, -1.0, -low))
    assert interval(1.0, 30, 0.95).low > 0.99


def test_few_points_have_no_interval_and_fewer_no_correlation():
    for n, (rho, low) in {2: (None, None), 3: (1.0, None), 4: (1.0, -0.6916)}.items():
        values = [float(i) for i in range(n)]
        row = found(inside("knockout_js", points(values), alpha=1.0), changed("accuracy", points(values)))[
            "knockout_js", "chain", "accuracy"
        ]
        assert (row["rho"], row["n"]) == (rho, n)
        assert row["low"] == (low if low is None else pytest.approx(low, abs=1e-4))
    assert spearman([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) is None


def test_weights_are_of_each_set_and_compared_with_sizes():
    moved = {(model, arm, None): value for (model, arm, _), value in points([1.0, 2.0]).items()}
    changes = changed("faithfulness", points([0.1, -0.2, -0.3, -0.4], sets=("s", "t")))
    rows = found(inside("weight_change", moved, what="value", part=None), changes)
    assert set(rows) == {
        ("weight_change", None, name.format(of))
        for of in ("faithfulness", "accuracy", "lift")
        for name in ("{}", "|{}|")
    }
    size = rows["weight_change", None, "|faithfulness|"]
    assert size["rho"] == pytest.approx(4 / math.sqrt(4 * 5))  # ranks 1.5, 1.5, 3.5, 3.5 against 1, 2, 3, 4
    assert (size["n"], size["arms"], size["models"]) == (4, 2, 1)
    signed = rows["weight_change", None, "faithfulness"]
    assert signed["rho"] == pytest.approx(-4 / math.sqrt(4 * 5))  # against 4, 3, 2, 1
    assert (rows["weight_change", None, "lift"]["rho"], rows["weight_change", None, "lift"]["n"]) == (None, 0)


def test_only_numbers_over_all_layers_after_the_whole_chain_are_compared():
    values = points([1.0, 2.0, 3.0])
    rows = [
        *inside("knockout_js", values, alpha=0.5),
        *inside("knockout_changed", values, alpha=1.0, layer=0, last_layer=3),
        *inside("lens_p", values, part="cue", layer=1),
        *inside("cka", values, what="value", part=None, layer=1),
        *inside("weight_change", values, what="value", part="q_proj"),
        *inside("attention", values),
        *inside("knockout_changed", values, what="value", alpha=1.0),
        *inside("decision_layer", values, part="cue"),
        *inside("cka", values, what="value", part=None),
    ]
    compared = {key[:2] for key in found(rows, changed("lift", values))}
    assert compared == {("decision_layer", "cue"), ("cka", None)}


def test_models_and_arms_are_counted():
    values = points([1.0, 2.0, 3.0, 4.0], sets=("s", "t")) | points([5.0, 6.0], model="large")
    changes = changed("accuracy", dict(list(values.items())[1:]))  # one pair has no change
    row = found(inside("removal_js", values, alpha=1.0), changes)["removal_js", "chain", "accuracy"]
    assert (row["n"], row["arms"], row["models"]) == (5, 4, 2)
