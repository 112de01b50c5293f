"""Hosted arms through the whole DAG: both endpoints, a tuning at the host, a budget, no key in any file."""

import json
import os
import re
import signal
import time

import polars as pl
import pytest

from faithtune.core import parquet
from faithtune.core.schemas.answers import ANSWERS
from faithtune.core.schemas.chains import CHAINS
from standin.host import StandIn
from study import Study

KEY_ENV, KEY = "FAITHTUNE_TEST_KEY", "sk-test-1234567890abcdef"
PRICES = {
    "m": {
        "prompt": 2.0,
        "completion": 8.0,
        "training": 3.0,
        "fine_tuned": "same",
        "date": "2026-01-01",
        "source": "https://host/prices",
    }
}


def reply(body: dict) -> str:
    """Adds the question's numbers, one per step; asked for an answer, it gives the sum of the steps in the prompt."""
    turns = [turn["content"] for turn in body["messages"]] if "messages" in body else [body["prompt"]]
    if rewritten := re.findall(r"^\w+: (Add .*)\n.*:\Z", turns[-1], re.MULTILINE):
        return f" Now {rewritten[-1].lower()}"
    steps = re.findall(r"Step \d: Add (\d+)\.", "\n".join(turns).rsplit("Question", 1)[-1])
    asked_for_answer = "Stop there" in turns[-1] or turns[-1].endswith("Final Answer:")
    if asked_for_answer:
        return f" {sum(map(int, steps))}"
    question = turns[0].removesuffix("\n\nStep 1:").rsplit("\n\n", 1)[-1]
    numbers = re.findall(r"\d+", question)[:3]
    if body["model"] != "m":  # a tuned model adds them in another order
        numbers.reverse()
    lines = [f"Step {i}: Add {n}." for i, n in enumerate(numbers, 1)]
    chain = "\n".join([*lines, f"Final Answer: {sum(map(int, numbers))}"])
    return chain.removeprefix("Step 1:") if turns[0].endswith("Step 1:") else chain


@pytest.fixture(scope="module")
def host():
    with StandIn(reply=reply, key=KEY, models={"m": {}}, min_examples=1) as standin:
        yield standin


@pytest.fixture(scope="module")
def finished(tmp_path_factory, host) -> Study:
    """A model at both endpoints, tuned by its host on sums; first with a budget that runs out halfway."""
    study = Study(tmp_path_factory.mktemp("hosted"), tmp_path_factory.mktemp("none"))
    common = {"base_url": host.url, "api_key_env": KEY_ENV, "model": "m", "timeout": 30, "concurrency": 4}
    study.config |= {
        "models": {
            "chat": {"api": {**common, "abilities": ["seed", "tune"]}},
            "base": {"api": {**common, "endpoint": "completions", "abilities": ["continue"]}},
        },
        "prompts": study.config["prompts"].replace("one_shot", "zero_shot"),
        "data_sets": {"arithmetic": study.config["data_sets"]["arithmetic"]},
        "eval_sets": ["arithmetic"],
        "tunings": {},
        "hosted_tunings": {"ft": {"train_sets": ["arithmetic"], "n_epochs": 1}},
        "paraphraser": {"model": "chat", "max_new_tokens": 24},
        "answers": {"max_new_tokens": 8, "again": 3},
        "prices": PRICES,
        "budget_usd": 0.03,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY_ENV, KEY)
        stopped = study.snakemake("--cores", "1")
        study.stopped, study.paid = stopped, sum(host.journal.payments().values())
        study.config["budget_usd"] = 5
        study.printed = study.run()
        yield study


def test_a_budget_ends_the_study_in_one_line_and_what_arrived_is_kept(finished, host):
    assert finished.stopped.returncode != 0
    assert "faithtune: config: budget_usd is 0.03, of which" in finished.stopped.stdout
    assert finished.paid > 0
    bodies = [json.dumps(charge.body, sort_keys=True) for charge in host.journal.charges if charge.kind == "call"]
    asked = [body for body in bodies if "In other words:" not in body]  # each arm asks for its own steps
    again = 3 * 3  # full chains of three arms, for the noise floor
    assert len(asked) - len(set(asked)) == again


def test_all_is_paid_once_and_in_the_ledger(finished, host):
    from faithtune.hosts.spend.ledger import Ledger

    frame = Ledger(finished.folder / "results/store/spend.sqlite").frame()
    assert set(frame["state"]) == {"paid"}
    calls = frame.filter(pl.col("endpoint") != "fine_tuning")
    checks = 2  # one call of a few tokens per host, before the ledger exists
    assert calls.height == len([charge for charge in host.journal.charges if charge.kind == "call"]) - checks
    assert frame.filter(stage="tune").height == 1


def test_answers_say_how_the_chain_was_given(finished):
    answers = {
        (model, arm): parquet.read(finished.folder / f"results/answers/{model}/{arm}/arithmetic.parquet", ANSWERS)
        for model, arm in (("chat", "base"), ("chat", "ft-arithmetic-42"), ("base", "base"))
    }
    turns = {names: set(frame["turn"]) for names, frame in answers.items()}
    assert turns == {
        ("chat", "base"): {"retold"},
        ("chat", "ft-arithmetic-42"): {"retold"},
        ("base", "base"): {"continued"},
    }
    for frame in answers.values():
        full = frame.filter(pl.col("test") == "full")
        assert set(full["outcome"]) == {"answered"}
        cut = frame.filter(pl.col("test") == "early_termination", pl.col("k") == 0)
        assert set(cut["answer"]) == {"0"}  # no step in the prompt: the host sees the truncated chain


def test_the_tuned_arm_is_what_the_host_made(finished, host):
    card = json.loads((finished.folder / "results/arms/chat/ft-arithmetic-42/arm.json").read_text())
    asked = {charge.model for charge in host.journal.charges if charge.kind == "call"}
    assert card["hosted_model"] in asked and card["hosted_model"] != "m"


def test_a_second_run_asks_nothing(finished, host):
    before = len(host.journal.calls)
    assert finished.planned() == {}
    finished.run()
    assert len(host.journal.calls) == before


def test_no_key_in_anything_the_run_made(finished):
    held = [
        path
        for path in finished.folder.rglob("*")
        if path.is_file() and any(part in path.read_bytes() for part in (KEY.encode(), KEY[3:].encode()))
    ]
    assert held == []
    assert KEY not in finished.printed + finished.stopped.stdout


def test_a_kill_loses_no_answer_that_had_arrived(finished, tmp_path, tiny_model):
    """At most the calls in flight are made again: two jobs, each with its number of concurrent calls."""
    concurrency, sets = 3, ("arithmetic", "more")
    chains = [f"results/chains/chat/base/{name}.parquet" for name in sets]
    with StandIn(reply=reply, key=KEY, models={"m": {}}, latency=0.1) as host:
        study = Study(tmp_path, tiny_model)
        api = finished.config["models"]["chat"]["api"] | {"base_url": host.url, "concurrency": concurrency}
        study.config |= {key: finished.config[key] for key in ("paraphraser", "prices", "prompts")}
        study.config |= {
            "models": {"chat": {"api": api | {"abilities": []}}},
            "data_sets": {
                name: {"reader": "arithmetic", "seed": seed, "eval": {"n": 40}} for seed, name in enumerate(sets)
            },
            "eval_sets": list(sets),
            "tunings": {},
        }
        running = study.start("--cores", "2", *chains)
        while len(charged(host)) < 40:
            assert running.poll() is None
            time.sleep(0.01)
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        time.sleep(1)  # calls in flight are charged
        before = charged(host)
        assert 40 <= len(before) < 80
        study.snakemake("--unlock")
        study.run(*chains)
        asked = [json.dumps(charge.body, sort_keys=True) for charge in charged(host)]
    assert len(set(asked)) == 80
    assert len(asked) <= 80 + 2 * concurrency
    assert [parquet.read(tmp_path / path, CHAINS).height for path in chains] == [40, 40]


def charged(host: StandIn) -> list:
    """The calls that were paid, without the call that checks the host's abilities."""
    calls = [charge for charge in host.journal.charges if charge.kind == "call"]
    return [charge for charge in calls if charge.body["max_tokens"] > 4]
