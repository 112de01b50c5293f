"""A tuning at a host of three epochs, whose states after the first two are arms of their own, in curves."""

import json
import re

import polars as pl
import pytest

from faithtune.core import parquet
from faithtune.core.schemas.answers import ANSWERS
from faithtune.core.schemas.questions import QUESTIONS
from faithtune.core.schemas.spend import FORECAST, SPEND
from faithtune.hosts.spend import summary
from faithtune.measures.long_term.curves import CURVES
from standin.host import StandIn
from study import Study

KEY_ENV, KEY = "FAITHTUNE_TEST_KEY", "sk-test-1234567890abcdef"
END, N, FEWER = "ft-sums-42", 9, 6
# Training questions, examples of a step, and steps of an epoch.
TRAINED, BATCH, STEPS = 12, 4, 3


def reply(body: dict) -> str:
    """Adds two numbers: after one epoch always wrong, after two where the first is odd, at the end the second first."""
    turns = [message["content"] for message in body["messages"]]
    if len(turns) > 1:
        steps = re.findall(r"Step \d: Add (\d+)", turns[1])
        return f" {sum(map(int, steps))}"
    asked = re.search(r"What is (\d+) \+ (\d+)\?", turns[0])
    if not asked:  # whether the host is there
        return " 0"
    one, other = map(int, asked.groups())
    state = re.search(r"ckpt-step-(\d+)$", body["model"])
    epoch = int(state[1]) // STEPS if state else 0 if body["model"] == "m" else 3
    if epoch == 1 or (epoch == 2 and one % 2):
        other += 1
    if "Step 1" not in turns[0]:
        return f" {one + other}"
    if epoch == 3:
        one, other = other, one
    return f"Step 1: Add {one}.\nStep 2: Add {other}.\nFinal Answer: {one + other}"


@pytest.fixture(scope="module")
def host():
    with StandIn(reply=reply, key=KEY, models={"m": {}}, min_examples=1) as standin:
        yield standin


@pytest.fixture(scope="module")
def followed(tmp_path_factory, host) -> Study:
    folder = tmp_path_factory.mktemp("hosted_checkpoints")
    study = Study(folder, folder)
    for name, numbers in (("train", range(50, 50 + TRAINED)), ("eval", range(3, 3 + N))):
        rows = [{"q": f"What is {i} + {2 * i}?", "a": 3 * i, "r": f"Add {i}.\nAdd {2 * i}."} for i in numbers]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    api = {"base_url": host.url, "api_key_env": KEY_ENV, "model": "m", "timeout": 30, "concurrency": 4}
    study.config |= {
        "models": {"chat": {"api": api | {"abilities": ["seed", "tune", "logprobs"]}}},
        "data_sets": {
            "sums": {
                "reader": "table",
                "columns": {"question": "q", "answer": "a", "rationale": "r"},
                "train": {"source": "train.jsonl"},
                "eval": {"source": "eval.jsonl"},
            }
        },
        "eval_sets": ["sums"],
        "tests": ["early_termination"],
        "answers": {"max_new_tokens": 8, "again": 0},
        "tunings": {},
        "hosted_tunings": {
            "ft": {
                "train_sets": ["sums"],
                "n_epochs": 3,
                "batch_size": BATCH,
                "validation_share": 0,
                "checkpoints": {"epochs": [1, 2], "n": FEWER},
            }
        },
        "prompts": study.config["prompts"].replace("one_shot", "zero_shot"),
        "prices": {
            "m": {"prompt": 2.0, "completion": 8.0, "training": 3.0, "fine_tuned": "same", "date": "2026-01-01"}
            | {"source": "the tests"}
        },
        "budget_usd": 5,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY_ENV, KEY)
        assert study.planned("results/spend.parquet")["hosted_checkpoint"] == 2  # their calls are in it
        planned = study.planned()
        assert {rule: planned[rule] for rule in ("tune_hosted", "hosted_checkpoint", "check_hosted", "curves")} == {
            "tune_hosted": 1,
            "hosted_checkpoint": 2,
            "check_hosted": 2,  # an early state may answer as base does
            "curves": 1,
        }
        study.run()
        yield study


def card(study: Study, arm: str) -> dict:
    return json.loads((study.folder / f"results/arms/chat/{arm}/arm.json").read_text())


def test_the_host_is_asked_for_the_models_that_it_lists(followed, host):
    end, first, second = (card(followed, arm) for arm in (END, f"{END}@1", f"{END}@2"))
    assert [one["hosted_model"] for one in (first, second)] == [f"{end['hosted_model']}:ckpt-step-{n}" for n in (3, 6)]
    assert [(one.get("step", one["steps"]), one["seen"]) for one in (first, second, end)] == [(3, 12), (6, 24), (9, 36)]
    asked = {charge.model for charge in host.journal.charges if charge.kind == "call"}
    assert asked == {"m", *(one["hosted_model"] for one in (first, second, end))}
    assert len(host.journal.of("POST /fine_tuning/jobs")) == 1
    answers = {
        place: parquet.read(followed.folder / f"results/answers/chat/{END}{place}/sums.parquet", ANSWERS)
        for place in ("@1", "@2", "")
    }
    assert {place: frame.filter(test="full").height for place, frame in answers.items()} == {
        "@1": FEWER,
        "@2": FEWER,
        "": N,
    }


def test_curves_follow_what_the_host_did(followed):
    curves = parquet.read(followed.folder / "results/checkpoints/curves.parquet", CURVES)
    questions = parquet.read(followed.folder / f"results/questions/sums.eval.n{FEWER}.parquet", QUESTIONS)
    odd = questions["question"].str.extract(r"What is (\d+)").cast(pl.Int64) % 2
    assert 0 < odd.mean() < 1
    found = curves.filter(subject="accuracy").select("arm", "place", "step", "seen", "n", "estimate").rows()
    assert found == [
        ("ft-sums", "1", 3, 12, FEWER, -1),
        ("ft-sums", "2", 6, 24, FEWER, pytest.approx(-odd.mean())),
        ("ft-sums", "end", 9, 36, FEWER, 0),
    ]
    for path in [followed.folder / "results/estimates.parquet", *(followed.folder / "results/tables").glob("t*.csv")]:
        assert b"@1" not in path.read_bytes(), path


def test_the_forecast_and_the_ledger_count_them(followed):
    by = ["arm", "stage"]
    spent = parquet.read(followed.folder / "results/spend.parquet", SPEND)
    followed.run("estimate")
    forecast = parquet.read(followed.folder / "results/forecast.parquet", FORECAST)
    foreseen = forecast.group_by(by).agg(pl.sum("calls", "calls_left"))
    assert set(foreseen["calls_left"]) == {0}
    made = summary.summary(spent).select(*by, made="calls")
    both = foreseen.join(made, on=by, how="full", coalesce=True)
    assert both["calls"].to_list() == both["made"].to_list()
    stages = set(both.select(by).rows())
    assert {(f"{END}@{place}", stage) for place in (1, 2) for stage in ("chains", "answers")} <= stages
    assert not any(stage == "check" and "@" in arm for arm, stage in stages)  # not compared with base


def test_another_choice_of_states_tunes_nothing_again(followed):
    assert followed.planned() == {}
    saved = followed.config["hosted_tunings"]["ft"]["checkpoints"]
    saved |= {"epochs": [2], "n": 4}
    planned = followed.planned()
    assert "tune_hosted" not in planned and planned["chains"] == 1
    saved |= {"epochs": [1, 2], "n": FEWER}


def test_a_state_that_the_host_no_longer_lists_is_one_line(followed, host, tmp_path):
    """It keeps the last three of five epochs; the tuning itself is whole."""
    study = followed.copied(tmp_path)
    for name in ("train", "eval"):
        (tmp_path / f"{name}.jsonl").write_bytes((followed.folder / f"{name}.jsonl").read_bytes())
    study.config["hosted_tunings"]["ft"]["n_epochs"] = 5
    target = f"results/arms/chat/{END}@1/arm.json"
    done = study.snakemake("--cores", "1", target)
    assert done.returncode != 0
    assert (
        f"faithtune: config: hosted_tunings.ft.checkpoints: the host lists no state of {END} after epoch 1 of 5, but"
        " those after the steps 9, 12, 15 of 15; expected epoch 3 or 4, or fewer n_epochs"
    ) in done.stdout
    assert card(study, END)["steps"] == 15
    study.config["hosted_tunings"]["ft"]["checkpoints"]["epochs"] = [3, 4]
    study.run(target.replace("@1", "@3"))
    assert card(study, f"{END}@3")["step"] == 9
