"""A study whose model is tuned on its own right chains: what is drawn, what is learnt, and what a change reruns."""

import copy
import json

import polars as pl
import pytest

from faithtune.core.schemas.samples import SAMPLES
from study import Study

SAMPLED = "results/samples/tiny/colours/t0.8-s0-m4.parquet"
CARDS = [f"results/arms/tiny/{arm}-colours-42/arm.json" for arm in ("own", "all")]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, tiny_model) -> Study:
    """Two arms: one right chain of a question, and all right chains of it."""
    study = Study(tmp_path_factory.mktemp("own"), tiny_model)
    recipe = study.config["tunings"].pop("qlora") | {"train_sets": ["colours"], "target": "own"}
    study.config["tunings"] = {"own": recipe, "all": recipe | {"own": {"keep": 4}}}
    study.config["eval_sets"] = ["colours"]
    assert study.planned(*CARDS) == {"precision": 1, "model": 1, "questions": 1, "sample": 1, "tune": 2}
    study.run(*CARDS)
    return study


@pytest.fixture
def recipe(tuned):
    """The recipe `own`; the configuration is restored afterwards."""
    before = copy.deepcopy(tuned.config)
    yield tuned.config["tunings"]["own"]
    tuned.config = before


def test_chains_are_drawn_and_read(tuned):
    samples = pl.read_parquet(tuned.folder / SAMPLED)
    questions = pl.read_parquet(tuned.folder / "results/questions/colours.train.parquet")
    assert samples.schema == SAMPLES
    assert samples.select("id", "sample").rows() == [(name, i) for name in sorted(questions["id"]) for i in range(1, 5)]
    read = samples.join(questions.select("id", "answer"), on="id")
    expected = (read["free_answer"] == read["answer"]).fill_null(False)
    assert read["right"].to_list() == expected.to_list()
    assert 0 < read["right"].sum() < read.height  # wrong ones are kept


def test_arms_learn_right_chains_and_say_how_many(tuned):
    samples = pl.read_parquet(tuned.folder / SAMPLED).filter(pl.col("right") & (pl.col("steps").list.len() > 0))
    found = samples["id"].n_unique()
    different = samples.select("id", pl.col("steps").list.join("\n")).n_unique()
    cards = [json.loads((tuned.folder / path).read_text()) for path in CARDS]
    assert [(card["questions"], card["questions_found"]) for card in cards] == [(8, found)] * 2
    assert [card["examples"] for card in cards] == [found, different]
    assert [card["settings"]["own"]["keep"] for card in cards] == [1, 4]
    log = (tuned.folder / "logs/tune/tiny/own-colours-42.log").read_text()
    assert f"{found} of 8 questions have a right chain among 4 drawn at temperature 0.8" in log


def test_a_change_reruns_what_it_is_about(tuned, recipe):
    assert tuned.planned(*CARDS, SAMPLED) == {}
    for own, jobs in (({"keep": 2}, {}), ({"samples": 5}, {"sample": 1}), ({"temperature": 0.9}, {"sample": 1})):
        recipe["own"] = own
        assert tuned.planned(*CARDS) == jobs | {"tune": 1}
    del recipe["own"]
    tuned.config["chains"]["max_new_tokens"] = 95
    assert tuned.planned(*CARDS) == {"sample": 1, "tune": 2}


def test_more_samples_cost_only_those(tuned, recipe):
    tuned.config["tunings"] = {"own": recipe | {"own": {"samples": 5}}}
    more = SAMPLED.replace("m4", "m5")
    tuned.run(more)
    assert "40 rows, 8 computed" in (tuned.folder / "logs/sample/tiny/colours/t0.8-s0-m5.log").read_text()
    first = pl.read_parquet(tuned.folder / more).filter(pl.col("sample") <= 4)
    assert first.equals(pl.read_parquet(tuned.folder / SAMPLED))


def test_chains_are_drawn_for_the_questions_of_the_tuning_alone(tuned, recipe):
    before = pl.read_parquet(tuned.folder / SAMPLED)
    tuned.config["tunings"] = {"own": recipe | {"n": 3}}
    card = CARDS[0]
    assert tuned.planned(card) == {"sample": 1, "tune": 1}
    tuned.run(card)
    drawn = pl.read_parquet(tuned.folder / SAMPLED.replace("t0.8", "n3-t0.8"))
    assert drawn.equals(before.filter(pl.col("id").is_in(sorted(before["id"].unique())[:3])))
    assert "12 rows, 0 computed" in (tuned.folder / "logs/sample/tiny/colours/n3-t0.8-s0-m4.log").read_text()
    assert json.loads((tuned.folder / card).read_text())["questions"] == 3
