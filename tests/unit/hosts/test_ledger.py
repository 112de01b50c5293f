"""The spend ledger: nothing uncounted, nothing over the budget, whoever is killed, however many ask at once."""

import dataclasses
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faithtune.core import parquet, paths
from faithtune.core.errors import UserError
from faithtune.core.schemas.spend import SPEND
from faithtune.hosts.spend import ledger as spend
from faithtune.hosts.spend import summary
from faithtune.hosts.spend.ledger import BudgetError, Ledger, Reservation, Usage

CALL = Reservation("k", "gpt4", "gpt-4.1", "base", "gsm8k", "chains", "chat", 800, 512, 0.25)


def call(key: str = "k", usd: float | None = 0.25, **others) -> Reservation:
    return dataclasses.replace(CALL, key=key, usd=usd, **others)


def spent(ledger: Ledger) -> float:
    """USD of the running sum, which the budget is compared with."""
    [[units]] = ledger.database.execute("SELECT units FROM total")
    return units / 10**12


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "store/spend.sqlite"


def test_a_call_is_counted_before_it_is_made_and_settled_after(path):
    with Ledger(path) as ledger:
        reservation = ledger.reserve(CALL)
        [row] = ledger.frame().to_dicts()
        assert (row["state"], row["usd"], row["attempt"], row["batch"]) == ("reserved", 0.25, 1, False)
        assert {name: row[name] for name in ("key", "model", "host_model", "arm", "eval_set", "stage", "endpoint")} == {
            name: getattr(CALL, name) for name in ("key", "model", "host_model", "arm", "eval_set", "stage", "endpoint")
        }
        assert row["at"].endswith("+00:00")
        ledger.pay(Usage(reservation, 790, 100, 0.0625))
        [row] = ledger.frame().to_dicts()
        assert (row["state"], row["usd"], row["prompt_tokens"], row["completion_tokens"]) == ("paid", 0.0625, 790, 100)
        assert spent(ledger) == 0.0625


def test_a_reservation_that_nobody_settles_stays_counted(path):
    with Ledger(path) as ledger:
        ledger.reserve(CALL)
    with Ledger(path) as ledger:
        reservation = ledger.reserve(CALL)
        ledger.pay(Usage(reservation, 790, 100, 0.0625))
        assert ledger.frame()["attempt"].to_list() == [1, 2]
        assert ledger.frame()["state"].to_list() == ["reserved", "paid"]
        assert spent(ledger) == 0.3125


def test_what_cost_nothing_is_released(path):
    with Ledger(path) as ledger:
        first, second = ledger.reserve_many([call("a"), call("b")])
        ledger.release(first)
        assert spent(ledger) == 0.25
        assert ledger.frame()["usd"].to_list() == [0, 0.25]
        assert ledger.frame()["state"].to_list() == ["released", "reserved"]
        ledger.pay(Usage(first, 1, 1, 0.5))  # it was charged after all
        ledger.pay(Usage(second, 1, 1, 0.125))
        ledger.release(second)  # a paid call stays paid
        assert spent(ledger) == 0.625


def test_an_answer_that_comes_twice_is_paid_once(path):
    with Ledger(path) as ledger:
        reservation = ledger.reserve(CALL)
        ledger.pay(Usage(reservation, 1, 1, 0.125), Usage(reservation, 1, 1, 0.125))
        ledger.pay(Usage(reservation, 2, 2, 0.5))
        assert spent(ledger) == 0.125


def test_a_host_that_reports_no_usage_costs_the_worst_case(path):
    with Ledger(path) as ledger:
        ledger.pay(Usage(ledger.reserve(CALL), None, None, None))
        [row] = ledger.frame().to_dicts()
        assert (row["state"], row["usd"], row["prompt_tokens"], row["completion_tokens"]) == ("paid", 0.25, 800, 512)


def test_the_budget_stops_before_the_call_that_would_pass_it(path):
    with Ledger(path, budget_usd=1) as ledger:
        assert len(ledger.reserve_many([call(str(i)) for i in range(3)])) == 3
        assert ledger.reserve_many([call("x"), call("y")]) == [4]  # to the cent
        with pytest.raises(BudgetError) as error:
            ledger.reserve(call("y"))
        with pytest.raises(BudgetError):
            ledger.reserve_many([call("y", 0.01), call("z", 0)])
        assert str(error.value) == (
            "config: budget_usd is 1, of which 1.0000 USD are spent or reserved, and the next call (chains of gpt4)"
            " could cost 0.2500 USD; all answers so far are kept: raise budget_usd to go on, or ask for less"
        )
        assert ledger.frame().height == 4
        ledger.pay(Usage(1, 1, 1, 0.0))
        ledger.reserve(call("y"))
        ledger.pay(Usage(2, 1, 1, 3.0))  # the host counted more than was reserved: nothing further
        with pytest.raises(BudgetError):
            ledger.reserve(call("z", 0.0001))
    with Ledger(path, budget_usd=5) as ledger:
        ledger.reserve(call("z"))
    with Ledger(path) as ledger:
        ledger.reserve(call("z", 1e6))


def test_a_failed_reservation_leaves_nothing(path):
    def failing():
        yield call("a")
        raise RuntimeError

    with Ledger(path) as ledger:
        with pytest.raises(RuntimeError):
            ledger.reserve_many(failing())
        assert spent(ledger) == 0
        assert ledger.frame().is_empty()
        ledger.reserve(call("a"))


def test_without_a_price_tokens_are_counted_and_a_budget_refuses(path):
    with Ledger(path) as ledger:
        reservation = ledger.reserve(call(usd=None))
        ledger.pay(Usage(reservation, 700, 3, None))
        [row] = ledger.frame().to_dicts()
        assert (row["usd"], row["prompt_tokens"], row["state"]) == (None, 700, "paid")
        assert spent(ledger) == 0
    with Ledger(path, budget_usd=1) as ledger, pytest.raises(UserError, match=r"gpt-4\.1") as error:
        ledger.reserve(call(usd=None))
    assert not isinstance(error.value, BudgetError)


def test_another_job_finds_the_tickets_of_a_batch(path):
    with Ledger(path) as ledger:
        first, second = ledger.reserve_many([call("a", batch=True), call("b", batch=True)])
        again = ledger.reserve(call("a", batch=True))
    with Ledger(path) as ledger:
        assert ledger.last_reservations(["a", "b", "c"]) == {"a": again, "b": second}
        assert ledger.frame()["batch"].all()
    assert first < second < again


def test_the_frame_is_the_documented_parquet(path, tmp_path):
    with Ledger(path) as ledger:
        assert ledger.frame().schema == SPEND
        ledger.reserve_many([call("a"), call("b", None, eval_set=None)])
        parquet.write(ledger.frame(), tmp_path / "spend.parquet", SPEND)
        assert parquet.read(tmp_path / "spend.parquet", SPEND).equals(ledger.frame())


def test_summary(path):
    with Ledger(path) as ledger:
        assert summary.summary(ledger.frame()).is_empty()
        a, b, c, d, e, _ = ledger.reserve_many(
            [call("a"), call("b"), call("c"), call("d"), call("e", None, stage="answers"), call("f", stage="answers")]
        )
        ledger.pay(Usage(a, 10, 1, 0.125), Usage(b, 20, 2, 0.25), Usage(e, 5, 5, None))
        ledger.release(c)
        chains, answers = summary.summary(ledger.frame()).to_dicts()
    assert d
    assert chains == {
        **{"model": "gpt4", "arm": "base", "stage": "chains", "calls": 3, "unsettled": 1},
        **{"prompt_tokens": 30, "completion_tokens": 3, "usd_paid": 0.375, "usd_reserved": 0.25},
    }
    assert answers == {
        **{"model": "gpt4", "arm": "base", "stage": "answers", "calls": 2, "unsettled": 1},
        **{"prompt_tokens": 5, "completion_tokens": 5, "usd_paid": None, "usd_reserved": 0.25},
    }


STEPS = st.lists(
    st.tuples(st.sampled_from(["reserve", "pay", "release", "reopen"]), st.integers(0, 5), st.floats(0, 1)),
    max_size=25,
)


@settings(max_examples=20)
@given(steps=STEPS)
def test_the_running_total_is_the_sum_of_the_rows(tmp_path_factory, steps):
    path = tmp_path_factory.mktemp("ledger") / "spend.sqlite"
    ledger = Ledger(path, budget_usd=2)
    for step, number, usd in steps:
        if step == "reopen":
            ledger.__exit__()
            ledger = Ledger(path, budget_usd=2)
        elif step == "pay":
            ledger.pay(Usage(number, 1, 1, usd))
        elif step == "release":
            ledger.release(number)
        else:
            before = spent(ledger)
            try:
                ledger.reserve(call(str(number), usd))
            except BudgetError:
                assert before + usd > 2 - 1e-9
            else:
                assert not round(usd, 12) or spent(ledger) <= 2  # what is free passes no budget
    assert spent(ledger) == pytest.approx(ledger.frame()["usd"].sum(), abs=1e-9)
    ledger.__exit__()


@pytest.mark.parametrize("content", [b"no database, but some text\n" * 50, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_is_no_ledger_is_told_and_kept(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"spend\.sqlite: ") as error:
        Ledger(path)
    assert not isinstance(error.value, BudgetError)
    assert path.read_bytes() == content


def test_a_ledger_of_another_version_is_told(path):
    Ledger(path).__exit__()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(UserError, match="another version"):
        Ledger(path)


def test_a_file_that_someone_holds_is_told(path, monkeypatch):
    monkeypatch.setattr(spend, "BUSY_SECONDS", 0.1)
    with Ledger(path) as ledger:
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(UserError, match=r"spend\.sqlite: the spend ledger cannot be used \(database is locked\)"):
            ledger.reserve(CALL)
        holder.execute("COMMIT")
        ledger.reserve(CALL)


def test_threads_share_a_ledger(path):
    with Ledger(path, budget_usd=10) as ledger:
        stopped = []

        def asking(name):
            try:
                for i in range(1000):
                    ledger.pay(Usage(ledger.reserve(call(f"{name}-{i}", 0.1)), 1, 1, 0.05))
            except BudgetError:
                stopped.append(name)

        threads = [threading.Thread(target=asking, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(stopped) == 4
        assert 9.9 < spent(ledger) <= 10
        assert ledger.frame().height == ledger.frame()["key"].n_unique()


# Reserves calls one by one and in fives, settles two of three of them, and tells what it holds, until the budget ends.
ASKING = """
import sys
from faithtune.hosts.spend.ledger import BudgetError, Ledger, Reservation, Usage
path, name, budget, n = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
def call(key):
    return Reservation(key, "gpt4", "gpt-4.1", "base", "gsm8k", "chains", "chat", 800, 512, 0.001)
print("ready", flush=True)
sys.stdin.readline()
with Ledger(path, budget) as ledger:
    try:
        for i in range(n):
            calls = [call(f"{name}-{i}-{j}") for j in range(5 if i % 4 == 0 else 1)]
            ids = ledger.reserve_many(calls)
            for call_, reservation in zip(calls, ids):
                paid = (i + reservation) % 3
                if paid:
                    ledger.pay(Usage(reservation, 700, 100, 0.0003))
                print(call_.key, 0.0003 if paid else 0.001, flush=True)
            [[units]] = ledger.database.execute("SELECT units FROM total")
            assert units <= budget * 10**12, units
    except BudgetError:
        print("stopped")
"""


def asking(path: Path, name: str, budget: float, n: int) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(paths.WORKFLOW / "scripts")}
    command = [sys.executable, "-c", ASKING, str(path), name, str(budget), str(n)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def start(*jobs: subprocess.Popen) -> None:
    """Let the jobs open the ledger, all at once."""
    assert [job.stdout.readline() for job in jobs] == ["ready\n"] * len(jobs)
    for job in jobs:
        job.stdin.write("\n")
        job.stdin.flush()


def test_processes_side_by_side_keep_to_one_budget_and_lose_nothing(path):
    budget = 0.4
    jobs = [asking(path, name, budget, 100_000) for name in "abcd"]
    start(*jobs)
    told = [job.communicate()[0].split("\n") for job in jobs]
    assert [job.returncode for job in jobs] == [0] * 4
    assert [lines[-2] for lines in told] == ["stopped"] * 4
    expected = {line.split()[0]: float(line.split()[1]) for lines in told for line in lines[:-2]}
    with Ledger(path, budget) as ledger:
        frame = ledger.frame()
        assert dict(zip(frame["key"], frame["usd"], strict=True)) == expected
        assert budget - 0.001 < spent(ledger) <= budget
        assert spent(ledger) == pytest.approx(frame["usd"].sum())


@pytest.mark.parametrize("after", [1, 37, 200])
def test_a_killed_job_leaves_all_it_had_reserved(path, after):
    job = asking(path, "a", 1e6, 100_000)
    start(job)
    lines = [job.stdout.readline() for _ in range(after)]
    job.kill()
    lines += job.stdout.read().splitlines()
    told = {line.split()[0]: float(line.split()[1]) for line in lines if len(line.split()) == 2 and line[-1] != "."}
    with Ledger(path) as ledger:
        kept = dict(ledger.frame().select("key", "usd").iter_rows())
        assert all(kept[key] in (usd, 0.001) for key, usd in list(told.items())[:-1])
        assert len(kept) - len(told) <= 5  # reserved, and killed before it could tell
        assert spent(ledger) == pytest.approx(sum(kept.values()))
        ledger.reserve(call("b"))
