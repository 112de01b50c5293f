"""Arms that read each other's chains through the whole DAG: oracles whose tuning changed one of the two."""

import json

import polars as pl
import pytest

from faithtune.core import parquet
from faithtune.measures.generalisation.crossing import CROSSING
from study import Study

BASE = {"accuracy": 0.8, "seed": 1}


@pytest.fixture(scope="module")
def crossed(tmp_path_factory) -> Study:
    folder = tmp_path_factory.mktemp("crossed")
    study = Study(folder, folder)
    study.config |= {
        "models": {
            "oracle": {
                "oracle": {
                    "base": BASE,
                    "reading-boxes-1": BASE | {"faithful": 0.5},
                    "writing-boxes-1": BASE | {"slips": 0.5},
                }
            }
        },
        "data_sets": {"arithmetic": {"eval": {"n": 60}}},
        "eval_sets": ["arithmetic"],
        "tests": ["early_termination", "filler"],
        "crossing": {"n": 50},
    }
    del study.config["tunings"], study.config["paraphraser"]
    study.run("results/verdict.json", "results/tables/t18_crossing.md")
    return study


def test_the_part_that_tuning_changed_is_found(crossed):
    found = parquet.read(crossed.folder / "results/crossing.parquet", CROSSING)
    assert set(found.filter(subject="accuracy")["n"]) == {50}

    def part(arm, subject, quantity):
        rows = found.filter(pl.col("eval_set").is_null(), pl.col("test").is_null(), arm=arm, subject=subject)
        return rows.filter(quantity=quantity).row(0, named=True)

    reading, chains = (part("reading-boxes", "faithfulness", name) for name in ("reading", "chains"))
    assert reading["low"] <= -0.5 <= reading["high"] and chains["estimate"] == 0
    chains, reading = (part("writing-boxes", "accuracy", name) for name in ("chains", "reading"))
    assert chains["low"] <= -0.4 <= chains["high"] and reading["estimate"] == 0


def test_table_and_verdict_say_so(crossed):
    verdict = json.loads((crossed.folder / "results/verdict.json").read_text())
    by_arm = {arm["arm"]: arm for arm in verdict["arms"]}
    assert "its chains account for +0.00" in by_arm["reading-boxes"]["crossing"]["sentence"]
    said = by_arm["writing-boxes"]["crossing"]["sentence"]
    assert (
        said.startswith("After each other's chains: of the change of accuracy, ")
        and "(50 questions)" in said
        and "given base's chains it is right +0." in said
    )
    assert by_arm["writing-boxes"]["sentences"][-1] == said
    assert "t reads b" in (crossed.folder / "results/tables/t18_crossing.md").read_text()
