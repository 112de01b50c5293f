"""A study that looks inside its arms, through the whole DAG: a finished one to which `probes` is added."""

import json

import polars as pl
import pytest

from faithtune.core import parquet
from faithtune.core.schemas.probes import CORRELATIONS, INSIDE, PROBES
from faithtune.measures.claims import CLAIMS
from faithtune.probes import registry
from study import Study

TARGETS = (
    *("results/claims.parquet", "results/verdict.json", "results/tables/t19_inside.md"),
    *("results/tables/t20_correlations.md", "results/tables/t21_moved.md"),
    *("results/figures/layers.svg", "results/figures/dose.svg", "results/report/items/arithmetic"),
)
TUNED = "qlora-arithmetic-42"


@pytest.fixture(scope="module")
def inside(finished, tmp_path_factory) -> Study:
    study = finished.copied(tmp_path_factory.mktemp("inside"))
    study.config["probes"] = {"windows": 2, "scales": [0, 1], "eval_sets": ["arithmetic"], "n": 5}
    planned = study.planned(*TARGETS)
    assert {"probe": 2, "dose": 1, "weights": 1, "inside": 1}.items() <= planned.items()
    assert not {"tune", "chains", "answer"} & set(planned)
    study.run(*TARGETS)
    return study


def test_nothing_is_left_to_do_and_more_windows_ask_for_knock_outs_alone(inside, monkeypatch):
    assert inside.planned(*TARGETS) == {}
    monkeypatch.setitem(inside.config, "probes", inside.config["probes"] | {"windows": 1})
    planned = inside.planned("results/inside.parquet")
    assert planned == {"probe": 2, "inside": 1}


def test_every_look_has_left_its_measures(inside):
    folder = inside.folder / "results"
    found = {arm: parquet.read(folder / f"probes/tiny/{arm}/arithmetic.parquet", PROBES) for arm in ("base", TUNED)}
    dose = parquet.read(folder / f"dose/tiny/{TUNED}/arithmetic.parquet", PROBES)
    weights = parquet.read(folder / f"weights/tiny/{TUNED}.parquet", PROBES)
    measured = {*found[TUNED]["measure"], *dose["measure"], *weights["measure"]}
    # The evaluation set has numbers alone: no options, and no linear probe.
    assert measured == set(registry.MEASURES) - {"knockout_js", "removal_js", "linear"}
    assert set(found["base"]["measure"]) == set(found[TUNED]["measure"]) - {"kl", "cka"}
    assert found["base"]["id"].n_unique() <= 6  # five questions, and the rows of the whole arm
    windows = found["base"].filter(pl.col("measure") == "knockout_log_p", pl.col("last_layer").is_not_null())
    assert set(windows.select("layer", "last_layer").rows()) == {(0, 0), (1, 1)}


def test_at_scale_1_the_arm_answers_as_it_did(inside):
    dose = parquet.read(inside.folder / f"results/dose/tiny/{TUNED}/arithmetic.parquet", PROBES)
    same = dose.filter(pl.col("part").is_null(), measure="dose_same", scale=1.0)["value"].drop_nulls()
    assert len(same) > 0 and same.min() == 1.0


def test_what_it_comes_to(inside):
    found = parquet.read(inside.folder / "results/inside.parquet", INSIDE)
    whole = found.filter(pl.col("layer").is_null(), measure="knockout_changed", part="chain", alpha=1.0)
    assert set(whole.select("arm", "what").rows()) == {
        *(("base", "value"), ("qlora-arithmetic", "value"), ("qlora-arithmetic", "change"))
    }
    parquet.read(inside.folder / "results/inside_correlations.parquet", CORRELATIONS)
    claims = parquet.read(inside.folder / "results/claims.parquet", CLAIMS)
    assert {"C6", "C7"} <= set(claims["claim"])
    [last] = claims.filter(claim="C7").to_dicts()
    assert last["verdict"] == "not testable" and "it takes 4 or more" in last["note"]


def test_the_report_shows_it(inside):
    results = inside.folder / "results"
    [arm] = [one for one in json.loads((results / "verdict.json").read_text())["arms"] if one["arm"] != "base"]
    assert "arithmetic" in json.dumps(arm["inside"])
    assert "qlora-arithmetic" in (results / "tables/t19_inside.md").read_text()
    assert "qlora-arithmetic" in (results / "tables/t21_moved.md").read_text()
    written = [path.read_text() for path in (results / "report/items/arithmetic").glob("*.js*")]
    assert any("knockout" in text or "inside" in text for text in written)
