"""T19 to T21: what answers need to see, what goes with the effects, how far tuning moved."""

import polars as pl
import pytest

from faithtune.core import parquet
from faithtune.core.schemas.probes import CORRELATIONS, INSIDE
from faithtune.report.tables.cells import TableContext
from faithtune.report.tables.layouts.inside import MOVED, NEEDED
from faithtune.report.tables.tables import TABLES, readable
from inside_frames import by_layer, correlations, doses, frame, hidden, row, weights

SCHEMAS = {"t19_inside": INSIDE, "t20_correlations": CORRELATIONS, "t21_moved": INSIDE}


def laid(name: str, rows: pl.DataFrame) -> pl.DataFrame:
    return readable(rows, name, TableContext())


def test_a_line_an_arm_and_the_change_below_it():
    found = laid("t19_inside", frame(*hidden()))
    assert found.columns == [
        *("model", "arm", "set", "of", "chain hidden", "as many others", "chain minus others", "question hidden"),
        *("as many of the rest", "question minus others", "n", "unanswered", "truncated"),
    ]
    labels = [("base", "answers changed"), ("q-s", "answers changed"), ("q-s", "answers changed, minus base")]
    assert found.select("arm", "of").rows() == labels
    assert found.row(1)[4:8] == (
        *("0.830 [0.730, 0.930]", "0.310 [0.210, 0.410]", "+0.520 [+0.420, +0.620]", "0.050 [-0.050, 0.150]"),
    )
    assert found["chain hidden"][2] == "+0.030 [-0.070, +0.130]"
    assert found.row(2)[-3:] == ("40", "1", "0")


def test_deleted_texts_and_other_effects_have_columns_and_lines_of_their_own():
    asked = {"alpha": 1.0, "n_unanswered": 0, "n_truncated": 0}
    rows = [
        row("knockout_log_p", "chain", -2.5, **asked),
        row("removal_log_p", "chain", -3.0, None, **asked | {"n": 38}),
        row("knockout_js", "chain", 0.2, **asked),
        row("knockout_js", "question", None, **asked),
    ]
    found = laid("t19_inside", frame(*rows))
    assert found.columns[4:-3] == ["chain hidden", "question hidden", "chain deleted"]
    assert found.select(found.columns[3:8]).rows() == [
        ("Δ log p", "-2.500 [-2.600, -2.400]", "", "-3.000", "38 to 40"),
        ("JS divergence", "0.200 [0.100, 0.300]", "n/a", "", "40"),
    ]


def test_parts_of_chains_and_windows_are_in_the_rows_alone():
    """The line is of the whole chain and all layers, wherever the other rows stand."""
    others = hidden(shares={"chain": (0.1, 0.2)}, alpha=0.5)
    others += hidden(shares={"chain": (0.1, 0.2)}, layer=0, last_layer=9)
    first, last = (laid("t19_inside", frame(*rows)) for rows in ([*hidden(), *others], [*others, *hidden()]))
    assert first.equals(last) and first.height == 3
    assert laid("t19_inside", frame(*others)).rows() == [(TABLES["t19_inside"].nothing,)]


def test_correlations_stand_beside_each_other():
    about = {"n": 6, "arms": 2, "models": 1}
    hiding = about | {"measure": "knockout_changed", "part": "chain"}
    rows = [
        hiding | {"against": "accuracy", "rho": 0.1},
        hiding | {"against": "faithfulness", "rho": 0.5, "low": -0.2, "high": 0.9},
        about | {"measure": "weight_change", "against": "|faithfulness|", "rho": None, "n": 2},
    ][::-1]
    found = laid("t20_correlations", correlations(*rows))
    assert found.columns == [
        *("change of", "part", "faithfulness", "accuracy", "size: faithfulness", "n", "arms", "models")
    ]
    assert found.rows() == [
        ("answers that hiding changes", "chain", "+0.500 [-0.200, +0.900]", "+0.100", "", "6", "2", "1"),
        ("relative change of weights", "", "", "", "n/a", "2", "2", "1"),
    ]


def test_the_caption_says_how_little_few_arms_tell():
    caption = TABLES["t20_correlations"].caption
    assert "Few arms tell little" in caption and "not independent" in caption


def test_what_no_set_changes_has_a_line_of_its_own():
    at_cue = {"layer": None, "n": 30}
    rows = [
        row("decision_layer", "cue", 24.5, 1.0, **at_cue | {"arm": "base", "train_set": None}),
        row("decision_layer", "before", 3.0, 1.0, **at_cue),
        row("decision_layer", "cue", 22.0, 1.0, **at_cue),
        row("decision_layer", "cue", -2.5, 1.5, **at_cue | {"what": "change"}),
        row("kl", None, 0.00123, 0.0004),
        row("cka", None, 0.9, None, n=None),
        row("cka", None, 0.1, layer=3),
    ]
    found = laid("t21_moved", frame(*rows, *weights()))
    assert found.columns[:4] == ["model", "arm", "set", "‖ΔW‖/‖W‖"]
    far = ("0.0012 [0.00083, 0.0016] (40)", "0.900", "22.0 [21.0, 23.0] (30)", "-2.500 [-4.000, -1.000] (30)")
    assert found.select(found.columns[1:]).rows() == [
        ("base", "s", "", "", "", "", "24.5 [23.5, 25.5] (30)", ""),
        ("q-s", "s", "", "", *far),
        ("q-s", "all", "0.012", "5.000", "", "", "", ""),
    ]


@pytest.mark.parametrize(("name", "schema"), SCHEMAS.items())
def test_a_study_without_probes_says_which_key_it_lacks(name, schema):
    files = {each: [] for each in TABLES[name].source.inputs}
    rows = TABLES[name].source.read(files, {})
    assert rows.schema == schema and rows.is_empty()
    ((line,),) = laid(name, rows).rows()
    assert line.endswith("(key probes).")


@pytest.mark.parametrize(("name", "measures"), [("t19_inside", NEEDED), ("t21_moved", MOVED)])
def test_a_table_takes_its_measures_from_the_file(name, measures, tmp_path):
    known = frame(*hidden(), *hidden(alpha=0.5), *by_layer(), *weights(), *doses(), row("kl", None, 0.1))
    parquet.write(known, tmp_path / "inside.parquet", INSIDE)
    found = TABLES[name].source.read({"inside": [str(tmp_path / "inside.parquet")]}, {})
    assert found.equals(known.filter(pl.col("measure").is_in(measures))) and 0 < found.height < known.height
    assert set(found["alpha"].drop_nulls()) == ({0.5, 1.0} if name == "t19_inside" else set())
