"""The provenance of results: what must be in it, and what must not."""

import getpass
import hashlib
import json
import os
import platform
import socket
import subprocess

import pytest

from faithtune.core import paths
from faithtune.jobs import provenance


@pytest.fixture
def collected(tmp_path, monkeypatch) -> dict:
    monkeypatch.setenv("SOME_API_KEY", "very-secret-value")
    (tmp_path / "sums.parquet").write_bytes(b"questions")
    configuration = {
        "prompts": str(tmp_path),
        "models": {"m": {"source": str(tmp_path / "my-model"), "quantisation": "nf4"}},
        "data_sets": {
            "sums": {"train": {"n": 9}},
            "life": {
                "eval": {"source": "url:https://me:token@example.org/data/life.jsonl?key=abc", "checksum": "sha256:00"}
            },
        },
        "filler": " ...",
        "measures": {"alphas": [0.25, 0.5]},
    }
    return provenance.collect(
        configuration,
        {"sums.train": tmp_path / "sums.parquet", "life.eval": tmp_path / "sums.parquet"},
        {"cot_number.txt": "{question}"},
        provenance.Cards(
            {"m": {"source": str(tmp_path / "my-model"), "path": "results/m/weights", "weights_sha256": "aa"}},
            {"m/t-sums": {"path": str(tmp_path), "weights_sha256": "bb", "settings": {"rank": 8}}},
            {"large": {"model": "m-1", "system_fingerprint": "fp_1", "abilities": ["seed"]}},
            {"dtype": "float32", "wanted": "auto", "device": "cpu", "device_name": "A Processor", "because": "old"},
        ),
        {"elsewhere/base/life": tmp_path / "sums.parquet"},
        "cc",
    )


def test_contents(collected):
    assert set(collected) == {
        *("code", "configuration", "data", "prompts", "models", "arms", "imported_chains", "packages"),
        *("hosts", "published_sha256", "precision", "snakemake_ran_on"),
    }
    questions = hashlib.sha256(b"questions").hexdigest()
    assert collected["data"] == {
        "sums.train": {"source": "generated", "checksum": None, "questions_sha256": questions},
        "life.eval": {
            "source": "url:https://example.org/data/life.jsonl",
            "checksum": "sha256:00",
            "questions_sha256": questions,
        },
    }
    assert collected["prompts"] == {"cot_number.txt": hashlib.sha256(b"{question}").hexdigest()}
    assert collected["models"] == {"m": {"source": "…/my-model", "weights_sha256": "aa"}}
    assert collected["arms"] == {"m/t-sums": {"weights_sha256": "bb", "settings": {"rank": 8}}}
    assert collected["configuration"]["measures"] == {"alphas": [0.25, 0.5]}
    assert collected["configuration"]["filler"] == " ..."
    assert collected["hosts"] == {"large": {"model": "m-1", "system_fingerprint": "fp_1", "abilities": ["seed"]}}
    assert collected["imported_chains"] == {"elsewhere/base/life": questions}
    assert collected["published_sha256"] == "cc"
    assert collected["packages"]["python"] == platform.python_version()
    assert collected["packages"]["polars"][0].isdigit()
    assert collected["snakemake_ran_on"]["cores"] == os.cpu_count()
    assert collected["snakemake_ran_on"]["memory_gib"] > 0


def test_what_must_not_be_in_it(collected, tmp_path):
    text = json.dumps(collected, ensure_ascii=False)
    for part in (
        str(tmp_path),
        "very-secret-value",
        "me:token",
        "key=abc",
        "results/m/weights",
        os.getcwd(),
        os.environ["PATH"],
    ):
        assert part not in text
    words = set(text.replace('"', " ").split())
    assert not {socket.gethostname(), getpass.getuser()} & words
    assert not any(word.startswith(("/", "~")) for word in words)


def test_the_same_study_has_the_same_digest(collected):
    again = json.loads(json.dumps(collected))
    assert provenance.digest(dict(reversed(again.items()))) == provenance.digest(collected)
    again["models"]["m"]["weights_sha256"] = "ab"
    assert provenance.digest(again) != provenance.digest(collected)


@pytest.mark.parametrize(
    ("text", "published"),
    [
        ("/data/models/llama", "…/llama"),
        ("~/llama", "…/llama"),
        ("../../home/me/llama", "…/llama"),
        ("models/llama", "models/llama"),
        ("hub:openai/gsm8k@cc7b:main/test", "hub:openai/gsm8k@cc7b:main/test"),
        ("https://key@host.org:8000/v1?token=1#x", "https://host.org:8000/v1"),
        (" ...", " ..."),
        ("...", "..."),
        ("/", "/"),
        ("Step 1/2 is it?", "Step 1/2 is it?"),
    ],
)
def test_publication_removes_paths_and_credentials(text, published):
    assert provenance.public({"key": [text, 1, None]}) == {"key": [published, 1, None]}


def git(folder, *arguments):
    name = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    done = subprocess.run(["git", "-C", folder, *name, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_commit_of_the_workflow(tmp_path):
    folder = tmp_path / "workflow"
    folder.mkdir()
    (folder / "Snakefile").write_text("rule a:\n")
    git(tmp_path, "init", "-q")
    assert provenance.code_version(folder) == {"commit": "unknown", "changed": None}  # not tracked
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert provenance.code_version(folder) == {"commit": commit, "changed": False}
    (tmp_path / "study.yaml").write_text("the user's own")
    assert provenance.code_version(folder) == {"commit": commit, "changed": False}
    (folder / "new.py").write_text("")
    assert provenance.code_version(folder) == {"commit": commit, "changed": True}


def test_no_git(tmp_path, monkeypatch):
    assert provenance.code_version(tmp_path) == {"commit": "unknown", "changed": None}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.code_version(paths.WORKFLOW) == {"commit": "unknown", "changed": None}
    assert provenance.hardware()["gpus"] == []


def test_another_repository_is_not_the_workflows():
    assert (paths.WORKFLOW / "Snakefile").is_file()
