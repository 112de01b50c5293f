"""The short keys base, tuned and questions: what they stand for, and errors that name them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from configurations import ROOT
from faithtune.core.errors import UserError
from faithtune.settings.configuration import AuditSettings, Configuration
from faithtune.study import audit, config

HUB = f"hub:owner/Tuned-8B@{'0' * 40}"
GIVEN = {"base": "My-Model.v2", "tuned": "adapter", "questions": "exam.jsonl"}


def write(name: str, rows: list[dict]) -> None:
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def exam(n: int, first: int = 0) -> list[dict]:
    return [{"prompt": f"Which of {i}?", "choices": ["x", "y", "z"], "label": max(first, i % 3)} for i in range(n)]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """A folder with a base, an adapter, whole weights and files of questions."""
    monkeypatch.chdir(tmp_path)
    for name in ("My-Model.v2", "empty"):
        Path(name).mkdir()
    for name, holds in {
        "adapter": ["adapter_config.json", "adapter_model.safetensors"],
        "weights": ["config.json", "model.safetensors"],
    }.items():
        Path(name).mkdir()
        for file in holds:
            (Path(name) / file).touch()
    write("exam.jsonl", exam(150))
    write("short.jsonl", exam(9))
    write("from_where.jsonl", exam(9, first=1))
    write("other.jsonl", [{"q": "Which?", "o": ["x", "y"], "a": 1}])
    write("words.jsonl", [{"question": "Which?", "answer": "It is blue."}])
    write("nothing.jsonl", [])
    return tmp_path


def test_three_keys_are_an_ordinary_configuration():
    written = {
        "models": {"my_model_v2": {"source": "My-Model.v2", "tuned": {"adapter": {"adapter": "adapter"}}}},
        "data_sets": {
            "questions": {
                "columns": {"question": "prompt", "options": "choices", "answer": "label"},
                "eval": {"source": "exam.jsonl", "n": 100},
            }
        },
        "eval_sets": ["questions"],
    }
    assert config.load(GIVEN | {"seed": 7}) == config.load(written | {"seed": 7})


def test_the_shipped_file_and_three_keys():
    full = config.load(yaml.safe_load((ROOT / "config/audit.yaml").read_text()) | GIVEN)
    assert full.paraphraser.model == "my_model_v2"
    assert full.data_sets["questions"].eval.n == 100


@pytest.mark.parametrize("model", ["./weights", {"source": "weights", "quantisation": "none"}])
def test_another_model_that_only_rewords(model):
    full = config.load(GIVEN | {"paraphraser": {"model": model, "max_new_tokens": 50}})
    assert full.paraphraser.model == "paraphraser" and full.paraphraser.max_new_tokens == 50
    helper = full.models["paraphraser"]
    assert Path(helper.source) == Path("weights") and not helper.measured
    assert helper.quantisation == ("none" if isinstance(model, dict) else "nf4")


def test_questions_of_expressions():
    """The key kind stands beside the file; a file of expressions without it ends in one line that says so."""
    write("math.jsonl", [{"problem": f"What is {i} / 7?", "answer": rf"\dfrac{{{i}}}{{7}}"} for i in range(3)])
    short = yaml.safe_load((ROOT / "config/audit.yaml").read_text()) | GIVEN
    full = config.load(short | {"questions": {"kind": "expression", "eval": {"source": "math.jsonl"}}})
    assert full.data_sets["questions"].kind == "expression"
    assert full.data_sets["questions"].columns.question == "problem"
    with pytest.raises(UserError) as error:
        config.load(short | {"questions": "math.jsonl"})
    assert "or the key kind: expression" in str(error.value)
    assert str(error.value).endswith(", in questions: {KEY: VALUE, eval: {source: math.jsonl}}")


def test_no_key_means_two_things():
    assert AuditSettings.model_fields.keys().isdisjoint(Configuration.model_fields)
    given = {"models": {"m": {"source": "My-Model.v2"}}}
    assert audit.expand(given).raw is given


@pytest.mark.parametrize(
    ("changed", "arms"),
    [
        ({}, {"adapter": ("adapter", "adapter")}),
        ({"tuned": "weights"}, {"weights": ("weights", "weights")}),
        ({"tuned": {"adapter": HUB}}, {"tuned_8b": ("adapter", HUB)}),
        ({"tuned": {"weights": HUB}}, {"tuned_8b": ("weights", HUB)}),
        ({"tuned": None}, {}),
        ({"base": {"source": "My-Model.v2", "quantisation": "none"}, "tuned": "./adapter/"}, {"adapter": None}),
    ],
)
def test_what_was_tuned(changed, arms):
    (model,) = config.load(GIVEN | changed).models.values()
    assert model.tuned.keys() == arms.keys()
    for name, expected in arms.items():
        assert expected in (None, (model.tuned[name].kind, model.tuned[name].source))
    assert model.quantisation == ("none" if isinstance(changed.get("base"), dict) else "nf4")


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("../My-Model/", "my_model"),
        (HUB, "tuned_8b"),
        ("wheel:a==1:b/SmolLM2.Q4_1.gguf", "smollm2_q4_1"),
        ("..", "model"),
        ("/models/base", "model"),
        ("x" * 100, "x" * 80),
    ],
)
def test_names_of_models(source, name):
    expanded = audit.expand({"base": source, "questions": {"eval": {}}})
    assert list(expanded.raw["models"]) == [name]


@pytest.mark.parametrize(
    ("changed", "n"),
    [
        ({}, 100),
        ({"max_questions": 30}, 30),
        ({"questions": "short.jsonl"}, None),  # all of them
        ({"questions": {"eval": {"source": "exam.jsonl", "n": 120}}}, 120),
        ({"questions": {"eval": {"source": "exam.jsonl"}}}, 100),
        ({"questions": {"answer_from": 0, "eval": {"source": "from_where.jsonl"}}}, None),
        ({"questions": {"reader": "gsm8k", "eval": {"source": f"{HUB}:main/test"}}}, 100),
        ({"questions": {"reader": "arithmetic", "eval": {}}}, 100),
    ],
)
def test_at_most_so_many_questions(changed, n):
    assert config.load(GIVEN | changed).data_sets["questions"].eval.n == n


MAPPING = "expected questions: {columns: {question: COLUMN, options: COLUMN, answer: COLUMN}, eval: {source: "
WRONG = {
    "no base": ({"base": None}, "base is missing; expected it, such as base=../my-model"),
    "no questions": ({"questions": None}, "questions is missing; expected it, such as questions=exam.jsonl"),
    "a misspelt key": ({"tunde": "adapter"}, "unknown key 'tunde' in the top level; did you mean tuned?"),
    "two ways at once": ({"models": {}}, "base stands beside models; expected one of them (the short keys follow"),
    "none to ask": ({"max_questions": 0}, "max_questions is 0; expected at least 1"),
    "a base that is not there": ({"base": "nosuch"}, "base: nosuch: there is no such file"),
    "a base that is a list": ({"base": ["x"]}, "base is ['x']; expected a model's source, or a mapping with the key"),
    "a misspelt key of base": ({"base": {"sorce": "x"}}, "unknown key 'sorce' in base; did you mean source?"),
    "a tuned one that is not there": ({"tuned": "nosuch"}, "tuned: nosuch: there is no such folder; expected one with"),
    "a tuned file": ({"tuned": "exam.jsonl"}, "tuned: exam.jsonl: there is no such folder"),
    "an empty folder": ({"tuned": "empty"}, "tuned: empty: neither adapter_config.json nor config.json there; expect"),
    "a hub's folder": ({"tuned": HUB}, f"tuned: {HUB} may be either; expected {{adapter: {HUB}}} or {{weights:"),
    "weights called an adapter": ({"tuned": {"adapter": "weights"}}, "tuned: weights: no adapter_config.json there"),
    "a key of base at the top": (
        {"dtype": "float32"},
        "dtype is a key of base; expected base: {source: ../my-model, dtype",
    ),
    "a paraphraser that is not there": (
        {"paraphraser": {"model": "./nosuch"}},
        "paraphraser.model: ./nosuch: there is no",
    ),
    "a misspelt key of the paraphraser": (
        {"paraphraser": {"model": {"sorce": "x"}}},
        "unknown key 'sorce' in paraphraser.model; did you mean source?",
    ),
    "a misspelt key of tuned": ({"tuned": {"adaptor": "x"}}, "unknown key 'adaptor' in tuned; did you mean adapter?"),
    "no file": ({"questions": "nosuch.jsonl"}, "questions: nosuch.jsonl: there is no such file"),
    "a folder of questions": ({"questions": "empty"}, "questions: empty is a folder; expected a file"),
    "no rows": ({"questions": "nothing.jsonl"}, "questions: nothing.jsonl has no rows; expected at least one question"),
    "other columns": ({"questions": "other.jsonl"}, f"its columns are q, o, a; {MAPPING}other.jsonl}}}}"),
    "columns that are not known": (
        {"questions": f"{HUB}:main/test"},
        f"questions: the columns of {HUB}:main/test are not known yet; {MAPPING}{HUB}:main/test}}}}",
    ),
    "labels from 0 or 1": (
        {"questions": "from_where.jsonl"},
        "questions: from_where.jsonl: its answers can be read in more than one way: '1' is option B counted from 0 or"
        " option A counted from 1; expected the key answer_from: 0 or 1, in questions: {KEY: VALUE, eval: {source:"
        " from_where.jsonl}}",
    ),
    "answers in words": ({"questions": "words.jsonl"}, "questions: words.jsonl: row 1: answer is 'It is blue.'; expec"),
    "a wrong n": (
        {"questions": {"eval": {"source": "exam.jsonl", "n": "many"}}},
        "questions.eval.n is 'many'; expected integer",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_an_error_names_the_short_key(case):
    changed, message = WRONG[case]
    given = {key: value for key, value in (GIVEN | changed).items() if key != "tuned" or "tunde" not in changed}
    with pytest.raises(UserError) as error:
        config.load(given)
    line = str(error.value)
    assert line.startswith("config: ") and message in line and "\n" not in line
    assert "data_sets" not in line and "models." not in line


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"questions": {"eval": {"source": "exam.jsonl", "checksum": f"sha256:{'0' * 64}"}}}, "questions.eval"),
        ({"base": {"source": "model.gguf", "checksum": f"sha256:{'0' * 64}"}, "tuned": None}, "base"),
    ],
)
def test_a_wrong_checksum_names_the_short_key(folder, given, place):
    (folder / "model.gguf").write_bytes(b"GGUF")
    config.load(GIVEN | given)  # without files nothing is read that may be large
    with pytest.raises(UserError) as error:
        config.load(GIVEN | given, files=True)
    assert str(error.value).startswith(f"config: {place}: ")
    assert "0" * 64 in str(error.value)


def test_questions_are_shown_as_the_model_will_see_them(folder):
    (folder / "mine.yaml").write_text(yaml.safe_dump(GIVEN))
    command = [sys.executable, ROOT / "workflow/look.py", "mine.yaml", "questions"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.stdout.startswith("3 of 100 questions of questions, "), done.stderr
    assert "\n\nA. x\nB. y\nC. z" in done.stdout
