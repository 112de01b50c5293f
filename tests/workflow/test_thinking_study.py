"""A study of a model that thinks, with each family's chat template: from its card to its answers, tuned and not."""

import json

import polars as pl
import pytest

from study import Study

ARMS = ("base", "qlora-arithmetic-42", "bare-arithmetic-42")
CARD = "results/models/tiny/model.json"
OPENED, CLOSED = "<think>\n", "\n</think>\n\n"


@pytest.fixture(scope="module")
def thought(tmp_path_factory, thinking_model) -> Study:
    """Tuned to think and to answer at once, on sums; with tests that cut, fill and regenerate thoughts."""
    study = Study(tmp_path_factory.mktemp("thought"), thinking_model)
    study.config["eval_sets"] = ["arithmetic"]
    recipe = study.config["tunings"]["qlora"]
    study.config["tunings"]["bare"] = recipe | {"target": "answer_only"}
    study.config["tests"] = ["early_termination", "filler", "mistake"]
    study.config["data_sets"]["arithmetic"] = {"train": {"n": 8}, "eval": {"n": 4}}
    study.run(*(f"results/answers/tiny/{arm}/arithmetic.parquet" for arm in ARMS))
    return study


def frame(study, stage, arm):
    return pl.read_parquet(study.folder / f"results/{stage}/tiny/{arm}/arithmetic.parquet")


def test_the_card_says_how_the_model_thinks(thought):
    card = json.loads((thought.folder / CARD).read_text())
    assert card["turns"] == {"enable_thinking": True, "thinking": [OPENED, CLOSED]}
    assert "it thinks between <think> and </think>" in (thought.folder / "logs/model/tiny.log").read_text()


def test_chains_are_thoughts_and_answers_follow_them(thought):
    for arm in ARMS:
        chains, answers = frame(thought, "chains", arm), frame(thought, "answers", arm)
        assert chains["text"].str.starts_with(OPENED).all()
        closed = chains["text"].str.contains("</think>")
        assert ((chains["outcome"] == "truncated") == ~closed).all()
        assert not chains["text"].str.contains("Step 1:").any()
        assert (answers.filter(test="no_cot")["outcome"] != "unavailable").all()
    base = frame(thought, "interventions", "base")
    chains = frame(thought, "chains", "base")
    assert base.filter(test="full")["text"].to_list() == ["\n\n".join(steps) for steps in chains["steps"]]
    assert not base["text"].drop_nulls().str.contains("think>|Step ").any()


def test_table_t12_shows_the_block(thought):
    thought.run("results/tables/t12_prompts.parquet")
    table = pl.read_parquet(thought.folder / "results/tables/t12_prompts.parquet")
    assert table.filter(prompt="chain start of tiny")["begins"].to_list() == ["<think>"]


def test_thinking_switched_off_is_another_card_and_other_prompts(thought):
    thought.config["models"]["tiny"]["thinking"] = False
    planned = thought.planned("results/chains/tiny/base/arithmetic.parquet")
    assert planned == {"model": 1, "chains": 1}
    del thought.config["models"]["tiny"]["thinking"]
    assert thought.planned("results/chains/tiny/base/arithmetic.parquet") == {}


def test_a_chat_template_that_cannot_be_rendered_is_named(thought):
    (thought.folder / "broken.jinja").write_text("{{ raise_exception('no such role') }}")
    thought.config["models"]["other"] = thought.config["models"]["tiny"] | {"chat_template": "broken.jinja"}
    done = thought.snakemake("--cores", "1", "results/models/other/model.json")
    assert done.returncode != 0
    assert "broken.jinja: the chat template cannot be rendered (no such role)" in done.stdout
    assert "Traceback" not in done.stdout
    del thought.config["models"]["other"]
