"""T15: what sequences of tunings forget, a line a subject and set."""

import polars as pl

from faithtune.measures.long_term.forgetting import FORGETTING
from faithtune.report.tables.cells import TableContext
from faithtune.report.tables.tables import readable, select

ROW = {"model": "m", "path": "a-s → b-t", "subject": "accuracy", "low": -0.1, "high": 0.3}


def test_quantities_stand_side_by_side():
    rows = [
        ROW | {"quantity": "forgetting", "eval_set": None, "estimate": 0.1, "n": 80},
        ROW | {"quantity": "forgetting", "eval_set": "s", "estimate": 0.1, "n": 80},
        ROW | {"quantity": "after 2", "eval_set": None, "estimate": 0.2, "n": 160},
    ]
    chosen = select(pl.DataFrame(rows, schema=FORGETTING), "t15_forgetting", TableContext())
    found = readable(chosen, "t15_forgetting", TableContext())
    assert found.columns == ["model", "tunings", "of", "set", "forgetting", "after 2"]
    assert found.rows() == [
        ("m", "a-s → b-t", "accuracy", "all", "+0.100 [-0.100, +0.300] (80)", "+0.200 [-0.100, +0.300] (160)"),
        ("m", "a-s → b-t", "accuracy", "s", "+0.100 [-0.100, +0.300] (80)", ""),
    ]


def test_a_study_without_sequences_says_so():
    found = readable(pl.DataFrame(schema=FORGETTING), "t15_forgetting", TableContext())
    assert found.rows() == [("No tuning of the study follows another one that is measured.",)]
