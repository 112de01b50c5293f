"""A tuning after a tuning, both measured: what the second makes of what the first taught."""

import polars as pl
import pytest

from faithtune.core import parquet
from faithtune.measures.long_term.forgetting import FORGETTING
from study import Study

T15 = "results/tables/t15_forgetting.parquet"
PATH = "first-colours → second-arithmetic"


@pytest.fixture(scope="module")
def sequence(tmp_path_factory, tiny_model) -> Study:
    study = Study(tmp_path_factory.mktemp("sequence"), tiny_model)
    recipe = study.config["tunings"].pop("qlora") | {"learning_rate": 0.01}
    study.config["tests"] = ["early_termination"]
    study.config["models"]["later"] = {"source": "arm:tiny/first-colours-42"}
    study.config["tunings"] = {
        "first": recipe | {"train_sets": ["colours"], "models": ["tiny"]},
        "second": recipe | {"train_sets": ["arithmetic"], "models": ["later"]},
    }
    study.run(T15)
    return study


def test_what_is_forgotten_and_transferred_stands_in_a_table(sequence):
    found = parquet.read(sequence.folder / T15, FORGETTING)
    assert set(found["path"]) == {PATH}
    assert set(found.select("quantity", "eval_set").rows()) == {
        *((f"after {i}", name) for i in (1, 2) for name in (None, "arithmetic", "colours")),
        *(("by 2", name) for name in (None, "arithmetic", "colours")),
        ("average", None),
        *((quantity, name) for quantity in ("forgetting", "backward") for name in (None, "colours")),
        *(("forward", name) for name in (None, "arithmetic")),
    }
    assert "backward" in (sequence.folder / T15).with_suffix(".md").read_text()


def test_each_is_a_sum_of_the_changes_of_both_models(sequence):
    """Accuracy of colours: the whole change is the first arm's and then the second's, of the same questions."""
    changes = pl.read_parquet(sequence.folder / "results/changes.parquet")
    by_arm = changes.filter(what="accuracy", eval_set="colours").group_by("arm").agg(pl.col("change").mean())
    found = parquet.read(sequence.folder / T15, FORGETTING).filter(subject="accuracy", eval_set="colours")
    values = dict(found.select("quantity", "estimate").rows())
    steps = dict(by_arm.rows())
    assert values["after 2"] == pytest.approx(steps["first-colours"] + steps["second-arithmetic"])
    assert values["after 1"] == pytest.approx(steps["first-colours"])
    assert values["backward"] == pytest.approx(steps["second-arithmetic"])
    assert values["forgetting"] == pytest.approx(-steps["second-arithmetic"])
