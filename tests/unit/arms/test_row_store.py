"""The row store: nothing computed twice, nothing damaged believed, no two arms confused."""

import os
import subprocess
import sys
import threading
import time

import pytest

from faithtune.arms import identity, row_store
from faithtune.arms.folders import StageRun, expanded_folder
from faithtune.arms.open import open_arm
from faithtune.arms.row_store import RowStore, row_key
from faithtune.core import parquet, paths
from faithtune.data import questions
from faithtune.hosts import session
from faithtune.jobs import job
from faithtune.models import loading, precision
from faithtune.settings.backend import Backend
from hosting import hosted_model

# Where a process of its own finds the library.
PATH = {"PYTHONPATH": str(paths.WORKFLOW / "scripts")}
KEY = {"arm": "a", "prompt": [1, 2], "task": {"do": "answer", "n_options": 4}, "engine": "1"}


def computing(calls):
    def compute(missing):
        calls.append(list(missing))
        for i in missing:
            yield i, {"value": i * 10}

    return compute


def test_rows_come_in_the_order_of_the_keys_and_once(tmp_path):
    calls = []
    rows = RowStore(tmp_path).get_or_compute(["b", "a", "b"], computing(calls))
    assert calls == [[0, 1]]
    assert rows == [{"value": 0}, {"value": 10}, {"value": 0}]


def test_another_job_finds_them(tmp_path):
    with RowStore(tmp_path) as kept:
        kept.get_or_compute(["a", "b"], computing([]))
    calls = []
    rows = RowStore(tmp_path).get_or_compute(["c", "b", "a"], computing(calls))
    assert calls == [[0]]
    assert rows == [{"value": 0}, {"value": 10}, {"value": 0}]


def test_what_was_computed_before_a_failure_is_kept(tmp_path):
    def failing(missing):
        yield missing[0], {"value": "first"}
        raise RuntimeError

    with pytest.raises(RuntimeError), RowStore(tmp_path) as kept:
        kept.get_or_compute(["a", "b"], failing)
    assert RowStore(tmp_path).rows == {"a": {"value": "first"}}


def test_what_is_computed_together_is_kept_whole_or_not_at_all(tmp_path):
    with pytest.raises(RuntimeError), RowStore(tmp_path, together=True) as kept:
        kept.put("a", {"value": 1})
        assert kept.timer is None
        kept.commit()
        assert kept.timer is not None
        kept.put("b", {"value": 2})
        kept.flush()  # by its timer, say
        assert RowStore(tmp_path).rows == {"a": {"value": 1}}
        raise RuntimeError
    assert RowStore(tmp_path).rows == {"a": {"value": 1}}
    with RowStore(tmp_path, together=True) as kept:
        kept.put("b", {"value": 2})
    assert RowStore(tmp_path).rows == {"a": {"value": 1}, "b": {"value": 2}}


def test_what_stands_on_disk_is_told(tmp_path):
    told = []
    with RowStore(tmp_path, lambda keys: told.append(set(keys))) as kept:
        kept.put("a", {"value": 1})
        assert told == [set()]
        kept.flush()
        assert told == [set(), {"a"}]
        kept.put("b", {"value": 2})
    assert told == [set(), {"a"}, {"b"}]
    RowStore(tmp_path, lambda keys: told.append(set(keys)))
    assert told[-1] == {"a", "b"}


def test_a_row_is_on_disk_in_time_though_no_other_follows(tmp_path, monkeypatch):
    monkeypatch.setattr(row_store, "FLUSH_SECONDS", 0.2)
    kept = RowStore(tmp_path)
    kept.put("a", {"value": 1})
    assert not list(tmp_path.iterdir())
    until = time.monotonic() + 20
    while not RowStore(tmp_path).rows and time.monotonic() < until:
        time.sleep(0.05)
    assert RowStore(tmp_path).rows == {"a": {"value": 1}}


def test_a_full_disk_loses_nothing_that_can_be_written_later(tmp_path, monkeypatch):
    kept = RowStore(tmp_path)
    kept.put("a", {"value": 1})
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(row_store.parquet, "write", lambda *_: (_ for _ in ()).throw(OSError("No space left on device")))
        kept.flush()
    kept.flush()
    assert RowStore(tmp_path).rows == {"a": {"value": 1}}


def test_a_disk_that_is_full_for_a_while_costs_no_row(tmp_path, monkeypatch):
    """The write that is due in time fails: its rows wait for the next."""
    monkeypatch.setattr(row_store, "FLUSH_SECONDS", 0.01)
    raised, kept = [], RowStore(tmp_path)
    monkeypatch.setattr(threading, "excepthook", raised.append)
    with monkeypatch.context() as patch:
        patch.setattr(row_store.parquet, "write", lambda *_: (_ for _ in ()).throw(OSError("No space left on device")))
        kept.put("a", {"value": 1})
        if timer := kept.timer:
            timer.join()
    kept.flush()
    assert RowStore(tmp_path).rows == {"a": {"value": 1}}
    assert raised == []


@pytest.mark.parametrize("damage", ["cut short", "empty", "a byte", "other columns", "temporary"])
def test_a_damaged_part_is_left_out_and_the_others_kept(tmp_path, damage, capsys):
    with RowStore(tmp_path) as kept:
        kept.get_or_compute(["a"], computing([]))
    [part] = tmp_path.glob("*.parquet")
    with RowStore(tmp_path) as kept:
        kept.get_or_compute(["b"], computing([]))
    data = part.read_bytes()
    if damage == "cut short":
        part.write_bytes(data[:-20])
    elif damage == "empty":
        part.write_bytes(b"")
    elif damage == "a byte":
        place = data.index(b'{"value": 0}') + 10
        part.write_bytes(data[:place] + b"7" + data[place + 1 :])
    elif damage == "other columns":
        parquet.write(row_store.pl.DataFrame({"key": ["a"]}), part, row_store.pl.Schema({"key": row_store.pl.String}))
    else:
        part.rename(tmp_path / f".{part.name}.tmp.parquet")
    capsys.readouterr()
    calls, files = [], set(tmp_path.iterdir())
    RowStore(tmp_path).get_or_compute(["a", "b"], computing(calls))
    assert calls == [[0]]
    assert files <= set(tmp_path.iterdir())  # a reader, of a forecast for one, moves nothing
    assert (str(part) in capsys.readouterr().err) == (damage != "temporary")


# Keeps a row every few milliseconds, tells each when it is kept, and writes them out all the time.
WRITER = """
import sys, time
from faithtune.arms import row_store
from faithtune.arms.row_store import RowStore
row_store.FLUSH_SECONDS = 0.02
kept, name = RowStore(sys.argv[1]), sys.argv[2]
for i in range(int(sys.argv[3])):
    kept.put(f"{name}-{i}", {"value": f"{name} {i}"})
    print(i, flush=True)
    time.sleep(0.003)
kept.flush()
"""


def writing(folder, name: str, n: int) -> subprocess.Popen:
    command = [sys.executable, "-c", WRITER, str(folder), name, str(n)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | PATH)


def test_jobs_side_by_side_keep_all_their_rows(tmp_path):
    jobs = [writing(tmp_path, name, 60) for name in "abc"]
    assert [job.wait() for job in jobs if job.communicate()] == [0, 0, 0]
    expected = {f"{name}-{i}": {"value": f"{name} {i}"} for name in "abc" for i in range(60)}
    assert RowStore(tmp_path).rows == expected
    assert len(list(tmp_path.glob("part-*"))) > 3  # written as they came


@pytest.mark.parametrize("round_", range(4))
def test_a_killed_job_loses_its_last_moment_at_most(tmp_path, round_):
    job = writing(tmp_path, "a", 100_000)
    for _ in range(40 + 25 * round_):
        line = job.stdout.readline()
    job.kill()
    last = int([line, *job.stdout.read().splitlines()][-1])
    rows = RowStore(tmp_path).rows
    assert all(row == {"value": key.replace("-", " ")} for key, row in rows.items())
    assert last - 60 < len(rows) <= last + 2  # 0.02 s of rows, and the time of a write


@pytest.mark.parametrize(
    "change",
    [{"arm": "b"}, {"prompt": [1, 3]}, {"task": {"do": "answer", "n_options": 3}}, {"engine": "2"}],
    ids=lambda change: next(iter(change)),
)
def test_each_field_of_the_key_counts(change):
    assert row_key(**KEY) != row_key(**KEY | change)


def test_each_field_of_an_arm_counts():
    base = identity.fingerprint({"weights_sha256": "m"}, None, "nf4", "bfloat16")
    others = {
        identity.fingerprint({"weights_sha256": "n"}, None, "nf4", "bfloat16"),
        identity.fingerprint(
            {"weights_sha256": "m"}, {"weights_sha256": "x", "settings": {"alpha": 1}}, "nf4", "bfloat16"
        ),
        identity.fingerprint(
            {"weights_sha256": "m"}, {"weights_sha256": "y", "settings": {"alpha": 1}}, "nf4", "bfloat16"
        ),
        identity.fingerprint(
            {"weights_sha256": "m"}, {"weights_sha256": "x", "settings": {"alpha": 2}}, "nf4", "bfloat16"
        ),
        identity.fingerprint({"weights_sha256": "m"}, None, "none", "bfloat16"),
        identity.fingerprint({"weights_sha256": "m"}, None, "nf4", "float32"),
    }
    assert len(others | {base}) == 7


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """(identity, folder of its rows) of an arm that a job gets ready; its weights are not loaded."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loading, "load_tokenizer", lambda folder: None)
    compute = {"device": "cpu", "max_packed_tokens": 9, "batch_size": 2, "block_size": 5}
    asked = questions.frame([questions.number("How many?", "3")], "sums", "eval")

    def opened(card: dict | None = None, stage="answers", quantisation="nf4", dtype="float32", **names):
        job.write_json({"weights_sha256": "m" * 64, "path": "model"}, "model.json")
        job.write_json(card, "arm.json")
        job.write_json(precision.choose(dtype, precision.cpu()), "precision.json")
        run = StageRun(stage, **{"model": "m", "arm": "a", "eval_set": "sums"} | names)
        cards = {"model": "model.json", "arm": "arm.json", "precision": "precision.json"}
        backend = Backend(quantisation=quantisation)
        with open_arm(backend, asked, run, cards, {"compute": compute}, 1) as (arm, _):
            return arm.identity, arm.rows.folder

    return opened


def test_no_job_reads_the_rows_of_another_arm(opened):
    """Whatever an arm is made of is in its identity, and its rows lie in a folder of that name."""
    settings = {"rank": 8, "learning_rate": 0.1}
    tuned = {"weights_sha256": "a" * 64, "settings": settings, "adapter": "lora", "path": "adapter"}
    found = [
        opened(),
        opened(tuned),
        opened(tuned | {"weights_sha256": "b" * 64}),
        opened(tuned | {"settings": settings | {"learning_rate": 0.2}}),
        opened(quantisation="none"),
        opened(dtype="bfloat16"),
    ]
    assert len({identity for identity, _ in found}) == len({folder for _, folder in found}) == len(found)
    assert opened(tuned) == found[1]
    assert opened(tuned | {"path": "elsewhere"}) == found[1]  # the same adapter, moved


def test_each_field_of_a_hosted_arm_counts():
    """But for what the configuration calls it, and for abilities that change no row."""
    hosted = hosted_model("big", "https://host/v1", "m", endpoint="chat", abilities=["logprobs"])

    def identity_of(**changes) -> str:
        return session.identity(hosted.model_copy(update=changes))

    changed = [
        {"model": "ft:m:1"},
        {"base_url": "https://other/v1"},
        {"endpoint": "completions"},
        {"abilities": ["logprobs", "seed"]},
        {"abilities": []},
        {"top_logprobs": 7},
        {"extra": {"top_p": 0.5}},
    ]
    assert len({identity_of(**one) for one in ({}, *changed)}) == 1 + len(changed)
    same = [
        {"name": "large"},
        {"base_url": "https://host/v1/"},
        {"abilities": ["batch", "logprobs"]},
        {"top_logprobs": 20},
    ]
    assert {identity_of(**one) for one in same} == {identity_of()}


def test_a_served_arm_has_a_name_of_its_own():
    """No other adapter can answer in its place."""
    model = {"weights_sha256": "m" * 64}
    cards = [None, *({"weights_sha256": weights, "settings": {"rank": 8}} for weights in ("a" * 64, "b" * 64))]
    names = [identity.served_name("big", "none", "bfloat16", model, card) for card in cards]
    assert len({*names, identity.served_name("big", "none", "float32", model, None)}) == 4
    assert all(name.startswith("big-") for name in names)


def test_expanded_weights_are_those_of_one_model_in_one_type():
    kinds = [("m" * 64, "float32"), ("m" * 64, "bfloat16"), ("n" * 64, "float32")]
    folders = {expanded_folder({"weights_sha256": weights}, dtype) for weights, dtype in kinds}
    assert len(folders) == 3


def test_jobs_of_an_arm_have_rows_of_their_own(opened):
    """Those of two sets, or that rewrite the steps of two arms; the same arm's chains and answers share a folder."""
    identities, folders = zip(
        opened(),
        opened(eval_set="siqa"),
        opened(stage="paraphrases"),
        opened(stage="paraphrases", arm="b"),
        opened(stage="mistakes"),
        opened(shard=".1of2"),
        strict=True,
    )
    assert len(set(identities)) == 1 and len(set(folders)) == len(folders)
    assert opened(stage="chains") == opened() == opened(arm="b")
