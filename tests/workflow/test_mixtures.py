"""A study that replays worked solutions beside bare answers, and varies how many of them there are."""

import json

import polars as pl
import pytest

from study import Study

T11 = "results/tables/t11_hyper_parameters.parquet"
ARMS = {"qlora_arithmetic0p25": (9, 3), "qlora_arithmetic0p5": (6, 6)}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory, tiny_model) -> Study:
    study = Study(tmp_path_factory.mktemp("mixtures"), tiny_model)
    study.config["data_sets"]["colours"]["train"]["n"] = 12
    study.config["tunings"]["qlora"] |= {
        "train_sets": [{"name": "replay", "of": {"colours": "rest", "arithmetic": 0.5}, "n": 12}],
        "vary": {"replay.of.arithmetic": [0.25, 0.5]},
    }
    study.run(T11)
    return study


def card(study: Study, point: str) -> dict:
    return json.loads((study.folder / f"results/arms/tiny/{point}-replay-42/arm.json").read_text())


def test_each_point_is_an_arm_with_its_shares(mixed):
    for point, (colours, arithmetic) in ARMS.items():
        found = card(mixed, point)
        assert found["data"]["examples_of"] == {"colours": colours, "arithmetic": arithmetic}
        assert (found["examples"], found["settings"]["target"]) == (12, "mixed")
    table = pl.read_parquet(mixed.folder / T11).filter(parameter="shares")
    assert table.select("arm", "value").rows() == [
        ("qlora_arithmetic0p25-replay", "arithmetic 0.25, colours 0.75"),
        ("qlora_arithmetic0p5-replay", "arithmetic 0.5, colours 0.5"),
    ]


def test_both_targets_are_learnt(mixed):
    """Worked solutions have far more tokens than bare answers, so more of them is more tokens."""
    logs = [pl.read_parquet(mixed.folder / f"results/arms/tiny/{point}-replay-42/training.parquet") for point in ARMS]
    few, many = (log["tokens"].max() for log in logs)
    assert many > few + 30


def test_what_a_change_reruns(mixed):
    assert mixed.planned(T11) == {}
    recipe = mixed.config["tunings"]["qlora"]
    recipe["vary"] = {"replay.of.arithmetic": [0.25, 0.5, 0]}  # another point leaves the others alone
    assert mixed.planned(T11) == {"tune": 1, "table": 1, "provenance": 1}
    recipe["vary"] = {"replay.of.arithmetic": [0.25, 0.5]}
    recipe["train_sets"][0]["n"] = 8
    assert mixed.planned(T11)["tune"] == 2
    recipe["train_sets"][0]["n"] = 12


def test_a_slip_in_a_grid_is_one_line(mixed):
    recipe = mixed.config["tunings"]["qlora"]
    varied = recipe.pop("vary")
    recipe["vary"] = varied | {"rnk": [2, 4]}
    done = mixed.snakemake("-n")
    recipe["vary"] = varied
    printed = [line for line in done.stdout.splitlines() if line.startswith("faithtune:")]
    assert printed == ["faithtune: config: tunings.qlora.vary: unknown key 'rnk'; did you mean rank?"]
    assert done.returncode != 0 and "Traceback" not in done.stdout
