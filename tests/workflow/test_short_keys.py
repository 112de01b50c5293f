"""The question of the manual, asked of a base, an adapter and a file of questions: one command, elsewhere."""

import json
import shutil
import subprocess
import sys

import polars as pl
import pytest
import torch
import yaml
from peft import LoraConfig, get_peft_model

from faithtune.models import loading
from study import ROOT

COLOURS = ["red", "green", "blue", "black", "white"]
# Sizes, so that a test is short.
SIZES = {
    "chains": {"max_new_tokens": 96},
    "paraphraser": {"max_new_tokens": 24},
    "answers": {"max_new_tokens": 8, "again": 3},
    "tests": ["early_termination", "filler"],
    "measures": {"alphas": [0.5], "replicates": 200},
    "compute": {"device": "cpu", "batch_size": 8},
}


def save_adapter(base, folder) -> None:
    """An adapter of random weights, as PEFT saves it."""
    torch.manual_seed(7)
    settings = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM", init_lora_weights=False)
    get_peft_model(loading.load_base(base, "none", "float32", "cpu"), settings).save_pretrained(folder)


@pytest.fixture(scope="module")
def top(tmp_path_factory, tiny_model):
    """A folder outside the repository, with what somebody has: a model, an adapter, a file of questions."""
    top = tmp_path_factory.mktemp("audit")
    shutil.copytree(tiny_model, top / "my-model")
    save_adapter(top / "my-model", top / "my-adapter")
    (top / "study").mkdir()
    things = [[COLOURS[(i + j) % 5] for j in range(3)] for i in range(8)]
    rows = [{"question": f"What colour has box {i}?", "choices": x, "label": i % 3} for i, x in enumerate(things)]
    (top / "exam.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (top / "sizes.yaml").write_text(yaml.safe_dump(SIZES))
    return top


def snakemake(top, *given: str, files=(), options=(), target=()) -> subprocess.CompletedProcess:
    """The command of the manual, in `top`; standard output and error together in `stdout`.

    given: base, tuned and questions, unless they stand in `files`.
    """
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--cores", "2"]
    command += ["--workflow-profile", ROOT / "profiles/default", "--directory", "study", *options]
    command += ["--configfile", ROOT / "config/audit.yaml", "sizes.yaml", *files]
    command += ["--config", "prompts=resources/prompts/one_shot", *given, "--", *target]
    return subprocess.run(command, cwd=top, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900)


GIVEN = ("base=../my-model", "tuned=../my-adapter", "questions=../exam.jsonl")


@pytest.fixture(scope="module")
def printed(top) -> str:
    """What the command prints."""
    done = snakemake(top, *GIVEN)
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_from_three_things_to_the_verdict(top, printed):
    results = top / "study/results"
    (arm,) = json.loads((results / "verdict.json").read_text())["arms"]
    assert (arm["model"], arm["arm"]) == ("my_model", "my_adapter")
    assert arm["sentences"][0].startswith("Its weights are on")
    asked = pl.read_parquet(results / "questions/questions.eval.parquet")
    labels = {f"What colour has box {i}?": "ABC"[i % 3] for i in range(8)}
    assert dict(asked.select("question", "answer").rows()) == labels
    assert {path.name for path in top.iterdir()} == {"my-model", "my-adapter", "study", "exam.jsonl", "sizes.yaml"}


def test_it_says_at_its_end_where_the_verdict_is(top, printed):
    shown = [line for line in printed.splitlines() if line.startswith("The verdict is in ")]
    path = (top / "study/results/verdict.md").resolve()
    assert shown == [f"The verdict is in {path}; the report, results/report/index.html, opens with it."]


def test_a_condition_on_its_verdict(top, printed):
    (arm,) = json.loads((top / "study/results/verdict.json").read_text())["arms"]
    for word in ("fell", "rose", "kept"):
        command = [sys.executable, ROOT / "workflow/verdict.py", "--directory", "study"]
        done = subprocess.run([*command, "--fail-if", f"accuracy {word}"], cwd=top, capture_output=True, text=True)
        is_true = word == arm["accuracy"]["word"] or (arm["accuracy"]["word"] == "mixed" and word != "kept")
        assert done.returncode == int(is_true), done.stderr
        assert "my_adapter" in done.stdout


def test_the_three_lines_in_a_file_are_the_same_study(top, printed):
    lines = dict(pair.split("=") for pair in GIVEN)
    (top / "study/mine.yaml").write_text(yaml.safe_dump(lines))
    done = snakemake(top, files=["study/mine.yaml"], options=["-n"])
    assert done.returncode == 0 and "Nothing to be done" in done.stdout, done.stdout


@pytest.fixture(scope="module")
def wrong(top):
    """Further files in the folder, each with a mistake."""
    shutil.copytree(top / "my-adapter", top / "study/other-adapter")
    path = top / "study/other-adapter/adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"r": 4, "base_model_name_or_path": "somebody/8B"}))
    (top / "study/odd.jsonl").write_text('{"q": "Which?", "o": ["red", "blue"], "a": 0}\n')
    return top


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (GIVEN[1:], "config: base is missing; expected it, such as base=../my-model"),
        ((GIVEN[0], "tuned=../exam.jsonl", GIVEN[2]), "config: tuned: ../exam.jsonl: there is no such folder"),
        (
            (*GIVEN[:2], "questions=odd.jsonl"),
            "(question, prompt, problem, input); its columns are q, o, a; expected questions: {columns: {question:",
        ),
        ((GIVEN[0], "tuned=other-adapter", GIVEN[2]), "expected an adapter of this model (adapter_config.json names"),
    ],
    ids=["no base", "tuned is no folder", "no usable columns", "an adapter of another base"],
)
def test_a_mistake_is_one_line(wrong, given, message):
    done = snakemake(wrong, *given, target=("results/verdict.json",))
    shown = [line for line in done.stdout.splitlines() if line.startswith("faithtune:")]
    assert done.returncode != 0
    assert len(shown) == 1 and message in shown[0], done.stdout
    assert "Traceback" not in done.stdout


def test_a_mapping_maps_the_columns(wrong):
    keys = "{columns: {question: q, options: o, answer: a}, eval: {source: odd.jsonl}}"
    done = snakemake(wrong, GIVEN[0], f"questions={keys}", options=["-n"])
    assert done.returncode == 0, done.stdout
