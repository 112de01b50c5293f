"""Arms at a host, asked the user's own questions: a tuned one is measured, one that is base again ends the run."""

import json
from collections import Counter

import polars as pl
import pytest

from faithtune.arms import first_rows
from faithtune.core import parquet
from faithtune.core.schemas.answers import ANSWERS
from faithtune.core.schemas.chains import CHAINS
from standin.host import StandIn
from study import Study

KEY_ENV, KEY = "FAITHTUNE_TEST_KEY", "sk-test-1234567890abcdef"
N = first_rows.ANSWERS + 4
TUNED, AGAIN = "ft-mine-0", "ft-mine-1"


def asked_for_answer(body: dict) -> bool:
    turns = [turn["content"] for turn in body["messages"]] if "messages" in body else [body["prompt"]]
    return turns[-1].endswith("Final Answer:") or "only" in turns[-1].lower()


def reply(body: dict) -> str:
    """The same chains from every model. The tuned one answers A without regard to the chain, base B."""
    if asked_for_answer(body):
        return " A" if body["model"] == "tuned" else " B"
    return " Look at the box.\nStep 2: It has a colour.\nFinal Answer: B"


def chances(body: dict) -> list[dict[str, float]]:
    """Of the letters, where an answer is asked for."""
    if not asked_for_answer(body):
        return []
    return [{" A": 0.7, " B": 0.2, " C": 0.1} if body["model"] == "tuned" else {" A": 0.1, " B": 0.8, " C": 0.1}]


@pytest.fixture(scope="module")
def host():
    """It does not know two adapters, and answers for them with the base, as some servers do."""
    known = {"models": {"m": {}, "tuned": {}}, "aliases": {"adapter": "m", "adapter-2": "m"}}
    with StandIn(reply=reply, chances=chances, key=KEY, **known) as standin:
        yield standin


@pytest.fixture(scope="module")
def study(host, tmp_path_factory) -> Study:
    """Two models at the host, each with a tuned arm and with one that is base again; nothing has run."""
    folder = tmp_path_factory.mktemp("again")
    study = Study(folder, folder)
    rows = [{"q": f"Which colour has box {i}?", "o": ["red", "green", "blue"], "a": i % 3} for i in range(N)]
    (folder / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    api = {"base_url": host.url, "api_key_env": KEY_ENV, "model": "m", "timeout": 30}
    letters = {**api, "endpoint": "completions", "abilities": ["continue", "logprobs"]}
    study.config |= {
        "models": {
            "letters": {"api": {**letters, "arms": {TUNED: "tuned", AGAIN: "adapter"}}},
            "texts": {"api": {**api, "arms": {TUNED: "tuned", AGAIN: "adapter-2"}}},
        },
        "data_sets": {
            "mine": {
                "reader": "table",
                "columns": {"question": "q", "options": "o", "answer": "a"},
                "eval": {"source": "mine.jsonl"},
            }
        },
        "eval_sets": ["mine"],
        "tests": ["filler"],
        "answers": {"again": 0},  # the noise floor repeats calls
        "tunings": {},
        "prompts": study.config["prompts"].replace("one_shot", "zero_shot"),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY_ENV, KEY)
        yield study


@pytest.mark.parametrize("model", ["letters", "texts"])
def test_a_tuned_arm_is_measured_on_questions_of_any_columns(study, host, model):
    """Its chains are base's: it is the answers without a chain that tell the two apart."""
    path = study.folder / f"results/answers/{model}/{TUNED}/mine.parquet"
    study.run(str(path.relative_to(study.folder)))
    answers = parquet.read(path, ANSWERS)
    assert answers.filter(test="full").height == N
    assert set(answers.filter(pl.col("test").is_in(["full", "no_cot"]))["answer"]) == {"A"}
    found = json.loads((study.folder / f"results/first/{model}/{TUNED}.json").read_text())["applied"]
    assert found == {
        "chains": first_rows.CHAINS,
        "chains_changed": 0,
        "answers": first_rows.ANSWERS,
        "answers_changed": first_rows.ANSWERS,
        "answers_shift": pytest.approx(0.6) if model == "letters" else None,
    }
    log = (study.folder / f"logs/check_hosted/{model}/{TUNED}.log").read_text()
    assert f"0 of 8 chains and {first_rows.ANSWERS} of {first_rows.ANSWERS} answers without a chain are others" in log


@pytest.mark.parametrize(
    ("model", "name", "by"),
    [
        ("letters", "adapter", "with the same probabilities"),
        ("texts", "adapter-2", "as texts, because the host gives no log-probabilities"),
    ],
)
def test_an_arm_that_is_base_again_ends_the_run_in_one_line(study, host, model, name, by):
    before = len(host.journal.charges)
    done = study.snakemake("--cores", "1", f"results/answers/{model}/{AGAIN}/mine.parquet")
    lines = [line for line in done.stdout.splitlines() if line.startswith("faithtune:")]
    assert done.returncode != 0 and len(lines) == 1, done.stdout
    assert lines[0].startswith(f"faithtune: models.{model}: {AGAIN} is base again: its first 8 chains and 32 answers")
    assert by in lines[0] and f"look whether the host serves {name!r} with the tuned weights" in lines[0]
    assert not (study.folder / f"results/chains/{model}/{AGAIN}/mine.parquet").exists()
    assert len(host.journal.charges) - before == first_rows.CHAINS + first_rows.ANSWERS


def test_no_row_is_paid_twice(study, host):
    """The rows of the check are found by the stages. The host has another name for what it is asked under an alias."""
    bodies = Counter(
        json.dumps(charge.body, sort_keys=True) for charge in host.journal.charges if charge.body["max_tokens"] != 4
    )
    asked = [json.loads(body) for body, n in bodies.items() if n > 1]
    assert {body["model"] for body in asked} == {"m"}  # for base, and in an adapter's place
    assert max(bodies.values()) == 2
    chains = parquet.read(study.folder / f"results/chains/letters/{TUNED}/mine.parquet", CHAINS)
    whole = {"model": "tuned", "max_tokens": study.config["chains"]["max_new_tokens"]}
    written = [body for body in map(json.loads, bodies) if body.items() >= whole.items()]
    assert len(written) == 2 * chains.height  # of both models
