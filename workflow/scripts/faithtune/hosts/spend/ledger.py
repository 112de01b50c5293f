"""The spend ledger: every call of a host is counted before it is made, so that a budget is never passed.

    with Ledger("results/store/spend.sqlite", budget_usd=20) as ledger:
        ticket = ledger.reserve(call)      # BudgetError: it could pass the budget, and is not to be made
        ...                                # the call
        ledger.settle(Used(ticket, 812, 240, 0.0035))      # or release(ticket) if it certainly cost nothing

A call is reserved at its worst-case cost and settled at what the host reports. One that is never settled
(its job was killed) stays reserved at its worst case, because the host may have charged it; asking again is
a new attempt. So what is counted is never less than what was paid, unless a host counts more prompt tokens
than the estimate did.

All jobs of a study share one SQLite file. It keeps what a transaction wrote through a kill -9; its
write-ahead log needs the jobs that call hosts to run on one machine, as local rules do.
"""

import contextlib
import datetime
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import polars as pl
import tenacity

from faithtune.core.errors import StopError, UserError
from faithtune.core.schemas.spend import SPEND

BUSY_SECONDS = 60.0
# Money is kept in whole units of 1e-12 USD, so that a sum does not depend on its order.
_UNITS = 10**12
_VERSION = 1
_INSERT = """INSERT INTO calls
    (key, attempt, model, host_model, arm, eval_set, stage, endpoint, batch, prompt_tokens, completion_tokens,
     units, state, at)
    VALUES (:key, (SELECT COALESCE(MAX(attempt), 0) + 1 FROM calls WHERE key = :key), :model, :host_model, :arm,
     :eval_set, :stage, :endpoint, :batch, :prompt_tokens, :completion_tokens, :units, 'reserved', :at)"""
_SETTLE = """UPDATE calls SET prompt_tokens = COALESCE(:prompt_tokens, prompt_tokens),
    completion_tokens = COALESCE(:completion_tokens, completion_tokens), units = COALESCE(:units, units),
    state = 'paid' WHERE id = :ticket AND state != 'paid'"""
_TABLES = (
    """CREATE TABLE calls (
        id INTEGER PRIMARY KEY, key TEXT NOT NULL, attempt INTEGER NOT NULL, model TEXT NOT NULL,
        host_model TEXT NOT NULL, arm TEXT NOT NULL, eval_set TEXT, stage TEXT NOT NULL, endpoint TEXT NOT NULL,
        batch INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, units INTEGER,
        state TEXT NOT NULL, at TEXT NOT NULL, UNIQUE (key, attempt))""",
    # The sum over all calls, kept beside them: summing them before each call takes ever longer.
    "CREATE TABLE total (units INTEGER NOT NULL)",
    "INSERT INTO total VALUES (0)",
    """CREATE TRIGGER more AFTER INSERT ON calls BEGIN
        UPDATE total SET units = units + COALESCE(NEW.units, 0); END""",
    """CREATE TRIGGER other AFTER UPDATE OF units ON calls BEGIN
        UPDATE total SET units = units + COALESCE(NEW.units, 0) - COALESCE(OLD.units, 0); END""",
    f"PRAGMA user_version = {_VERSION}",
)


class BudgetError(StopError):
    """The next call could pass the budget. What has arrived is kept; nothing further may be asked."""


@dataclass(frozen=True)
class Call:
    """A call that is about to be made."""

    key: str  # as in SPEND, like the others
    model: str
    host_model: str
    arm: str
    eval_set: str | None
    stage: str
    endpoint: str
    prompt_tokens: int
    completion_tokens: int  # the most it may write
    usd: float | None  # the most it may cost; None: its price is not known
    batch: bool = False


@dataclass(frozen=True)
class Used:
    """What a call used, as the host reports it; None: it does not say, and what was reserved stands."""

    ticket: int  # from Ledger.reserve
    prompt_tokens: int | None
    completion_tokens: int | None
    usd: float | None


class Ledger:
    """The ledger in `path`, shared by all jobs and their threads."""

    def __init__(self, path: str | Path, budget_usd: float | None = None):
        self.path = Path(path)
        self.budget_usd = budget_usd
        self.lock = threading.Lock()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._sqlite_errors():
            self.database = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            _in_turn(lambda: self.database.execute("PRAGMA journal_mode = WAL"))
            self.database.execute("PRAGMA synchronous = NORMAL")
        with self._transaction() as database:
            [version] = database.execute("PRAGMA user_version").fetchone()
            if version == 0:
                for statement in _TABLES:
                    database.execute(statement)
            elif version != _VERSION:
                raise UserError(f"{self.path}: a spend ledger of another version of the workflow; move it away")

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_) -> None:
        self.database.close()

    def reserve(self, call: Call) -> int:
        """The call's ticket; BudgetError where it could pass the budget: it is then not to be made."""
        return self.reserve_many([call])[0]

    def reserve_many(self, calls: Iterable[Call]) -> list[int]:
        """Tickets of the first calls that the budget allows, at least one; BudgetError where it allows none.

        Fewer tickets than calls: the first call without one would pass the budget, and reserving it says so.
        """
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        most = None if self.budget_usd is None else _units(self.budget_usd)
        tickets = []
        with self._transaction() as database:
            [total] = database.execute("SELECT units FROM total").fetchone()
            for call in calls:
                units = _units(call.usd)
                if most is not None:
                    if units is None:
                        raise UserError(f"config: budget_usd is set, but {call.model} ({call.host_model}) has no price")
                    total += units
                    if units and total > most:
                        if not tickets:
                            raise BudgetError(self._passed(call, total - units))
                        break
                row = database.execute(_INSERT, vars(call) | {"units": units, "at": now})
                tickets.append(row.lastrowid)
        return tickets

    def settle(self, *used: Used) -> None:
        """These calls are paid, each once: that an answer comes twice, as batches' may, changes nothing."""
        rows = [vars(one) | {"units": _units(one.usd)} for one in used]
        with self._transaction() as database:
            database.executemany(_SETTLE, rows)

    def release(self, *tickets: int) -> None:
        """These calls certainly cost nothing: the host refused them, or was not reached."""
        with self._transaction() as database:
            database.executemany(
                "UPDATE calls SET units = 0, state = 'released' WHERE id = ? AND state = 'reserved'",
                [(ticket,) for ticket in tickets],
            )

    def tickets(self, keys: Iterable[str]) -> dict[str, int]:
        """The ticket of each key's last attempt, for what another job reserved (a batch that is attached)."""
        last = "SELECT id FROM calls WHERE key = ? ORDER BY attempt DESC LIMIT 1"
        with self._sqlite_errors(), self.lock:
            found = {key: self.database.execute(last, (key,)).fetchone() for key in keys}
        return {key: row[0] for key, row in found.items() if row is not None}

    def spent(self) -> float:
        """USD paid and reserved so far, by all jobs."""
        with self._sqlite_errors(), self.lock:
            return self.database.execute("SELECT units FROM total").fetchone()[0] / _UNITS

    def frame(self) -> pl.DataFrame:
        """SPEND: all attempts, in the order of their reservation."""
        columns = ", ".join({"usd": "units"}.get(name, name) for name in SPEND)
        with self._sqlite_errors(), self.lock:
            rows = self.database.execute(f"SELECT {columns} FROM calls ORDER BY id").fetchall()
        stored = pl.Schema(SPEND | {"usd": pl.Int64, "batch": pl.Int64})
        return (
            pl.DataFrame(rows, schema=stored, orient="row")
            .with_columns(pl.col("usd") / _UNITS)
            .cast({"batch": pl.Boolean})
        )

    def _passed(self, call: Call, total: int) -> str:
        return (
            f"config: budget_usd is {self.budget_usd:g}, of which {_dollars(total / _UNITS)} USD are spent or reserved,"
            f" and the next call ({call.stage} of {call.model}) could cost {_dollars(call.usd)} USD; all answers so far"
            " are kept: raise budget_usd to go on, or ask for less"
        )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, alone in the file from the first read on."""
        with self._sqlite_errors(), self.lock:
            self.database.execute("BEGIN IMMEDIATE")
            try:
                yield self.database
                self.database.execute("COMMIT")
            finally:
                if self.database.in_transaction:
                    self.database.execute("ROLLBACK")

    @contextlib.contextmanager
    def _sqlite_errors(self) -> Iterator[None]:
        """The file's errors as UserErrors."""
        try:
            yield
        except (sqlite3.ProgrammingError, sqlite3.IntegrityError):  # ours
            raise
        except sqlite3.OperationalError as error:
            raise UserError(f"{self.path}: the spend ledger cannot be used ({error}); see who holds the file") from None
        except sqlite3.DatabaseError as error:
            raise UserError(
                f"{self.path}: not a readable spend ledger ({error}); move it away to count from nothing"
            ) from None


def read(path: Path) -> pl.DataFrame:
    """SPEND of the ledger in `path`; no row where there is none."""
    if not path.exists():
        return pl.DataFrame(schema=SPEND)
    with Ledger(path) as ledger:
        return ledger.frame()


def _in_turn(change: Callable[[], object]) -> None:
    """Make a change that SQLite does not wait its turn for: of the journal's mode, as jobs begin together."""
    retry = tenacity.retry_if_exception_type(sqlite3.OperationalError)
    wait, stop = tenacity.wait_random(0.01, 0.2), tenacity.stop_after_delay(BUSY_SECONDS)
    tenacity.Retrying(retry=retry, wait=wait, stop=stop, reraise=True)(change)


def _units(usd: float | None) -> int | None:
    return None if usd is None else round(Decimal(str(usd)) * _UNITS)


def _dollars(usd: float) -> str:
    return f"{usd:.4f}" if usd >= 0.01 else f"{usd:.2g}"
