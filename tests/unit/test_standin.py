"""The stand-in host, asked by the real client: shapes, truth, faults, and a journal that knows what was paid."""

import json
import math
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from openai.types.chat import ChatCompletion

from standin.batching import Fate
from standin.faults import Fault
from standin.host import StandIn
from standin.remote import Remote
from standin.settings import ABILITIES

MODEL = "gpt-standin"
CLIENT = openai.OpenAI(base_url="http://127.0.0.1", api_key="none", max_retries=0, timeout=10)


@pytest.fixture
def host():
    with StandIn() as host:
        yield host


def client(host, **options):
    return CLIENT.with_options(base_url=host.url, api_key=host.key or "none", **options)


def ask(host, text="One two three", **body):
    return client(host).chat.completions.create(model=MODEL, messages=[{"role": "user", "content": text}], **body)


def go_on(host, prompt="One two three", **body):
    return client(host).completions.create(model=MODEL, prompt=prompt, **body)


def valid(found):
    """The object itself, held to its type: the client would let a missing field pass."""
    type(found).model_validate(found.to_dict())
    return found


def without(*abilities):
    return [name for name in ABILITIES if name not in abilities]


# Completions


def test_chat_answers_and_counts(host):
    found = valid(ask(host, "Say this"))
    assert found.choices[0].message.content.endswith(": Say this")
    assert (found.choices[0].finish_reason, found.usage.prompt_tokens) == ("stop", 2)
    assert found.usage.total_tokens == 2 + found.usage.completion_tokens
    assert (host.journal.asked("Say this"), host.journal.paid("Say this")) == (1, 1)
    call = host.journal.calls[0]
    assert (call.path, call.status, call.ended) == ("/v1/chat/completions", 200, "answered")
    assert call.headers["authorization"] == f"Bearer {host.key}"
    assert host.journal.charges[0].completion_tokens == found.usage.completion_tokens


@pytest.mark.parametrize("limit", [{"max_tokens": 2}, {"max_completion_tokens": 2}])
def test_answer_is_cut_at_the_token_limit(limit):
    with StandIn(reply=lambda body: "So it is (B).") as host:
        found = ask(host, **limit)
    assert (found.choices[0].message.content, found.choices[0].finish_reason) == ("So it", "length")


def test_stop_and_exact_end():
    with StandIn(reply=lambda body: "Step 1\nStep 2") as host:
        assert go_on(host, stop=["\n"]).choices[0].text == "Step 1"
        assert go_on(host, max_tokens=4).choices[0].finish_reason == "stop"


def test_logprobs_are_the_given_probabilities():
    with StandIn(reply=lambda body: "B.", chances=lambda body: [{"A": 0.25, "B": 0.5, "C": 0.125}]) as host:
        first, second = valid(ask(host, logprobs=True, top_logprobs=2)).choices[0].logprobs.content
        assert [(top.token, math.exp(top.logprob)) for top in first.top_logprobs] == [("B", 0.5), ("A", 0.25)]
        assert (first.token, math.exp(first.logprob), second.token, second.logprob) == ("B", 0.5, ".", 0)
        found = valid(go_on(host, logprobs=1)).choices[0].logprobs
        assert (found.tokens, found.text_offset) == (["B", "."], [0, 1])
        assert found.top_logprobs == [{"B": math.log(0.5)}, {".": 0.0}]
        assert ask(host).choices[0].logprobs is None


def test_seed_holds_unless_it_is_ignored(host):
    def twice(**body):
        return len({ask(host, **body).choices[0].message.content for _ in range(2)})

    assert (twice(seed=1), twice(), twice(temperature=0)) == (1, 2, 1)
    host.set(abilities=without("seed"))
    assert (twice(seed=1), twice(temperature=0)) == (2, 1)


def test_prompt_of_token_ids(host):
    assert valid(go_on(host, [5, 6, 7])).usage.prompt_tokens == 3
    assert host.journal.paid("5 6 7") == 1


def test_missing_abilities(host):
    host.set(abilities=without("logprobs", "batch", "completions"))
    assert ask(host, logprobs=True).choices[0].logprobs is None
    for call in (lambda: go_on(host), client(host).batches.list):
        with pytest.raises(openai.NotFoundError):
            call()
    host.set(abilities=["chat"])
    for call in (client(host).files.list, client(host).fine_tuning.jobs.list):
        with pytest.raises(openai.NotFoundError):
            call()


@pytest.mark.parametrize(
    "body, code, param",
    [
        ({"extra_body": {"add_special_tokens": False}}, None, "add_special_tokens"),
        ({"max_tokens": 1}, "unsupported_parameter", "max_tokens"),
        ({"max_completion_tokens": 10**6}, "context_length_exceeded", "messages"),
        ({"logprobs": True, "top_logprobs": 21}, None, "top_logprobs"),
        ({"top_logprobs": 1}, None, "top_logprobs"),
        ({"n": 2}, None, "n"),
    ],
)
def test_refused_bodies(host, body, code, param):
    host.set(refused=["max_tokens"])
    with pytest.raises(openai.BadRequestError) as caught:
        ask(host, **body)
    assert (caught.value.code, caught.value.param) == (code, param)
    assert not host.journal.charges


def test_known_extra_field(host):
    host.set(extra=["add_special_tokens"])
    ask(host, extra_body={"add_special_tokens": False})
    assert host.journal.calls[0].body["add_special_tokens"] is False


def test_wrong_key_and_wrong_model(host):
    with pytest.raises(openai.AuthenticationError, match=r"sk-wrong\*+rong\."):
        client(host).with_options(api_key="sk-wrong-and-long-wrong").files.list()
    with pytest.raises(openai.NotFoundError, match="gpt-none"):
        client(host).completions.create(model="gpt-none", prompt="x")


# Faults


@pytest.mark.parametrize(
    "fault, error, paid",
    [
        (Fault("status", 429, retry_after=3600), openai.RateLimitError, 0),
        (Fault("status", 429, code="insufficient_quota"), openai.RateLimitError, 0),
        (Fault("status", 500), openai.InternalServerError, 0),
        (Fault("status", 503, retry_after_ms=10), openai.InternalServerError, 0),
        (Fault("key"), openai.AuthenticationError, 0),
        (Fault("dropped_before"), openai.APIConnectionError, 0),
        (Fault("dropped_after"), openai.APIConnectionError, 1),
        (Fault("silent", seconds=1), openai.APITimeoutError, 1),
        (Fault("garbled"), json.JSONDecodeError, 1),
        (Fault("cut"), openai.APIConnectionError, 1),
    ],
)
def test_each_fault_strikes_once(host, fault, error, paid):
    host.script("POST /chat/completions", fault)
    one = client(host, timeout=0.5 if fault.kind == "silent" else 10)
    question = {"model": MODEL, "messages": [{"role": "user", "content": "x"}]}
    with pytest.raises(error) as caught:
        one.chat.completions.create(**question)
    if fault.retry_after:
        assert caught.value.response.headers["retry-after"] == "3600"
    assert fault.kind != "key" or host.key in str(caught.value)
    assert host.journal.paid("x") == paid
    valid(client(host).chat.completions.create(**question))
    assert (host.journal.asked("x"), host.journal.paid("x")) == (2, paid + 1)
    assert [call.fault for call in host.journal.calls] == [fault.kind, None]


def test_slow_body_outlasts_the_timeout_of_a_read(host):
    host.script("/chat/completions", Fault("slow", seconds=1))
    valid(client(host, timeout=0.7).chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "x"}]))
    assert host.journal.calls[0].seconds >= 0.8


def test_client_that_leaves_has_paid(host):
    host.set(latency=0.5)
    with pytest.raises(openai.APITimeoutError):
        client(host, timeout=0.2).completions.create(model=MODEL, prompt="x")
    go_on(host, "y")
    assert (host.journal.calls[0].ended, host.journal.paid("x")) == ("left", 1)


def test_client_tries_again_by_itself(host):
    host.script("/chat/completions", Fault("status", 500, retry_after_ms=1), Fault("status", 429, retry_after_ms=1))
    question = [{"role": "user", "content": "x"}]
    client(host, max_retries=2).chat.completions.create(model=MODEL, messages=question)
    assert (host.journal.asked("x"), host.journal.paid("x")) == (3, 1)


def test_random_faults_do_not_hang_on_the_order():
    def struck(order):
        with StandIn() as host:
            host.at_random("/completions", 0.3, Fault("status", 500), Fault("dropped_before"), seed=5)
            for i in order:
                try:
                    go_on(host, f"row {i}", temperature=0)
                except openai.APIError:
                    continue
            return {call.keys[0]: call.fault for call in host.journal.calls}

    found = struck(range(60))
    assert found == struck(reversed(range(60)))
    assert 8 < sum(fault is not None for fault in found.values()) < 30


def test_many_at_once_are_each_paid_once():
    with StandIn(latency=0.01) as host, ThreadPoolExecutor(32) as pool:
        one = client(host)
        rows = [f"row {i}" for i in range(500)]
        answers = pool.map(lambda row: one.completions.create(model=MODEL, prompt=row).choices[0].text, rows)
        assert all(answer.endswith(row) for answer, row in zip(answers, rows, strict=True))
        assert host.journal.payments() == host.journal.asks() == dict.fromkeys(rows, 1)
        assert 4 < host.journal.most_at_once("/completions") <= 32


# Files and batches


def request(key, text="x", model=MODEL, url="/v1/chat/completions"):
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    return {"custom_id": key, "method": "POST", "url": url, "body": body}


def upload(host, lines, purpose="batch"):
    data = b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines)
    return valid(client(host).files.create(file=("rows.jsonl", data), purpose=purpose))


def submit(host, lines):
    asked = {"endpoint": "/v1/chat/completions", "completion_window": "24h", "metadata": {"study": "s"}}
    return valid(client(host).batches.create(input_file_id=upload(host, lines).id, **asked))


def follow(host, batch):
    """The states it goes through, and what it came to."""
    states = [batch.status]
    while batch.status not in ("completed", "expired", "failed", "cancelled"):
        batch = valid(client(host).batches.retrieve(batch.id))
        states.append(batch.status)
    return states, batch


def lines_of(host, file):
    return [json.loads(line) for line in client(host).files.content(file).text.splitlines()] if file else []


ROWS = [request(f"row-{i}", f"text {i}") for i in range(10)]
KEYS = [row["custom_id"] for row in ROWS]


def test_files_are_kept(host):
    data = b'{"a": "\r\n\xc3\xa9"}\n\n--x\r\n'
    names = [valid(client(host).files.create(file=(f"{i}.jsonl", data), purpose="batch")).id for i in range(3)]
    assert client(host).files.content(names[0]).content == data
    assert [file.id for file in client(host).files.list(limit=2)] == names[::-1]  # by pages
    assert client(host).files.delete(names[1]).deleted
    with pytest.raises(openai.NotFoundError):
        client(host).files.retrieve(names[1])
    assert host.journal.calls[0].body["bytes"] == len(data)


def test_files_are_worked_through_before_they_can_be_used(host):
    host.set(file_looks=2)
    name = upload(host, ROWS).id
    asked = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
    with pytest.raises(openai.BadRequestError, match="not processed yet"):
        client(host).batches.create(input_file_id=name, **asked)
    assert [client(host).files.retrieve(name).status for _ in range(3)] == ["pending", "processed", "processed"]
    assert client(host).batches.create(input_file_id=name, **asked).status == "validating"
    host.set(file_looks=0, file_fault="Line 1 is no request.")
    name = upload(host, ROWS).id
    found = valid(client(host).files.retrieve(name))
    assert (found.status, found.status_details) == ("error", "Line 1 is no request.")


def test_batch_is_completed(host):
    states, batch = follow(host, submit(host, ROWS))
    assert states == ["validating", "in_progress", "finalizing", "completed"]
    assert (batch.request_counts.completed, batch.error_file_id, batch.metadata) == (10, None, {"study": "s"})
    output = lines_of(host, batch.output_file_id)
    assert [line["custom_id"] for line in output] == KEYS
    for line, row in zip(output, ROWS, strict=True):
        found = ChatCompletion.model_validate(line["response"]["body"])
        assert found.choices[0].message.content.endswith(row["body"]["messages"][0]["content"])
    assert host.journal.payments() == host.journal.asks() == dict.fromkeys(KEYS, 1)
    assert batch.usage.input_tokens == sum(charge.prompt_tokens for charge in host.journal.charges) == 20


def test_batch_goes_on_by_hand(host):
    host.set(by_hand=True)
    batch = submit(host, ROWS)
    states = []
    for _ in range(4):
        states.append(client(host).batches.retrieve(batch.id).status)
        host.advance(batch.id)
    assert states == ["validating", "in_progress", "finalizing", "completed"]


def test_results_come_twice_late_or_not_at_all(host):
    host.fate(Fate(twice=["row-1"], missing=["row-2"], errors=["row-3"], shuffled=True, polls=2))
    states, batch = follow(host, submit(host, ROWS))
    assert states.count("in_progress") == 3
    keys = [line["custom_id"] for line in lines_of(host, batch.output_file_id)]
    assert sorted(keys) == sorted([*set(KEYS) - {"row-2", "row-3"}, "row-1"])
    assert keys != sorted(keys)
    (error,) = lines_of(host, batch.error_file_id)
    assert (error["custom_id"], error["response"]["status_code"], error["error"]) == ("row-3", 500, None)
    assert set(KEYS) - set(host.journal.payments()) == {"row-3"}


def test_batch_names_its_output_late(host):
    host.fate(Fate(late=2))
    _, batch = follow(host, submit(host, ROWS))
    found = [batch, *(client(host).batches.retrieve(batch.id) for _ in range(2))]
    assert [each.output_file_id is None for each in found] == [True, True, False]
    assert {each.request_counts.completed for each in found} == {10}


def test_metadata_is_not_kept(host):
    host.set(metadata=False)
    assert submit(host, ROWS).metadata is None
    assert tune(host, [SUPERVISED] * 10, metadata={"a": "b"}).metadata is None


def test_shares_of_a_batch_are_seeded(host):
    rows = [request(f"row-{i}") for i in range(200)]
    host.fate(Fate(errors=0.25, seed=1), Fate(errors=0.25, seed=1))
    counts = [follow(host, submit(host, rows))[1].request_counts.failed for _ in range(2)]
    assert counts[0] == counts[1]
    assert 30 < counts[0] < 70


def test_expired_batch_keeps_what_was_done(host):
    host.fate(Fate(end="expired", done=4))
    states, batch = follow(host, submit(host, ROWS))
    assert states[-1] == "expired"
    assert [line["custom_id"] for line in lines_of(host, batch.output_file_id)] == KEYS[:4]
    errors = lines_of(host, batch.error_file_id)
    assert [line["custom_id"] for line in errors] == KEYS[4:]
    assert {line["error"]["code"] for line in errors} == {"batch_expired"}
    assert set(host.journal.payments()) == set(KEYS[:4])


def test_cancelled_batch(host):
    host.fate(Fate(done=3))
    batch = submit(host, ROWS)
    client(host).batches.retrieve(batch.id)
    states, batch = follow(host, valid(client(host).batches.cancel(batch.id)))
    assert states == ["cancelling", "cancelled"]
    assert len(lines_of(host, batch.output_file_id)) == len(host.journal.payments()) == 3
    with pytest.raises(openai.BadRequestError):
        client(host).batches.cancel(batch.id)


@pytest.mark.parametrize(
    "lines, settings, code",
    [
        ([request("a"), request("b", model="gpt-other")], {}, "model_mismatch"),
        ([request("a"), request("a")], {}, "duplicate_custom_id"),
        ([request("a", url="/v1/completions")], {}, "url_mismatch"),
        ([request("a"), b"{broken\n"], {}, "invalid_json_line"),
        ([b"\n"], {}, "invalid_json_line"),
        (ROWS, {"max_requests": 9}, "too_many_tasks"),
        (ROWS, {"max_bytes": 100}, "file_too_large"),
        (ROWS, {"max_enqueued_tokens": 19}, "token_limit_exceeded"),
    ],
)
def test_batches_that_are_refused(host, lines, settings, code):
    host.set(**settings)
    states, batch = follow(host, submit(host, lines))
    assert (states, batch.errors.data[0].code) == (["validating", "failed"], code)
    assert not host.journal.charges


def test_enqueued_tokens_are_of_all_batches_under_way(host):
    host.set(max_enqueued_tokens=20)
    first, second = submit(host, ROWS), submit(host, ROWS)
    client(host).batches.retrieve(first.id)
    assert client(host).batches.retrieve(second.id).status == "failed"
    follow(host, first)
    assert follow(host, submit(host, ROWS))[0][-1] == "completed"


def test_batch_fails_in_the_midst(host):
    host.fate(Fate(end="failed"))
    assert follow(host, submit(host, ROWS))[0] == ["validating", "in_progress", "failed"]


def test_batch_that_was_made_unnoticed_is_in_the_list(host):
    for _ in range(3):
        submit(host, ROWS)
    host.script("POST /batches", Fault("dropped_after"))
    with pytest.raises(openai.APIConnectionError):
        submit(host, ROWS)
    assert [batch.id for batch in map(valid, client(host).batches.list(limit=2))] == [
        f"batch_{i}" for i in (4, 3, 2, 1)
    ]
    assert host.journal.asked("row-0") == 4


# Fine-tuning

SUPERVISED = {"messages": [{"role": "user", "content": "2 + 2"}, {"role": "assistant", "content": "4"}]}
PREFERENCE = {
    "input": {"messages": [{"role": "user", "content": "2 + 2"}]},
    "preferred_output": [{"role": "assistant", "content": "4"}],
    "non_preferred_output": [{"role": "assistant", "content": "5"}],
}


def tune(host, lines, method="supervised", **further):
    file = upload(host, lines, "fine-tune").id
    method = {"type": method, method: {"hyperparameters": {"n_epochs": 2}}}
    return valid(client(host).fine_tuning.jobs.create(model=MODEL, training_file=file, method=method, **further))


def wait(host, job):
    states = [job.status]
    while job.status not in ("succeeded", "failed", "cancelled"):
        job = valid(client(host).fine_tuning.jobs.retrieve(job.id))
        states.append(job.status)
    return states, job


@pytest.mark.parametrize("method, example, tokens", [("supervised", SUPERVISED, 4), ("dpo", PREFERENCE, 5)])
def test_tuned_model_answers(host, method, example, tokens):
    validation = upload(host, [example], "fine-tune").id
    states, job = wait(host, tune(host, [example] * 10, method, suffix="arm", seed=3, validation_file=validation))
    assert states == ["validating_files", "queued", "running", "succeeded"]
    assert (job.seed, job.trained_tokens, job.hyperparameters.n_epochs) == (3, 2 * 10 * tokens, 2)
    assert job.fine_tuned_model == "ft:gpt-standin:standin:arm:1"
    jobs = client(host).fine_tuning.jobs
    found = [checkpoint.fine_tuned_model_checkpoint for checkpoint in map(valid, jobs.checkpoints.list(job.id))]
    assert found == [job.fine_tuned_model, f"{job.fine_tuned_model}:ckpt-step-10"]
    assert [event.message for event in map(valid, jobs.list_events(job.id))][-1].startswith("Created")
    for model in found:
        valid(client(host).chat.completions.create(model=model, messages=[{"role": "user", "content": "x"}]))
    assert host.journal.paid(job.training_file) == host.journal.asked(job.training_file) == 1
    assert [each.id for each in jobs.list()] == [job.id]


@pytest.mark.parametrize(
    "lines, method, code",
    [
        ([SUPERVISED] * 9, "supervised", "invalid_n_examples"),
        ([SUPERVISED] * 10 + [PREFERENCE], "supervised", "invalid_training_file"),
        ([SUPERVISED] * 10, "dpo", "invalid_training_file"),
        ([SUPERVISED] * 10 + [b"{broken\n"], "supervised", "invalid_training_file"),
        ([{"messages": SUPERVISED["messages"][:1]}] * 10, "supervised", "invalid_training_file"),
    ],
)
def test_jobs_that_fail(host, lines, method, code):
    states, job = wait(host, tune(host, lines, method))
    assert (states, job.error.code, job.fine_tuned_model) == (["validating_files", "failed"], code, None)
    assert not host.journal.charges


def test_an_alias_is_answered_with_the_models_own_name(host):
    host.set(models={f"{MODEL}-2026-01-01": {}}, aliases={MODEL: f"{MODEL}-2026-01-01"})
    assert tune(host, [SUPERVISED] * 10).model == ask(host).model == f"{MODEL}-2026-01-01"


def test_job_fails_on_demand_and_is_cancelled(host):
    host.fail_job("The job failed due to an internal error.")
    states, job = wait(host, tune(host, [SUPERVISED] * 10))
    assert (states[-2:], job.error.message) == (["running", "failed"], "The job failed due to an internal error.")
    job = tune(host, [SUPERVISED] * 10)
    assert valid(client(host).fine_tuning.jobs.cancel(job.id)).status == "cancelled"
    with pytest.raises(openai.BadRequestError):
        client(host).fine_tuning.jobs.cancel(job.id)


def test_method_the_host_lacks(host):
    host.set(methods=["supervised"])
    with pytest.raises(openai.BadRequestError, match="dpo"):
        tune(host, [PREFERENCE] * 10, "dpo")


# In a process of its own


def test_host_in_another_process():
    with Remote(reply="standin.speaking:content", max_requests=5) as host:
        assert ask(host, "Hello").choices[0].message.content == "Hello"
        host.script("/chat/completions", Fault("dropped_after"))
        with pytest.raises(openai.APIConnectionError):
            ask(host, "Hello")
        host.fate(Fate(end="expired", done=1))
        batch = submit(host, ROWS[:2])
        host.set(by_hand=True)
        for _ in range(2):
            host.advance()
        assert client(host).batches.retrieve(batch.id).status == "expired"
        journal = host.journal
    assert [journal.paid(key) for key in ("Hello", "row-0", "row-1")] == [2, 1, 0]
    assert [call.ended for call in journal.of("POST /chat/completions")] == ["answered", "dropped"]
