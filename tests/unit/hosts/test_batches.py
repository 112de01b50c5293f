"""Batches: every row is submitted and paid once, wherever the job is killed and whatever becomes of a batch."""

import itertools
import json
import random
import signal
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

import batch_client
from batch_client import KEY, Jobs, Steps, made, meter, request
from faithtune.core.errors import HostStopped, UserError
from faithtune.hosts import responses
from faithtune.hosts.batch import files
from faithtune.hosts.batch import run as batches
from faithtune.hosts.batch.files import Failure, Limits, Row, is_whole, results
from faithtune.hosts.batch.records import Records
from faithtune.hosts.calls import Request
from faithtune.hosts.spend.ledger import BudgetError, Ledger
from standin.batching import Fate
from standin.faults import Fault
from standin.host import StandIn
from standin.remote import Remote

TWO = Limits(requests=2)


@pytest.fixture(scope="module")
def remote():
    with Remote() as host:
        yield host


@pytest.fixture(scope="module")
def jobs():
    with Jobs() as jobs:
        yield jobs


@pytest.fixture
def host():
    with StandIn() as host:
        yield host


def keys_of(n, name="row"):
    return [f"{name}-{i}" for i in range(n)]


def text_of(response):
    return response["choices"][0]["message"]["content"]


def answered(given, keys):
    """Whether each row is there once, with its own answer."""
    texts = {keys[i]: text_of(response) for i, response in given}
    return len(given) == len(keys) and all(f"text {key}" in texts[key] for key in keys)


def once(host, keys):
    """Whether each row was submitted and paid once."""
    journal = host.journal
    asks, payments = journal.asks(), journal.payments()
    return all(asks[key] == payments[key] == 1 for key in keys)


def records(folder):
    return [json.loads(path.read_text()) for path in sorted((folder / "batches").glob("[!.]*.json"))]


def states(folder):
    """Of the ledger's calls, how many in each state."""
    with sqlite3.connect(folder / "spend.sqlite") as database:
        return dict(database.execute("SELECT state, COUNT(*) FROM calls GROUP BY state"))


def asking(paying, folder, keys, limits, limiter=None):
    """A run whose answers are taken one by one."""
    requests = [request(key) for key in keys]
    return batches.run_batches(paying, limiter or batch_client.limiter(), folder / "batches", limits, requests)


def at_sleep(n, do):
    """A limiter at whose n-th sleep something is done."""
    limiter, sleeps = batch_client.limiter(), itertools.count(1)
    limiter.sleep = lambda seconds: next(sleeps) == n and do()
    return limiter


def interrupt():
    raise KeyboardInterrupt


# Chunks and lines


def rows(sizes, paying, model="m"):
    bodies = [{"model": model, "max_tokens": 1, "messages": [{"content": "w " * size}]} for size in sizes]
    requests = [Request(str(i), body) for i, body in enumerate(bodies)]
    return [
        Row(one, [i], len(files.line(one, "chat")), paying.reservation(one, batch=True))
        for i, one in enumerate(requests)
    ]


@pytest.fixture
def paying(tmp_path):
    return meter("http://127.0.0.1:1", tmp_path)


@pytest.mark.parametrize(
    "limits, expected",
    [
        (Limits(), [5]),
        (Limits(requests=2), [2, 2, 1]),
        (Limits(enqueued_tokens=3), [2, 1, 1, 1]),  # tokens 1 2 3 4 5
        (Limits(enqueued_tokens=9), [3, 2]),
        (Limits(bytes=1), [1] * 5),
    ],
)
def test_chunks_keep_within_limits(paying, limits, expected):
    given = rows([1, 2, 3, 4, 5], paying)
    chunks = list(files.chunked(given, limits))
    assert [len(chunk) for chunk in chunks] == expected
    assert [row for chunk in chunks for row in chunk] == given


def test_chunks_by_bytes(paying):
    given = rows([1] * 4, paying)
    two = given[0].n_bytes + given[1].n_bytes
    assert [len(chunk) for chunk in files.chunked(given, Limits(bytes=two))] == [2, 2]
    assert [len(chunk) for chunk in files.chunked(given, Limits(bytes=two - 1))] == [1] * 4


def test_chunks_are_of_one_model(paying):
    a, b = rows([1, 1], paying, "a"), rows([1, 1], paying, "b")
    assert list(files.chunked([a[0], b[0], a[1], b[1]], Limits())) == [a, b]
    assert list(files.chunked([], Limits())) == []


def test_lines_in_and_out():
    assert json.loads(files.line(Request("k", {"prompt": "é\n"}), "completions")) == {
        "custom_id": "k",
        "method": "POST",
        "url": "/v1/completions",
        "body": {"prompt": "é\n"},
    }

    def found(**line):
        [(_, result)] = results(json.dumps({"custom_id": "k", **line}).encode())
        return result if not isinstance(result, Failure) else (result.transient, result.free)

    assert found(response={"status_code": 200, "body": {"a": 1}}, error=None) == {"a": 1}
    assert found(response={"status_code": 500, "body": {"error": {"message": "x"}}}) == (True, True)
    assert found(response={"status_code": 400, "body": "x"}) == (False, True)
    assert found(response={"status_code": 429, "body": {"error": {"code": "insufficient_quota"}}}) == (False, True)
    assert found(response={"status_code": 0}) == (True, False)
    assert found(response=None, error={"code": "batch_expired"}) == (True, True)
    assert list(results(b'[1]\n\n{"cust\n')) == []
    assert [is_whole(data) for data in (b"", b'{"a": 1}', b'{"\n{}\n', b'{}\n{"a')] == [True, True, True, False]


# What becomes of a batch


@pytest.mark.parametrize("endpoint", ["chat", "completions"])
def test_rows_are_answered(host, tmp_path, endpoint):
    keys = keys_of(5)
    given = made(host.url, tmp_path, keys, TWO, endpoint=endpoint)
    assert sorted(i for i, _ in given) == list(range(5))
    assert once(host, keys)
    assert [len(call.keys) for call in host.journal.of("POST /batches")] == [2, 2, 1]
    assert states(tmp_path) == {"paid": 5}
    assert {record["state"] for record in records(tmp_path)} == {"ended"}
    again = made(host.url, tmp_path, keys, TWO, endpoint=endpoint)  # fetched once more
    assert sorted(again, key=lambda one: one[0]) == sorted(given, key=lambda one: one[0])
    assert once(host, keys)
    assert states(tmp_path) == {"paid": 5}


def test_equal_rows_are_asked_once(host, tmp_path):
    given = made(host.url, tmp_path, ["a", "b", "a"], Limits())
    assert [i for i, _ in sorted(given, key=lambda one: one[0])] == [0, 1, 2]
    assert once(host, "ab")


def test_no_rows_ask_nothing(host, tmp_path):
    assert made(host.url, tmp_path, [], TWO) == []
    assert not host.journal.calls


@pytest.mark.slow
@pytest.mark.parametrize("n", [1000, pytest.param(10_000, marks=pytest.mark.nightly)])
def test_many_rows_with_faults(n, host, tmp_path):
    """Of the requests for files 20 % fail, of those for batches 10 %; a batch takes a third of the rows at most."""
    host.fate(
        Fate(end="expired", done=7 * n // 100, twice=0.01),
        Fate(errors=0.05, twice=0.02, shuffled=True, polls=3, seed=1),
        Fate(errors=0.05, error_status=429, shuffled=True, seed=2),
    )
    host.at_random("/files*", 0.2, Fault("status", 500), Fault("dropped_after"), Fault("garbled"), seed=1)
    host.at_random("/batches*", 0.1, Fault("status", 503), Fault("dropped_after"), Fault("cut"), seed=2)
    keys = keys_of(n)
    assert answered(made(host.url, tmp_path, keys, Limits(requests=3 * n // 10)), keys)
    assert host.journal.payments() == dict.fromkeys(keys, 1)
    tries = len(host.journal.charges) + states(tmp_path)["released"]
    assert (states(tmp_path)["paid"], tries) == (n, host.journal.asks().total())


def test_results_that_come_in_part_are_fetched_again(host, tmp_path):
    host.script("GET /files/*/content", Fault("garbled"), Fault("cut"), Fault("status", 500))
    assert answered(made(host.url, tmp_path, keys_of(10), Limits()), keys_of(10))
    assert len(host.journal.of("GET /files/*/content")) == 4
    assert once(host, keys_of(10))


def test_missing_rows_are_told_and_asked_by_another_run(host, tmp_path, monkeypatch):
    keys = keys_of(10)
    host.fate(Fate(missing=["row-2"], twice=["row-3"], shuffled=True))
    given = dict(made(host.url, tmp_path, keys, Limits()))
    assert "has no line" in str(given.pop(2))
    assert sorted(given) == [0, 1, *range(3, 10)]
    assert states(tmp_path) == {"paid": 9, "reserved": 1}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Ledger, "reserve_many", lambda *_: interrupt())
        made(host.url, tmp_path, keys, Limits())
    assert "planned" in {record["state"] for record in records(tmp_path)}
    assert answered(made(host.url, tmp_path, keys, Limits()), keys)
    assert host.journal.asks() == {key: 1 + (key == "row-2") for key in keys}
    assert states(tmp_path) == {"paid": 10, "reserved": 1}  # what may have been paid stays counted


def test_row_lost_in_an_expired_batch_is_told(host, tmp_path):
    keys = keys_of(10)
    host.fate(Fate(end="expired", done=4, missing=["row-1"]))
    given = dict(made(host.url, tmp_path, keys, Limits()))
    assert "may have been charged" in str(given.pop(1))
    assert len(given) == 9
    assert host.journal.payments() == dict.fromkeys(keys, 1)
    assert states(tmp_path) == {"paid": 9, "reserved": 1, "released": 6}


@pytest.mark.parametrize("ends", ["expired", "cancelled"])
def test_rest_of_a_batch_goes_into_another(host, tmp_path, ends):
    keys = keys_of(10)
    host.fate(Fate(end="expired" if ends == "expired" else "completed", done=4, polls=1))
    paying = meter(host.url, tmp_path)
    limiter = at_sleep(2, lambda: ends == "cancelled" and paying.host.client.batches.cancel("batch_1"))
    assert answered(list(asking(paying, tmp_path, keys, Limits(), limiter)), keys)
    assert host.journal.payments() == dict.fromkeys(keys, 1)
    assert [len(call.keys) for call in host.journal.of("POST /batches")] == [10, 6]
    assert states(tmp_path) == {"paid": 10, "released": 6}
    assert [record["status"] for record in records(tmp_path) if record["unanswered"]] == [ends]


def test_rounds_have_an_end(host, tmp_path):
    host.fate(*[Fate(end="expired", done=0)] * 20)
    [(_, error)] = made(host.url, tmp_path, ["a"], Limits())
    assert isinstance(error, UserError)
    assert host.journal.asked("a") == 5
    assert "in 5 batches" in str(error)
    assert states(tmp_path) == {"released": 5}


def test_errors_of_rows(host, tmp_path):
    keys = keys_of(4)
    host.fate(Fate(errors=["row-1"], error_status=400), Fate(errors=["row-3"], error_status=503))
    given = dict(made(host.url, tmp_path, keys, TWO))
    assert isinstance(given.pop(1), UserError)
    assert sorted(given) == [0, 2, 3]
    assert (host.journal.asked("row-1"), host.journal.asked("row-3")) == (1, 2)
    assert states(tmp_path) == {"paid": 3, "released": 2}


def test_failed_validation_is_told_in_the_hosts_words(host, tmp_path):
    host.set(max_requests=1)
    given = dict(made(host.url, tmp_path, ["a", "b", "c"], TWO))
    assert "has more than 1 requests" in str(given[0]) and "\n" not in str(given[0])
    assert KEY not in str(given[0])
    assert f"text {'c'}" in text_of(given[2])
    assert states(tmp_path) == {"paid": 1, "released": 2}
    host.set(max_requests=10)
    assert answered(made(host.url, tmp_path, ["a", "b", "c"], TWO), ["a", "b", "c"])
    assert host.journal.payments() == dict.fromkeys("abc", 1)


def test_batch_without_room_in_the_queue_names_the_key_to_lower(host, tmp_path):
    """What fitted comes back first; after a lower limit the rest is requested, and nothing is paid twice."""
    host.set(max_enqueued_tokens=30)
    keys, given = keys_of(20), []
    with pytest.raises(HostStopped, match="Enqueued token limit") as error:
        for item in asking(meter(host.url, tmp_path), tmp_path, keys, Limits(requests=4, enqueued_tokens=90)):
            given.append(item)
    assert "; lower models.gpt.api.batch.enqueued_tokens, which is 90: " in str(error.value)
    assert "\n" not in str(error.value)
    assert len(given) == 4  # one batch fitted
    assert states(tmp_path) == {"paid": 4, "released": 16}
    host.set(max_enqueued_tokens=1000)
    assert answered(made(host.url, tmp_path, keys, Limits(enqueued_tokens=25)), keys)
    assert host.journal.payments() == dict.fromkeys(keys, 1)


def test_batch_that_an_earlier_run_could_not_enqueue_is_submitted_again(host, tmp_path):
    host.set(max_enqueued_tokens=1, by_hand=True)
    keys, paying = keys_of(4), meter(host.url, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        list(asking(paying, tmp_path, keys, Limits(), at_sleep(1, interrupt)))
    host.set(by_hand=False)
    host.advance()
    host.set(max_enqueued_tokens=1000)
    assert answered(made(host.url, tmp_path, keys, Limits()), keys)
    assert host.journal.payments() == dict.fromkeys(keys, 1)
    assert states(tmp_path) == {"released": 4, "paid": 4}


def test_own_limit_of_enqueued_tokens(host, tmp_path):
    host.set(max_enqueued_tokens=50)  # six and more tokens a row, here and there
    keys = keys_of(30)
    assert answered(made(host.url, tmp_path, keys, Limits(enqueued_tokens=25)), keys)
    assert once(host, keys)


def test_output_file_that_is_named_late(host, tmp_path):
    host.fate(Fate(late=3), Fate(late=10**6))
    assert answered(made(host.url, tmp_path, ["a"], Limits()), ["a"])
    assert once(host, "a")
    limiter = batch_client.limiter()
    [(_, error)] = asking(meter(host.url, tmp_path), tmp_path, ["b"], Limits(), limiter)
    assert "may have been charged" in str(error)
    assert limiter.clock() < 3600


def test_states_in_other_words(host, tmp_path):
    words = {"completed": "SUCCESS", "expired": "TIMEOUT_EXCEEDED", "failed": "Error"}
    retrieve = host.batches.retrieve

    def other(*asked):
        batch = retrieve(*asked)
        return batch | {"status": words.get(batch["status"], batch["status"].upper())}

    host.batches.retrieve = other
    host.fate(Fate(end="expired", done=1))
    assert answered(made(host.url, tmp_path, keys_of(5), Limits()), keys_of(5))
    assert host.journal.payments() == dict.fromkeys(keys_of(5), 1)
    host.set(max_enqueued_tokens=1)
    with pytest.raises(HostStopped, match="lower models"):
        made(host.url, tmp_path, ["new"], Limits())


def test_host_that_is_away_for_a_while(host, tmp_path):
    host.script("GET /batches/*", *[Fault("dropped_before")] * 25)
    assert answered(made(host.url, tmp_path, ["a"], Limits()), ["a"])
    host.script("GET /batches/*", *[Fault("dropped_before")] * 10_000)
    limiter = batch_client.limiter()
    with pytest.raises(HostStopped, match="cannot be reached"):
        list(asking(meter(host.url, tmp_path), tmp_path, ["b"], Limits(), limiter))
    assert 3600 < limiter.clock() < 3 * 3600


def test_an_empty_answer_is_one(tmp_path):
    with StandIn(lambda body: "") as host:
        [(_, response)] = made(host.url, tmp_path, ["a"], Limits())
        assert text_of(response) == ""
        assert once(host, "a")


def test_files_are_processed_before_a_batch_is_made(host, tmp_path):
    host.set(file_looks=4)
    assert answered(made(host.url, tmp_path, ["a"], Limits()), ["a"])
    assert [call.status for call in host.journal.of("POST /batches")] == [200]
    host.set(file_looks=0, file_fault=f"Line 1 is\nno request, {KEY}.")
    with pytest.raises(HostStopped, match=r"models\.gpt\.api: .* cannot use file file-3: Line 1 is no request") as told:
        made(host.url, tmp_path, ["b"], Limits())
    assert KEY not in str(told.value)
    assert states(tmp_path) == {"paid": 1, "released": 1}
    host.set(file_fault=None)
    assert answered(made(host.url, tmp_path, ["b"], Limits()), ["b"])  # from a new file


def test_batch_that_the_host_forgot(host, tmp_path):
    made(host.url, tmp_path, ["a"], Limits())
    [path] = (tmp_path / "batches").glob("*-1.json")
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"state": "created", "batch": "batch_9"}))
    with pytest.raises(UserError, match=r"-1\.json: the host knows no batch batch_9"):
        made(host.url, tmp_path, ["a"], Limits())
    path.write_text(json.dumps(record | {"batch": "batch_9"}))
    assert answered(made(host.url, tmp_path, ["a"], Limits()), ["a"])
    assert host.journal.paid("a") == 2
    path.write_text("{")
    with pytest.raises(UserError, match="not a readable record"):
        made(host.url, tmp_path, ["a"], Limits())


def test_records_may_be_lost(host, tmp_path):
    keys = keys_of(4)
    made(host.url, tmp_path, keys, TWO)
    for path in (tmp_path / "batches").glob("*.json"):
        path.unlink()
    assert answered(made(host.url, tmp_path, keys, TWO), keys)
    assert once(host, keys)


# Money and what stops a run


def test_budget_ends_in_a_chunk(host, tmp_path):
    keys, given = keys_of(10), []
    with meter(host.url, tmp_path).ledger:
        each = meter(host.url, tmp_path).reservation(request("row-0"), batch=True).usd
    paying = meter(host.url, tmp_path, budget=6.5 * each)
    with pytest.raises(BudgetError, match="raise budget_usd"):
        for one in asking(paying, tmp_path, keys, Limits(requests=4)):
            given.append(one)
    assert sorted(i for i, _ in given) == [0, 1, 2, 3, 4, 5]  # what fitted came back before it was told
    assert host.journal.asks() == dict.fromkeys(keys[:6], 1)
    assert states(tmp_path) == {"paid": 6}
    assert answered(made(host.url, tmp_path, keys, Limits()), keys)
    assert once(host, keys)
    assert states(tmp_path) == {"paid": 10}


def test_nothing_is_asked_beyond_the_budget(host, tmp_path):
    with pytest.raises(BudgetError):
        made(host.url, tmp_path, ["a"], Limits(), budget=1e-9)
    assert not host.journal.calls
    assert records(tmp_path) == []


@pytest.mark.parametrize("endpoint", ["POST /files", "POST /batches"])
def test_host_that_refuses(host, tmp_path, endpoint):
    host.script(endpoint, Fault("key"))
    with pytest.raises(HostStopped, match="refuses the key") as told:
        made(host.url, tmp_path, ["a"], Limits())
    assert KEY not in str(told.value)
    assert (records(tmp_path), states(tmp_path)) == ([], {"released": 1})
    assert answered(made(host.url, tmp_path, ["a"], Limits()), ["a"])
    assert len(host.journal.of("POST /files")) == 1 + (endpoint == "POST /files")


def test_no_key_in_any_file(host, tmp_path, capfd):
    host.fate(Fate(errors=["a"], error_status=401))
    made(host.url, tmp_path, ["a", "b"], Limits())
    assert not any(KEY.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert KEY not in "".join(capfd.readouterr())


def test_host_that_hides_a_chain(host, tmp_path):
    host.set(reasoning_tokens=5)
    [(_, error)] = made(host.url, tmp_path, ["a"], Limits())
    assert "reasons outside" in str(error)
    assert states(tmp_path) == {"paid": 1}


# Jobs that are killed, that ask for something else, that run at once


@pytest.mark.slow
def test_killed_at_every_step(remote, jobs, tmp_path):
    with Steps() as steps:
        made(remote.url, tmp_path / "whole", keys_of(4, "whole"), TWO)
    assert steps.n > 30
    keys = [keys_of(4, f"killed-{last}") for last in range(steps.n)]
    folders = [tmp_path / str(last) for last in range(steps.n)]
    started = [jobs.start(remote.url, folders[last], keys[last], 2, last) for last in range(steps.n)]
    assert {jobs.wait(process) for process in started} == {-signal.SIGKILL}
    with ThreadPoolExecutor(4) as pool:
        given = list(pool.map(lambda last: made(remote.url, folders[last], keys[last], TWO), range(steps.n)))
    for folder, rows, ours in zip(folders, keys, given, strict=True):
        assert answered(ours, rows)
        assert {record["state"] for record in records(folder)} == {"ended"}
        assert set(states(folder)) <= {"paid", "released"} and states(folder)["paid"] == 4
    assert once(remote, [key for rows in keys for key in rows])
    uploads = [call.body["filename"] for call in remote.journal.of("POST /files")]
    assert len(uploads) == len(set(uploads)) == 2 * (steps.n + 1)


@pytest.mark.slow
def test_killed_again_and_again(jobs, tmp_path):
    """With batches that expire, and rows that fail, in between."""
    chance = random.Random(1)
    keys = keys_of(9)
    with Remote() as host:
        host.fate(Fate(end="expired", done=1), Fate(errors=1.0), Fate(end="expired", done=0, polls=2), Fate(errors=0.5))
        for _ in range(20):
            if jobs.wait(jobs.start(host.url, tmp_path, keys, 3, chance.randrange(5, 60))) == 0:
                break
        assert answered(made(host.url, tmp_path, keys, Limits(requests=3)), keys)
        assert host.journal.payments() == dict.fromkeys(keys, 1)
        released = host.journal.asks().total() - 9
    assert (states(tmp_path)["paid"], states(tmp_path).get("reserved")) == (9, None)
    assert states(tmp_path)["released"] >= released > 0


def test_other_rows_than_those_under_way(host, tmp_path):
    host.set(by_hand=True)
    paying = meter(host.url, tmp_path)
    first, then = keys_of(6), ["new-0", *keys_of(9)[4:]]
    with pytest.raises(KeyboardInterrupt):
        next(asking(paying, tmp_path, first, Limits(requests=3), at_sleep(3, interrupt)))
    host.set(by_hand=False)
    assert answered(made(host.url, tmp_path, then, Limits(requests=3)), then)
    assert once(host, then)
    assert [call.keys for call in host.journal.of("POST /batches")] == [
        first[:3],
        first[3:],
        ["new-0", "row-6", "row-7"],
        ["row-8"],
    ]
    assert answered(made(host.url, tmp_path, first, Limits()), first)
    assert once(host, first)


@pytest.mark.parametrize("step", ["uploaded", "created"])
def test_other_rows_than_those_of_a_dead_job(host, tmp_path, monkeypatch, step):
    """It died at the host's answer, which it could not write down any more."""
    write = Records.write
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Records, "write", lambda self, one: interrupt() if one.state == step else write(self, one))
        made(host.url, tmp_path, ["a", "b"], TWO)
    assert [record["state"] for record in records(tmp_path)] == ["planned" if step == "uploaded" else "uploaded"]
    assert answered(made(host.url, tmp_path, ["b", "c"], TWO), ["b", "c"])
    assert once(host, ["b", "c"])
    assert host.journal.asked("a") == (step == "created")
    assert states(tmp_path) == ({"paid": 3} if step == "created" else {"released": 2, "paid": 2})


@pytest.mark.parametrize("before", [False, True])
def test_batch_of_a_dead_job_where_no_metadata_are_kept(host, tmp_path, monkeypatch, before):
    host.set(metadata=False)
    if before:  # the same chunk was submitted once, and the host keeps equal files once
        host.fate(Fate(end="expired", done=0))
        add, kept = host.files.add, {}

        def add_once(purpose, filename, data):
            if data not in kept:
                kept[data] = add(purpose, filename, data)["id"]
            return host.files.objects[kept[data]]

        host.files.add = add_once
    write, created = Records.write, itertools.count(1)

    def dying(self, one):
        if one.state == "created" and next(created) == 1 + before:
            interrupt()
        write(self, one)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Records, "write", dying)
        made(host.url, tmp_path, ["a"], Limits())
    assert answered(made(host.url, tmp_path, ["a"], Limits()), ["a"])
    assert (host.journal.asked("a"), host.journal.paid("a")) == (1 + before, 1)


@pytest.mark.parametrize("expire", [False, True])
def test_jobs_at_once(jobs, tmp_path, expire):
    keys = keys_of(12)
    asked = {"mine": keys[:8], "yours": keys[4:][::-1]}
    with Remote() as host:
        host.fate(*[Fate(end="expired", done=1, polls=2)] * 3 * expire)
        started = [jobs.start(host.url, tmp_path, rows, 3, output=tmp_path / name) for name, rows in asked.items()]
        assert [jobs.wait(process) for process in started] == [0, 0]
        assert host.journal.payments() == dict.fromkeys(keys, 1)
        released = host.journal.asks().total() - 12
    assert (released > 0) == expire
    for name, rows in asked.items():
        assert json.loads((tmp_path / name).read_text()).keys() == set(rows)
    assert states(tmp_path) == ({"paid": 12, "released": released} if expire else {"paid": 12})


def test_batch_is_settled_by_one_job_only(host, tmp_path):
    """The other comes to it when its rest has been reserved anew."""
    host.fate(Fate(end="expired", done=1))
    mine, yours = meter(host.url, tmp_path), meter(host.url, tmp_path)
    keys = keys_of(4)

    def other():
        with pytest.raises(KeyboardInterrupt):
            list(asking(yours, tmp_path, keys, Limits(), at_sleep(1, interrupt)))

    run = asking(mine, tmp_path, keys, Limits(), at_sleep(1, other))
    given = [next(run)]
    assert states(tmp_path) == {"paid": 1, "released": 3, "reserved": 3}
    assert answered([*given, *run], keys)
    assert host.journal.payments() == dict.fromkeys(keys, 1)
    assert states(tmp_path) == {"paid": 4, "released": 3}


def test_what_the_host_declines_is_a_row_without_a_word():
    body = {"error": {"code": "content_filter", "message": "filtered"}}
    line = json.dumps({"custom_id": "a", "response": {"status_code": 400, "body": body}, "error": None})
    assert list(results(line.encode())) == [("a", responses.DECLINED)]
