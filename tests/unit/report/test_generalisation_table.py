"""T16: what an arm changed in and out of its domain, a line a subject."""

import polars as pl

from faithtune.measures.generalisation.domains import GENERALISATION
from faithtune.report.tables.cells import TableContext
from faithtune.report.tables.tables import readable, select

ROW = {"model": "m", "arm": "t-gsm8k", "subject": "accuracy", "low": -0.1, "high": 0.3, "p": 0.2, "n": 80}


def shown(*rows: dict) -> pl.DataFrame:
    chosen = select(pl.DataFrame(rows, schema=GENERALISATION), "t16_generalisation", TableContext())
    return readable(chosen, "t16_generalisation", TableContext())


def test_sets_stand_before_means_and_say_how_near_they_are():
    found = shown(
        ROW | {"where": "in", "eval_set": "gsm8k", "estimate": 0.1},
        ROW | {"where": "far", "eval_set": "siqa", "estimate": 0.02},
        ROW | {"where": "in", "estimate": 0.1},
        ROW | {"where": "far", "estimate": 0.02},
        ROW | {"where": "far - in", "estimate": -0.08, "n": 160},
        ROW | {"arm": "t-siqa", "where": "near", "eval_set": "asdiv", "estimate": 0.0, "low": None, "high": None},
        ROW | {"arm": "t-siqa", "where": "near", "estimate": None, "low": None, "high": None},
        ROW | {"arm": "t-siqa", "where": "near - in", "estimate": 0.0},
    )
    means = ["in-domain mean", "near mean", "far mean", "near - in-domain", "far - in-domain"]
    assert found.columns == ["model", "arm", "of", "gsm8k", "siqa", "asdiv", *means]
    ends = "[-0.100, +0.300]"
    assert found.rows() == [
        (
            *("m", "t-gsm8k", "accuracy", f"in: +0.100 {ends} (80)", f"+0.020 {ends} (80)", ""),
            *(f"+0.100 {ends} (80)", "", f"+0.020 {ends} (80)", "", f"-0.080 {ends} (160)"),
        ),
        ("m", "t-siqa", "accuracy", "", "", "near: +0.000 (80)", "", "n/a", "", f"+0.000 {ends} (80)", ""),
    ]


def test_sets_named_like_means_have_columns_of_their_own():
    found = shown(ROW | {"where": "far", "eval_set": "far", "estimate": 0.1}, ROW | {"where": "far", "estimate": 0.2})
    assert found.columns[3:] == ["far", "far mean"]


def test_a_study_without_known_tunings_says_so():
    assert shown().rows() == [("No tuned arm of the study is known to be tuned on a data set.",)]
