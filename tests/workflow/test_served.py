"""A model tuned here and served by one's own server gives the same answers as here.

The server is the stand-in host, which does what results/served/MODEL.sh tells vLLM to do: it loads the base and the
adapters and serves them by their names.
"""

import shlex
from pathlib import Path

import pytest
import torch

from faithtune.core import parquet
from faithtune.core.schemas.answers import ANSWERS
from faithtune.models import loading
from standin import speaking
from standin.host import StandIn
from study import Study

URL_ENV = "FAITHTUNE_TEST_URL"
ARMS = ("base", "qlora-arithmetic-42")
FILES = [f"results/answers/{model}/{arm}/arithmetic.parquet" for model in ("tiny", "there") for arm in ARMS]


class Served:
    """The models that the script of rule `serve` serves: names of arms and their networks."""

    def __init__(self, script: Path):
        words = shlex.split(script.read_text().replace("\\\n", " "), comments=True)
        assert words[:3] == ["exec", "vllm", "serve"] and words[-1] == "$@"
        base, self.tokenizer = words[3], loading.load_tokenizer(words[3])
        [name] = words[words.index("--served-model-name") + 1 : words.index("--dtype")]
        adapters = dict(word.split("=", 1) for word in words[words.index("--lora-modules") + 1 : -1])
        self.networks = {name: loading.load_network({"path": base}, None, "nf4", "float32", "cpu")}
        for adapter, path in adapters.items():
            card = {"path": path, "adapter": "qlora"}
            self.networks[adapter] = loading.load_network({"path": base}, card, "nf4", "float32", "cpu")

    def chances(self, body: dict) -> list[dict[str, float]]:
        """The probabilities of the likeliest tokens at the first place."""
        given = self.tokenizer(body["prompt"], add_special_tokens=False, return_tensors="pt")
        with torch.inference_mode():
            found = self.networks[body["model"]](**given).logits[0, -1].softmax(-1).topk(20)
        return [dict(zip(map(self.tokenizer.decode, found.indices), found.values.tolist(), strict=True))]

    def tokens(self, text: str) -> list[str]:
        return [self.tokenizer.decode([one]) for one in self.tokenizer(text, add_special_tokens=False).input_ids]

    def reply(self, body: dict) -> str:
        given = self.tokenizer(body["prompt"], add_special_tokens=False, return_tensors="pt")
        most = body["max_tokens"] + 1  # the host truncates there and reports it
        with torch.inference_mode():
            made = self.networks[body["model"]].generate(**given, max_new_tokens=most, do_sample=False)
        return self.tokenizer.decode(made[0, given.input_ids.shape[1] :], skip_special_tokens=True)


@pytest.fixture(scope="module")
def served(finished, tmp_path_factory):
    """The finished study with its model a second time, tuned again and asked at the server."""
    study = finished.copied(tmp_path_factory.mktemp("served"))
    tiny = study.config["models"]["tiny"]
    study.config |= {
        "models": {"tiny": tiny, "there": tiny | {"served": {"base_url_env": URL_ENV, "timeout": 60}}},
        "data_sets": {"arithmetic": study.config["data_sets"]["arithmetic"]},
        "eval_sets": ["arithmetic"],
        "budget_usd": 1,  # one's own server has no price and needs none
    }
    study.run("results/served/there.sh")
    study.peer = Served(study.folder / "results/served/there.sh")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speaking, "tokens", study.peer.tokens)  # counts with the model's tokenizer
        with server(study) as standin:
            patch.setenv(URL_ENV, standin.url)
            study.run(*FILES, "results/provenance.json")
            study.asked = {charge.model for charge in standin.journal.charges}
        yield study


def server(study: Study, without: str = "-") -> StandIn:
    models = {name: {} for name in study.peer.networks if name != without}
    known = {"extra": ["add_special_tokens"], "completion_logprobs": 20}  # like vLLM
    return StandIn(reply=study.peer.reply, chances=study.peer.chances, key=None, models=models, **known)


def test_each_arm_is_asked_by_its_fingerprint(served):
    base, tuned = served.peer.networks
    assert base.startswith("there-") and tuned.startswith("there-") and base != tuned
    assert served.asked == {base, tuned}


@pytest.mark.parametrize("arm", ARMS)
def test_its_answers_are_those_it_gives_here(served, arm):
    kept = ["id", "test", "k", "outcome", "answer", "reference", "match", "turn"]
    here, there = (
        parquet.read(served.folder / f"results/answers/{model}/{arm}/arithmetic.parquet", ANSWERS)
        for model in ("tiny", "there")
    )
    assert "answered" in set(here["outcome"]) and set(here["turn"]) == {"continued"}
    # Answers of models loaded here are stored block by block.
    assert there.select(kept).sort(kept).equals(here.select(kept).sort(kept))


def test_a_server_that_moved_makes_nothing_stale(served, monkeypatch):
    monkeypatch.setenv(URL_ENV, "http://127.0.0.1:9/v1")
    assert "Nothing to be done" in served.snakemake("-n", *FILES).stdout


def test_how_a_server_is_asked_makes_nothing_stale(served, monkeypatch):
    how = served.config["models"]["there"]["served"]
    monkeypatch.setitem(served.config["models"]["there"], "served", how | {"concurrency": 3, "timeout": 9})
    told = served.snakemake("-n", *FILES, "results/served/there.sh", "results/provenance.json").stdout
    assert "Nothing to be done" in told


def test_a_server_that_does_not_know_an_arm_is_reported(served, monkeypatch):
    """A server started before the arm was tuned must not answer with another model."""
    _, tuned = served.peer.networks
    with server(served, without=tuned) as standin:
        monkeypatch.setenv(URL_ENV, standin.url)
        chains = served.folder / "results/chains/there/qlora-arithmetic-42/arithmetic.parquet"
        for kept in (served.folder / "results/store/rows").rglob("*"):
            if kept.is_file():
                kept.unlink()
        chains.unlink()
        done = served.snakemake("--cores", "1", str(chains.relative_to(served.folder)))
    assert done.returncode != 0
    assert f"the host knows no model {tuned!r}" in done.stdout


def test_without_its_address_it_is_told_which_variable(served, monkeypatch):
    monkeypatch.delenv(URL_ENV)
    done = served.snakemake("--cores", "1", "--forcerun", "host", "--until", "host")
    assert done.returncode != 0
    assert "models.there.served.base_url_env: the variable that it names is not set in the environment" in done.stdout
