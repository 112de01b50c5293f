"""A study that tunes by other methods and adapters: their trainings, their answers, and what makes them stale."""

import polars as pl
import pytest

from faithtune.jobs import job
from study import Study

ARMS = {"dora": "dora-arithmetic-42", "dpo": "dpo-arithmetic-42", "grpo": "grpo-arithmetic-42"}


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, tiny_model) -> Study:
    study = Study(tmp_path_factory.mktemp("methods"), tiny_model)
    study.config["eval_sets"] = ["arithmetic"]
    recipe = study.config["tunings"].pop("qlora")
    study.config["tunings"] = {
        "dora": recipe | {"adapter": "dora"},
        "dpo": recipe | {"method": "dpo", "adapter": "rslora"},
        "grpo": recipe | {"method": "grpo", "grpo": {"generations": 2, "max_new_tokens": 16}},
    }
    study.config["tests"] = ["early_termination"]
    study.run(*(f"results/answers/tiny/{arm}/arithmetic.parquet" for arm in ARMS.values()))
    return study


def test_each_arm_has_its_method_and_answers(tuned):
    for name, arm in ARMS.items():
        card = job.load_json(tuned.folder / f"results/arms/tiny/{arm}/arm.json")
        assert (card["method"], card["adapter"]) == {
            "dora": ("sft", "dora"),
            "dpo": ("dpo", "rslora"),
            "grpo": ("grpo", "qlora"),
        }[name]
        answers = pl.read_parquet(tuned.folder / f"results/answers/tiny/{arm}/arithmetic.parquet")
        assert answers.filter(test="full")["outcome"].is_in(["answered", "unanswered", "truncated"]).all()
    log = pl.read_parquet(tuned.folder / f"results/arms/tiny/{ARMS['grpo']}/training.parquet")
    assert log["reward"].is_between(0, 1).all() and log["margin"].is_null().all()


def test_what_makes_a_training_stale(tuned):
    arms = [f"results/arms/tiny/{arm}/arm.json" for arm in ARMS.values()]
    assert tuned.planned(*arms) == {}
    tuned.config["chains"]["forced_start"] = False  # grpo writes chains as the evaluation does
    assert tuned.planned(*arms) == {"tune": 1}
    tuned.config["chains"]["forced_start"] = True
    tuned.config["tunings"]["dpo"]["beta"] = 0.3
    assert tuned.planned(*arms) == {"tune": 1}
    tuned.config["tunings"]["grpo"]["grpo"]["form_reward"] = 0.2
    assert tuned.planned(*arms) == {"tune": 2}
