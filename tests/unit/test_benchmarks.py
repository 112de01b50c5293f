"""The benchmarks run, find equal answers, and say what they must."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import browser
import pytest

import small
from faithtune.data import prompts
from faithtune.data.readers import arithmetic

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
KEYS = {"naive_seconds", "tree_seconds", "ratio", "tokens_computed", "tokens_distinct", "agreement", "memory_ratio"}


def result(tmp_path, script: str, model, *options: str) -> dict:
    command = [sys.executable, ROOT / "tests/benchmarks" / script, "--model", model, "--json", tmp_path / "out.json"]
    environment = {name: value for name, value in os.environ.items() if name != "FAITHTUNE_DATA"}
    subprocess.run([*command, *options], check=True, env=environment, capture_output=True)
    return json.loads((tmp_path / "out.json").read_text())


@pytest.mark.skipif(sys.platform != "linux", reason="reads a process's peak memory from /proc")
def test_answering(tmp_path, tiny_model):
    found = result(tmp_path, "answering.py", tiny_model, "--items", "3")
    assert found.keys() >= KEYS
    assert found["agreement"] == 1.0
    assert found["tokens_distinct"] < found["tokens_computed"] < 1.2 * found["tokens_distinct"]
    assert found["tokens_naive"] > 2 * found["tokens_computed"]


def test_computed_tokens_are_those_of_all_sets(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tests/benchmarks")
    answering, contest, samples = map(importlib.import_module, ("answering", "contest", "samples"))

    def other_sums(n: int) -> list[tuple[dict, str]]:
        return [(one, f"{one['rationale']}\n{prompts.CUE} {one['answer']}") for one in arithmetic.generate(n, seed=1)]

    monkeypatch.setattr(samples, "_gsm8k", other_sums)
    monkeypatch.setattr(contest, "load", lambda args: small.model())
    monkeypatch.setattr(contest, "measured", lambda work, device: {"found": work()})

    def computed(contender, *sets: str) -> int:
        args = SimpleNamespace(items=2 * len(sets), sets=sets, device="cpu")
        return answering.run(contender, args)["computed"]

    first, second = (computed(answering.tree, name) for name in ("arithmetic", "gsm8k"))
    assert computed(answering.tree, "arithmetic", "gsm8k") == first + second > first > 0
    assert computed(answering.naive, "arithmetic", "gsm8k") == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads a process's peak memory from /proc")
def test_generating(tmp_path, tiny_model):
    found = result(tmp_path, "generating.py", tiny_model, "--items", "5", "--batch-size", "2")
    assert found["agreement"] == 1.0
    assert found["tokens"] > 50


def test_bootstrap(tmp_path):
    script, out = ROOT / "tests/benchmarks/bootstrap.py", tmp_path / "out.json"
    command = [sys.executable, script, "--units", "2", "--questions", "60", "--json", out]
    subprocess.run(command, check=True, capture_output=True)
    found = json.loads(out.read_text())
    assert found["figures"] == 2 * 9 * 10
    assert found["effects"] == 2 * 9 * 5
    assert found["width_ratio"] == pytest.approx(1.06, abs=0.05)  # few questions: stretched, and two groups more


def test_planning(tmp_path):
    script, out = ROOT / "tests/benchmarks/planning.py", tmp_path / "out.json"
    subprocess.run([sys.executable, script, "small", "--profile", "--json", out], check=True, capture_output=True)
    found = json.loads(out.read_text())["small"]
    pairs = (1 + 2) * 4  # base and two tuned arms on four sets
    assert found["jobs"] > 3 * pairs
    assert found["seconds"] > 0 and found["mb"] > 0 and found["ratio"] > 0
    *stages, functions = found["shares"].values()
    assert len(stages) == 3 and min(*stages, functions) >= 0
    assert 0 < sum(stages) < 1.02 and functions < 1  # rounded; the functions are called in the stages


@pytest.mark.skipif(sys.platform != "linux", reason="reads a process's peak memory from /proc")
def test_tuning(tmp_path, tiny_model):
    found = result(tmp_path, "tuning.py", tiny_model, "--items", "24", "--dtype", "float32")["arithmetic"]
    assert len(found["tree"]["losses"]) == 3
    assert found["loss_gap"] < 1e-4
    assert 0 < found["tokens_computed"] < 0.6 * found["tokens"]  # arithmetic's prompts are alike


def test_viewing():
    browser.path()
    command = [sys.executable, ROOT / "tests/benchmarks/viewing.py", "--questions", "600"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert told.startswith("600 questions, 4 arms") and told.count(" s\n") == 7
