"""A real server of the OpenAI API on loopback answers for SmolLM2 like the model loaded here."""

import os
import socket
import subprocess
import sys
import time
import urllib.request

import polars as pl
import pytest
import yaml

from faithtune.core import parquet
from faithtune.core.schemas.answers import ANSWERS
from faithtune.core.schemas.chains import CHAINS
from study import ROOT, Study

pytestmark = pytest.mark.slow

KEYS = ["id", "test", "k"]
SETS = ("arithmetic", "siqa")


@pytest.fixture(scope="module")
def study(tmp_path_factory, tiny_model) -> Study:
    """A study with SmolLM2, from its wheel, as the only model."""
    study = Study(tmp_path_factory.mktemp("peer"), tiny_model)
    embedded = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    study.config |= {
        # Like the server: not quantised; in 32 bits no two tokens are nearly tied.
        "models": {"here": embedded["models"]["smollm2"] | {"measured": True}},
        "data_sets": {
            "arithmetic": {"eval": {"n": 2}},
            "siqa": {"eval": embedded["data_sets"]["siqa"]["train"] | {"n": 2}},
        },
        "eval_sets": list(SETS),
        "tunings": {},
        "tests": ["early_termination", "filler"],
        "answers": {"max_new_tokens": 8, "again": 2},
    }
    study.run("results/models/here/model.json")
    return study


@pytest.fixture(scope="module")
def server(study):
    """Runs `transformers serve` on the model's folder; yields its address."""
    weights = study.folder / "results/models/here/weights"
    (study.folder / "hub/hub").mkdir(parents=True)  # without a cache the server has no list of models
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(weights), "--device", "cpu"]
    command += ["--dtype", "float32", "--host", "127.0.0.1", "--port", str(port)]
    environment = os.environ | {"HF_HOME": str(study.folder / "hub"), "HF_HUB_OFFLINE": "1"}
    with open(study.folder / "server.log", "w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        _wait(process, f"http://127.0.0.1:{port}/health", study.folder / "server.log")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait()


def _wait(process: subprocess.Popen, url: str, log) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        try:
            direct.open(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.5)
    pytest.fail(log.read_text())


@pytest.fixture(scope="module")
def finished(study, server) -> Study:
    """A study that asks the same model here and at the server."""
    weights = str(study.folder / "results/models/here/weights")
    common = {"base_url": server, "model": weights, "tokenizer": weights, "timeout": 300, "concurrency": 2}
    study.config["models"] |= {
        "there": {"api": {**common, "endpoint": "completions", "abilities": ["continue", "seed"]}},
        "chat": {"api": {**common, "endpoint": "chat"}},
    }
    asked = [(model, name) for model in ("here", "there") for name in SETS] + [("chat", "arithmetic")]
    study.run(*(f"results/answers/{model}/base/{name}.parquet" for model, name in asked))
    return study


def rows(study: Study, stage: str, model: str, eval_set: str) -> pl.DataFrame:
    schema = {"chains": CHAINS, "answers": ANSWERS}[stage]
    return parquet.read(study.folder / f"results/{stage}/{model}/base/{eval_set}.parquet", schema)


@pytest.mark.parametrize("eval_set", SETS)
def test_chains_are_those_written_here(finished, eval_set):
    here, there = (rows(finished, "chains", model, eval_set) for model in ("here", "there"))
    assert here.height == 2 and here["n_steps"].max() > 1
    assert there.equals(here)


def test_numbers_are_those_written_here(finished):
    kept = [*KEYS, "outcome", "answer", "reference", "match", "text", "lenient", "turn"]
    here, there = (rows(finished, "answers", model, "arithmetic").select(kept) for model in ("here", "there"))
    assert here.height > 12 and (here["outcome"] == "answered").sum() > 6
    assert there.sort(KEYS).equals(here.sort(KEYS))  # rows computed here are stored block by block


def test_letters_that_it_writes_are_the_likeliest_here(finished):
    """The server gives no probabilities, so letters are read from its text, which does not always hold a letter."""
    here, there = (rows(finished, "answers", model, "siqa") for model in ("here", "there"))
    both = there.filter(outcome="answered").join(here, on=KEYS, suffix="_here")
    assert both.height > 6
    assert both["answer"].to_list() == both["answer_here"].to_list()
    assert set(there["read_from"]) == {"cue"} and set(here["read_from"]) == {"options"}


def test_a_chat_is_told_the_chain_again(finished):
    answers = rows(finished, "answers", "chat", "arithmetic")
    assert set(answers["turn"]) == {"retold"}
    assert "answered" in set(answers["outcome"])


def test_an_ability_that_it_lacks_is_named(finished):
    """The server silently ignores `logprobs`, which the check must notice."""
    finished.config["models"]["there"]["api"]["abilities"] = ["continue", "logprobs"]
    done = finished.snakemake("--cores", "1", "results/hosts/there.json")
    assert done.returncode != 0
    assert "models.there.api.abilities names 'logprobs', but the host lacks it" in done.stdout
