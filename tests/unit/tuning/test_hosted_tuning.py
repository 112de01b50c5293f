"""Tuning at a host: the same examples as here, and one job that is paid once, whatever happens."""

import json
import os
import runpy
import signal
import subprocess
import sys
from collections import Counter
from types import SimpleNamespace

import polars as pl
import pytest

import hosted_tunings
from faithtune.core import parquet, paths
from faithtune.core.errors import UserError
from faithtune.core.schemas.questions import QUESTIONS
from faithtune.data import questions
from faithtune.hosts import finetune_api, session
from faithtune.hosts.spend import ledger as spend
from faithtune.hosts.spend import prices
from faithtune.settings.hosts import HostSettings
from faithtune.tuning import examples, hosted
from hosted_tunings import KEY_ENV, MODEL, PRICE, SETTINGS, TEMPLATES, sums, tune
from hosting import hosted_model
from standin.faults import Fault
from standin.host import StandIn
from standin.remote import Remote
from standin.settings import Settings

KEY = Settings().key
SCRIPT = paths.WORKFLOW / "scripts" / "tune_hosted.py"
JOBS, FILES = "POST /fine_tuning/jobs", "POST /files"


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv(KEY_ENV, KEY)


@pytest.fixture
def host():
    with StandIn() as host:
        yield host


def lines(data: bytes) -> list[dict]:
    return [json.loads(line) for line in data.splitlines()]


def ledger(folder) -> list[dict]:
    with spend.Ledger(folder / "spend.sqlite") as found:
        return found.frame().to_dicts()


def record(folder):
    [path] = (folder / "records" / "gpt").iterdir()
    return path


CHOICES = questions.frame(
    [
        questions.choice(f"Which is {n}?", ["one", "two", "three"], "ABC"[n % 3], rationale=f"Look.\nIt is {n}.")
        for n in range(20)
    ],
    "choices",
    "train",
)
BOTH = TEMPLATES | {f"{form}_choice": f"Choose ({form}).\n\n{{question}}" for form in ("cot", "no_cot")}


# Examples


class Characters:
    """A tokenizer with one token per character, so that equal ids mean equal texts."""

    chat_template, bos_token, eos_token = None, None, "\0"

    def __call__(self, text, add_special_tokens):
        return SimpleNamespace(input_ids=[ord(character) for character in text])


@pytest.mark.parametrize("target", ["rationale", "answer_only"])
@pytest.mark.parametrize("asked", [sums(), CHOICES], ids=["numbers", "choices"])
def test_examples_are_those_of_a_local_tuning(asked, target):
    from faithtune.tuning import tokens as local

    settings = SETTINGS.model_copy(update={"target": target, "validation_share": 0})
    training, validation = hosted.training_files(asked, BOTH, settings)
    assert validation is None
    for question, line in zip(asked.to_dicts(), lines(training), strict=True):
        assert list(line) == ["messages"]
        user, assistant = line["messages"]
        assert (user["role"], assistant["role"]) == ("user", "assistant")
        own = local.tokenise_example(Characters(), BOTH, question, target)
        prompt = own["completion_mask"].index(1)
        assert "".join(map(chr, own["input_ids"][:prompt])) == f"{user['content']}\n\n"
        assert "".join(map(chr, own["input_ids"][prompt:])) == f"{assistant['content']}\0"


@pytest.mark.parametrize("asked", [sums(200), CHOICES], ids=["numbers", "choices"])
def test_a_preference_is_for_the_right_answer_and_nothing_else(asked):
    settings = SETTINGS.model_copy(update={"method": "dpo", "validation_share": 0})
    right = hosted.training_files(asked, BOTH, settings.model_copy(update={"method": "sft"}))[0]
    found = lines(hosted.training_files(asked, BOTH, settings)[0])
    wrong_answers = []
    for question, line, supervised in zip(asked.to_dicts(), found, lines(right), strict=True):
        assert line["input"]["messages"] + line["preferred_output"] == supervised["messages"]
        [wrong] = line["non_preferred_output"]
        answer = examples.wrong_answer(question)
        wrong_answers.append(answer)
        assert answer != question["answer"]
        assert wrong["content"] == examples.completion(question | {"answer": answer}, "rationale")
        before, _, _ = wrong["content"].rpartition("Final Answer:")
        assert line["preferred_output"][0]["content"].startswith(before)
    assert len(set(wrong_answers)) > 2
    assert found == lines(hosted.training_files(asked, BOTH, settings)[0])


@pytest.mark.parametrize("answer", ["0", "3", "-4", "0.25", "123456789012345678901234567890.5"])
def test_a_wrong_number_is_near_canonical_and_not_newly_negative(answer):
    for draw in range(40):
        wrong = examples.wrong_answer({"id": str(draw), "kind": "number", "answer": answer})
        assert wrong == questions.canonical_number(wrong) != answer
        assert answer.startswith("-") or not wrong.startswith("-")


def test_questions_without_a_rationale_are_left_out():
    half = sums().with_columns(rationale=pl.when(pl.int_range(pl.len()) < 12).then("rationale"))
    training, validation = hosted.training_files(half, TEMPLATES, SETTINGS)
    assert len(lines(training)) + len(lines(validation)) == 12
    with pytest.raises(UserError, match="expected target answer_only"):
        hosted.training_files(half.tail(5), TEMPLATES, SETTINGS)


def test_validation_questions_are_whole_groups_by_a_fixed_draw():
    passages = [
        questions.number(f"What is {i}?", str(i), context=f"passage {i // 3}", rationale="So.") for i in range(90)
    ]
    asked = questions.frame(passages, "passages", "train")
    learnt, held = examples.split_validation(asked, 0.2)
    assert held.height == 18
    assert not set(learnt["group"]) & set(held["group"])
    assert pl.concat([learnt, held]).sort("id").equals(asked.sort("id"))
    again = examples.split_validation(asked.sample(fraction=1, shuffle=True, seed=1), 0.2)[1]
    assert set(again["id"]) == set(held["id"])
    assert set(examples.split_validation(asked, 0.1)[1]["id"]) < set(held["id"])
    assert examples.split_validation(asked, 0)[1].is_empty()
    with pytest.raises(UserError, match="validation_share is 1"):
        examples.split_validation(asked, 1)


# The job


def test_a_tuned_model_answers_and_its_card_tells_all(host, tmp_path, capsys):
    card, log = tune(host.url, tmp_path, learning_rate_multiplier=0.5, batch_size=None)
    assert card["hosted_model"].startswith(f"ft:{MODEL}:standin:{record(tmp_path).stem}:")
    assert (card["method"], card["base"], card["seed"]) == ("sft", MODEL, 42)
    assert card["hyperparameters"] == {"n_epochs": 2, "batch_size": 1, "learning_rate_multiplier": 0.5}
    assert card["examples"] == {"training": 20, "validation": 5}
    [asked] = host.journal.of(JOBS)
    hyperparameters = {"n_epochs": 2, "learning_rate_multiplier": 0.5}
    assert asked.body["method"] == {"type": "supervised", "supervised": {"hyperparameters": hyperparameters}}
    assert {f"{what}_file": name for what, name in card["files"].items()}.items() <= asked.body.items()
    training, validation = hosted.training_files(sums(), TEMPLATES, SETTINGS)
    assert [host.files.contents[name] for name in card["files"].values()] == [training, validation]
    first, last = card["checkpoints"]
    assert (first["step"], first["metrics"]["train_loss"], last["step"]) == (20, 1.0, 40)
    assert last["name"] == card["hosted_model"]
    assert log.schema == hosted.HOSTED_TRAINING
    assert log.select("step", "loss", "token_accuracy", "full_validation_loss").rows() == [
        (20, 1.0, 0.5, 2.0),
        (40, 0.5, pytest.approx(2 / 3), 1.0),
    ]
    for endpoint in ("chat", "completions"):
        tuned = hosted_tunings.connect(host.url, endpoint, card["hosted_model"])
        prompt = [{"role": "user", "content": "x"}] if endpoint == "chat" else "x"
        assert tuned.send(tuned.body(prompt, 9))["model"] == card["hosted_model"]
    told = capsys.readouterr().out
    for text in ("is queued", "is running", "is succeeded", "Step 40/40"):
        assert text in told


def test_a_rerun_attaches_and_pays_nothing(host, tmp_path):
    card, log = tune(host.url, tmp_path)
    again, same = tune(host.url, tmp_path)
    record(tmp_path).unlink()
    found, _ = tune(host.url, tmp_path)
    assert card == again == found
    assert log.equals(same)
    assert [len(host.journal.of(endpoint)) for endpoint in (JOBS, FILES)] == [1, 2]
    assert len(host.journal.charges) == 1
    assert [row["state"] for row in ledger(tmp_path)] == ["paid"]


def test_two_seeds_are_two_arms(host, tmp_path):
    cards = [tune(host.url, tmp_path, seed=seed)[0] for seed in (1, 2)]
    assert len(host.journal.of(JOBS)) == 2
    assert [card["seed"] for card in cards] == [1, 2]
    assert cards[0]["weights_sha256"] != cards[1]["weights_sha256"]


def test_preferences(host, tmp_path):
    card, _ = tune(host.url, tmp_path, method="dpo", target="answer_only", beta=0.2)
    assert (card["method"], card["hyperparameters"]["beta"]) == ("dpo", 0.2)
    assert host.journal.of(JOBS)[0].body["method"]["dpo"]["hyperparameters"] == {"n_epochs": 2, "beta": 0.2}


def test_without_validation_there_is_one_file(host, tmp_path):
    card, _ = tune(host.url, tmp_path, validation_share=0)
    assert list(card["files"]) == ["training"]
    assert len(host.journal.of(FILES)) == 1
    assert host.journal.of(JOBS)[0].body.get("validation_file") is None


def test_a_method_the_host_lacks_is_refused_in_its_words(host, tmp_path):
    host.set(methods=["supervised"])
    with pytest.raises(UserError, match=r"models\.gpt\.api: the host refuses a request: .*'dpo' is not supported"):
        tune(host.url, tmp_path, method="dpo")
    assert [row["state"] for row in ledger(tmp_path)] == ["released"]
    host.set(methods=["supervised", "dpo"])
    assert tune(host.url, tmp_path, method="dpo")[0]["job"] == "ftjob-1"
    assert len(host.journal.of(FILES)) == 2


def test_missing_files_are_uploaded_again(host, tmp_path):
    host.script(JOBS, Fault("status", 401))
    with pytest.raises(UserError):
        tune(host.url, tmp_path)
    host.files.objects.clear()
    assert tune(host.url, tmp_path)[0]["files"] == {"training": "file-3", "validation": "file-4"}


# What goes wrong


@pytest.mark.parametrize("at, tokens", [("validating_files", 0), ("running", None)])
def test_a_failed_job_is_reported_and_repeated_only_on_demand(host, tmp_path, at, tokens):
    host.fail_job(f"Bad\nluck, said {KEY}.", at)
    for _ in range(2):
        with pytest.raises(UserError, match=r"the tuning job ftjob-1 failed: Bad luck, said .*remove .*\.json") as told:
            tune(host.url, tmp_path)
        assert KEY not in str(told.value)
        assert str(record(tmp_path)) in str(told.value)
    assert len(host.journal.of(JOBS)) == 1
    record(tmp_path).unlink()
    assert tune(host.url, tmp_path)[0]["job"] == "ftjob-2"
    assert [len(host.journal.of(endpoint)) for endpoint in (JOBS, FILES)] == [2, 2]
    # The host does not report the first job's cost, so its upper bound is counted.
    assert [row["state"] for row in ledger(tmp_path)] == ["paid", "paid"]


def test_refused_files_cost_nothing(host, tmp_path):
    host.set(min_examples=30)
    with pytest.raises(UserError, match="failed: Training file has 20 example"):
        tune(host.url, tmp_path)
    assert [(row["state"], row["usd"]) for row in ledger(tmp_path)] == [("released", 0)]


def test_a_cancelled_job_is_reported(host, tmp_path):
    host.set(by_hand=True)
    with pytest.raises(UserError, match="the tuning job ftjob-1 cancelled; to create another, remove"):
        client = hosted_tunings.connect(host.url).client
        tune(host.url, tmp_path, sleep=lambda _: client.fine_tuning.jobs.cancel("ftjob-1"))


def test_a_job_that_failed_unseen_is_not_repeated(host, tmp_path):
    """Killed before the answer arrived: the record has no job, but the host has a job that has failed since."""
    tune(host.url, tmp_path)
    kept = json.loads(record(tmp_path).read_text())
    record(tmp_path).write_text(json.dumps({key: value for key, value in kept.items() if key != "job"}))
    host.jobs.jobs["ftjob-1"] |= {"status": "failed", "error": {"code": "x", "message": "Too late.", "param": None}}
    with pytest.raises(UserError, match=r"ftjob-1 failed: Too late\."):
        tune(host.url, tmp_path)
    assert len(host.journal.of(JOBS)) == 1


def test_a_job_the_host_does_not_know(host, tmp_path):
    tune(host.url, tmp_path)
    host.jobs.jobs.clear()
    with pytest.raises(UserError, match=r"the host knows no job ftjob-1; .* remove the file to create another"):
        tune(host.url, tmp_path)


def test_pauses_grow_and_a_paused_job_is_waited_for(host, tmp_path, capsys):
    host.set(by_hand=True)
    pauses, states = [], iter(["paused"] * 20 + ["queued", "queued", "running"])

    def sleep(seconds):
        pauses.append(seconds)
        if state := next(states, None):
            host.jobs.jobs["ftjob-1"]["status"] = state
        else:
            host.advance()

    tune(host.url, tmp_path, sleep=sleep)
    paused = pauses[1:20]
    assert paused == sorted(paused)
    assert (paused[0], paused[-1]) == (2, 60)
    assert pauses[21] < 60
    assert "ftjob-1 is paused; resume or cancel it at the host" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["status", "dropped_before", "dropped_after", "garbled", "cut"])
def test_faults_of_every_call_make_nothing_twice(host, tmp_path, kind):
    for endpoint in (JOBS, FILES, "GET /fine_tuning/jobs", "GET /fine_tuning/jobs/*", "GET /files"):
        host.script(endpoint, Fault(kind), Fault(kind))
    card, _ = tune(host.url, tmp_path)
    assert (len(host.jobs.jobs), len(host.files.contents)) == (1, 3)  # with the host's file of results
    assert len(host.journal.charges) == 1
    assert [row["state"] for row in ledger(tmp_path)] == ["paid"]
    assert card["job"] == "ftjob-1"


def test_a_host_that_wants_to_be_left_alone(host, tmp_path):
    host.script(JOBS, Fault("status", 429, retry_after=3600))
    pauses = []
    tune(host.url, tmp_path, sleep=pauses.append)
    assert 3600 in pauses
    assert [row["state"] for row in ledger(tmp_path)] == ["released", "paid"]


@pytest.mark.parametrize("alias", [False, True])
@pytest.mark.parametrize("forgets", [(), ("metadata",), ("metadata", "user_provided_suffix")])
def test_a_lost_job_is_found_by_what_the_host_keeps(host, tmp_path, forgets, alias):
    if alias:  # the host's answers have the model's own name
        host.set(models={f"{MODEL}-2026-01-01": {}}, aliases={MODEL: f"{MODEL}-2026-01-01"})
    original = host.jobs.create

    def create(request):
        made = original(request)
        made.update(dict.fromkeys(forgets))
        return made

    host.jobs.create = create
    host.script(JOBS, Fault("dropped_after"))
    tune(host.url, tmp_path)
    assert len(host.jobs.jobs) == 1


@pytest.mark.parametrize(
    "job, expected",
    [
        ({"metadata": {"faithtune": "a" * 64}, "model": "another name of it"}, True),
        ({"metadata": {"faithtune": "b" * 64}, "suffix": "a" * 16, "training_file": "file-1", "model": "m"}, False),
        ({"metadata": {"mine": "x"}, "user_provided_suffix": "a" * 16, "model": "org/m-2026"}, True),
        ({"suffix": "other", "training_file": "file-1", "model": "m"}, False),
        ({"training_file": "file-1", "model": "org/m-2026"}, True),
        ({"training_file": "file-1"}, True),
        ({"training_file": "file-1", "model": "other"}, False),
        ({"training_file": "file-1", "model": "m", "seed": 42}, True),
        ({"training_file": "file-1", "model": "m", "seed": 43}, False),
        ({"training_file": "file-2", "model": "m"}, False),
        ({"training_file": None, "model": "m"}, False),
    ],
)
def test_marks_of_a_job_go_before_its_model(job, expected):
    order = finetune_api.FineTuneSpec("a" * 64, {"model": "m", "seed": 42}, {})
    assert finetune_api.belongs_to(job, order, "file-1") == expected
    assert finetune_api.belongs_to(job, order, None) == (expected and "training_file" not in job)


def test_a_host_that_is_away_for_a_while(host, tmp_path):
    host.script("GET /fine_tuning/jobs/*", *[Fault("dropped_before")] * 25)
    assert tune(host.url, tmp_path)[0]["job"] == "ftjob-1"


@pytest.mark.parametrize("kind", ["retrieve", "page"])
def test_states_in_other_words(host, tmp_path, kind):
    words = {"succeeded": "SUCCESS", "failed": "ERROR"}
    original = getattr(host.jobs, kind)

    def other(*asked):
        found = json.loads(json.dumps(original(*asked)))
        for job in found.get("data", [found]):
            job["status"] = words.get(job["status"], job["status"].upper())
        return found

    setattr(host.jobs, kind, other)
    host.fail_job("Bad luck.")
    with pytest.raises(UserError, match="ftjob-1 failed: Bad luck"):
        tune(host.url, tmp_path)
    record(tmp_path).unlink()
    assert tune(host.url, tmp_path)[0]["job"] == "ftjob-2"


def test_files_are_processed_before_a_job_is_made(host, tmp_path):
    host.set(file_looks=4)
    pauses = []
    assert tune(host.url, tmp_path, sleep=pauses.append)[0]["job"] == "ftjob-1"
    assert [call.status for call in host.journal.of(JOBS)] == [200]
    assert pauses[:3] == [1.0, 1.5, 2.25]


def test_unusable_files_are_reported_and_uploaded_again(host, tmp_path):
    host.set(file_fault=f"Line 1 is\nno example, {KEY}.")
    with pytest.raises(UserError, match=r"models\.gpt\.api: .* cannot use file file-1: Line 1 is no example") as told:
        tune(host.url, tmp_path)
    assert KEY not in str(told.value)
    assert not host.journal.of(JOBS)
    assert [row["state"] for row in ledger(tmp_path)] == ["released"]
    host.set(file_fault=None)
    assert tune(host.url, tmp_path)[0]["files"]["training"] == "file-3"


def test_no_key_in_anything_kept(host, tmp_path, capsys):
    host.fail_job(f"The key {KEY} and {KEY[:8]}****{KEY[-4:]}.")
    with pytest.raises(UserError):
        tune(host.url, tmp_path)
    record(tmp_path).unlink()
    card, _ = tune(host.url, tmp_path)
    host.script("GET /fine_tuning/jobs/*", Fault("key"))
    with pytest.raises(UserError, match=KEY_ENV) as refused:
        tune(host.url, tmp_path)
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    said = capsys.readouterr()
    kept += [text.encode() for text in (json.dumps(card), str(refused.value), said.out, said.err)]
    assert "The key [key]" in said.out
    for text in kept:
        assert KEY.encode() not in text
        assert KEY[-4:].encode() not in text


# Money


def test_a_job_is_reserved_at_more_than_it_costs_and_settled_at_that(host, tmp_path):
    card, _ = tune(host.url, tmp_path)
    [row] = ledger(tmp_path)
    names = ("model", "host_model", "arm", "eval_set", "stage", "endpoint", "batch")
    assert [row[name] for name in names] == ["gpt", MODEL, "ft-sums-42", None, "tune", "fine_tuning", False]
    [charge] = host.journal.charges
    assert row["prompt_tokens"] == card["trained_tokens"] == charge.prompt_tokens
    assert row["usd"] == pytest.approx(prices.training_cost(PRICE, charge.prompt_tokens))
    training, _ = hosted.training_files(sums(), TEMPLATES, SETTINGS)
    assert 2 * hosted.count_training_tokens(training) > charge.prompt_tokens


@pytest.mark.slow
def test_the_rules_job_reserves_more_than_a_tokenizer_may_count(host, tmp_path, monkeypatch):
    original = host.jobs.retrieve
    host.jobs.retrieve = lambda *asked: original(*asked) | {"trained_tokens": None}  # the reservation stands
    monkeypatch.chdir(tmp_path)
    parquet.write(sums(), tmp_path / "questions.parquet", QUESTIONS)
    model = hosted_model("gpt", host.url, MODEL, endpoint="chat", abilities=["tune"])
    settings = HostSettings(api_key_env=KEY_ENV, timeout=30)
    rule = SimpleNamespace(
        log=["log.txt"],
        params=SimpleNamespace(
            spec={"backend": {"api": model}, "tuning": dict(SETTINGS), "templates": TEMPLATES}
            | {"data": {"targets": {"sums": SETTINGS.target}}}
        ),
        wildcards=SimpleNamespace(model="gpt", arm="ft-sums-42"),
        config={"hosts": {"gpt": dict(settings)}},
        input=SimpleNamespace(questions=["questions.parquet"]),
        output=SimpleNamespace(training="training.parquet", card="arm.json"),
    )
    runpy.run_path(str(SCRIPT), init_globals={"snakemake": rule})
    with spend.Ledger(tmp_path / "results" / "store" / "spend.sqlite") as found:
        [row] = found.frame().to_dicts()
    training, _ = hosted.training_files(sums(), TEMPLATES, SETTINGS)
    assert row["prompt_tokens"] == 2 * hosted.count_training_tokens(training, session.token_upper_bound(model))
    assert row["prompt_tokens"] > 1.3 * 2 * hosted.count_training_tokens(training)


def test_a_budget_stops_before_anything_is_sent(host, tmp_path):
    training, _ = hosted.training_files(sums(), TEMPLATES, SETTINGS)
    most = prices.training_cost(PRICE, 2 * hosted.count_training_tokens(training))
    with pytest.raises(spend.BudgetError, match=r"the next call \(tune of gpt\) could cost"):
        tune(host.url, tmp_path, budget=most * 0.999)
    assert not host.journal.of("POST *")
    tune(host.url, tmp_path, budget=most)
    assert len(host.journal.of(JOBS)) == 1


def test_a_budget_needs_the_number_of_epochs(host, tmp_path):
    with pytest.raises(UserError, match="n_epochs of ft-sums-42 is left to the host"):
        tune(host.url, tmp_path, budget=10, n_epochs=None)
    assert tune(host.url, tmp_path, n_epochs=None)[0]["hyperparameters"]["n_epochs"] == 3


def test_a_host_that_names_no_tokens_is_paid_what_was_reserved(host, tmp_path):
    original = host.jobs.retrieve
    host.jobs.retrieve = lambda *asked: original(*asked) | {"trained_tokens": None}
    assert tune(host.url, tmp_path)[0]["trained_tokens"] is None
    training, _ = hosted.training_files(sums(), TEMPLATES, SETTINGS)
    [row] = ledger(tmp_path)
    assert (row["state"], row["prompt_tokens"]) == ("paid", 2 * hosted.count_training_tokens(training))


# Killed


@pytest.mark.slow
def test_a_tuning_killed_anywhere_makes_and_pays_its_job_once(tmp_path):
    with Remote() as host:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, hosted_tunings.__file__, host.url, str(tmp_path)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        journal = host.journal
    *killed, last = json.loads(done.stdout)
    assert last == [0, 0]
    assert killed == [[-signal.SIGKILL, 0]] * len(killed)
    assert len(killed) > 20
    seeds = range(1, len(killed) + 2)
    assert Counter(call.body["seed"] for call in journal.of(JOBS)) == Counter(seeds)
    assert set(Counter(call.body["filename"] for call in journal.of(FILES)).values()) == {1}
    assert Counter(charge.body["seed"] for charge in journal.charges) == Counter(seeds)
    for seed in seeds:
        card = json.loads((tmp_path / str(seed) / "card.json").read_text())
        assert card["seed"] == seed
        [row] = ledger(tmp_path / str(seed))
        assert (row["state"], row["prompt_tokens"]) == ("paid", card["trained_tokens"])
        [kept] = (tmp_path / str(seed) / "records" / "gpt").iterdir()
        assert json.loads(kept.read_text())["job"] == card["job"]
