"""workflow/look.py: questions as a model will see them."""

import json
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest
import yaml

from configurations import ROOT
from faithtune.data import prompts, questions
from faithtune.settings.models import ThinkingTags
from faithtune.study import config, look

ROWS = [{"prompt": f"Which is {i}?", "choices": ["zero", "one", "two"], "label": i % 3} for i in range(9)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A study's folder, with a configuration, a file of questions, and a model that is not measured yet."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exam.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "model").mkdir()
    raw = {
        "models": {"mine": {"source": "model"}},
        "prompts": str(ROOT / "resources/prompts/zero_shot"),
        "data_sets": {
            "exam": {
                "columns": {"question": "prompt", "options": "choices", "answer": "label"},
                "eval": {"source": "exam.jsonl", "n": 5},
            },
            "far": {"reader": "gsm8k", "eval": {"source": f"hub:a/b@{'0' * 40}:main/test"}},
        },
        "eval_sets": ["exam"],
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(raw))
    return tmp_path


def run(folder, *given: str) -> subprocess.CompletedProcess:
    command = [sys.executable, ROOT / "workflow/look.py", *given]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_three_questions_with_and_without_chain(folder):
    done = run(folder, "mine.yaml", "exam")
    assert done.returncode == 0, done.stderr
    head = "3 of 5 questions of exam, without a chat template, as no tokenizer of a model is here yet"
    assert done.stdout.splitlines()[0] == head
    assert done.stdout.count("\n=== question ") == 3
    shown = done.stdout.split("\n=== question ")[1]
    place = int(shown.partition(",")[0])
    letter, text = "ABC"[place % 3], ("zero", "one", "two")[place % 3]
    assert shown.splitlines()[0].endswith(f"right answer: {letter}. {text}")
    with_chain, without = shown.split("--- without chain, ")
    assert f"Which is {place}?\n\nA. zero\nB. one\nC. two" in with_chain
    assert with_chain.rstrip().endswith("Step 1:") and without.rstrip().endswith("Final Answer:")
    asked = without.partition("\n")[2].rstrip("\n")
    assert without.startswith(f"{len(asked)} characters\n")
    assert sorted(path.name for path in folder.iterdir()) == ["exam.jsonl", "mine.yaml", "model"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["mine.yaml", "exams"], "faithtune: config: data_sets has no 'exams'; there are exam, far"),
        (["nowhere.yaml", "exam"], "No such file or directory: 'nowhere.yaml'"),
        (["mine.yaml", "far"], "not downloaded yet; expected it there (snakemake fetch downloads all sources)"),
    ],
)
def test_wrong_use_ends_in_one_line(folder, given, message):
    done = run(folder, *given)
    assert done.returncode == 1 and done.stdout == ""
    assert message in done.stderr and len(done.stderr.splitlines()) == 1


def test_tokens_by_the_chat_template():
    row = {"kind": "number", "context": None, "question": "1 + 1?", "options": [], "answer": "2", "source_id": "7"}
    templates = {"cot_number": "Think: {question}", "no_cot_number": "Say: {question}"}

    class Words:
        chat_template = "words"

        def apply_chat_template(self, messages, **_):
            return f"<user> {messages[0]['content']} <assistant> "

        def __call__(self, text, add_special_tokens):
            return SimpleNamespace(input_ids=text.split())

    assert look.text(row, templates, Words(), forced_start=False) == (
        "=== question 7, right answer: 2\n\n"
        "--- with chain, 6 tokens\n<user> Think: 1 + 1? <assistant> \n\n"
        "--- without chain, 8 tokens\n<user> Say: 1 + 1? <assistant> Final Answer:"
    )


@pytest.mark.parametrize("local", [False, True], ids=["in the results", "in a local folder"])
def test_the_first_tokenizer_that_is_here(folder, tiny_model, local):
    study = config.load(yaml.safe_load((folder / "mine.yaml").read_text()))
    assert look.tokenizer(study, folder / "results") == (None, prompts.PLAIN, prompts.USUAL)
    if local:
        study.models["mine"].source = str(tiny_model)
    else:
        shutil.copytree(tiny_model, folder / "results/models/mine/weights")
    study.models["mine"].thinking = ThinkingTags(open="<think>", close="</think>")
    name, loaded, turns = look.tokenizer(study, folder / "results")
    row = questions.frame([questions.number("1 + 1?", "2")], "sums", "eval").row(0, named=True)
    shown = look.text(row, {"cot_number": "{question}", "no_cot_number": "{question}"}, loaded, True, turns)
    assert shown.count("<think>") == 2 and shown.endswith("<think>\n\n</think>\n\nFinal Answer:")
    assert name == "mine" and len(prompts.token_ids(loaded, "Step 1:")) > 0
