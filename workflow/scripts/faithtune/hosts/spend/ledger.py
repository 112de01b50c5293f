"""The spend ledger: every call is reserved before it is made, so the budget is never exceeded.

    with Ledger("results/store/spend.sqlite", budget_usd=20) as ledger:
        reservation = ledger.reserve(Reservation(...))      # BudgetError: the call could exceed the budget
        ...                                                 # the call
        ledger.pay(Usage(reservation, 812, 240, 0.0035))    # or release(reservation) if it certainly cost nothing

A call is reserved at its highest possible cost and paid at what the host reports. A call that is never paid, because
its job was killed, stays reserved, because the host may have charged it; a repeated call is a new attempt. So the sum
is never less than the real cost, unless a host counts more prompt tokens than we estimated.

All jobs of a study share one SQLite file. A committed transaction survives kill -9. SQLite's write-ahead log requires
that all jobs that call hosts run on one machine, as local rules do.
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

from faithtune.core.errors import HostStopped, UserError
from faithtune.core.schemas.spend import SPEND

BUSY_SECONDS = 60.0
# Money is stored as an integer number of 1e-12 USD, so that a sum does not depend on its order.
_UNITS = 10**12
_VERSION = 1
_INSERT = """INSERT INTO calls
    (key, attempt, model, host_model, arm, eval_set, stage, endpoint, batch, prompt_tokens, completion_tokens,
     units, state, at)
    VALUES (:key, (SELECT COALESCE(MAX(attempt), 0) + 1 FROM calls WHERE key = :key), :model, :host_model, :arm,
     :eval_set, :stage, :endpoint, :batch, :prompt_tokens, :completion_tokens, :units, 'reserved', :at)"""
_PAY = """UPDATE calls SET prompt_tokens = COALESCE(:prompt_tokens, prompt_tokens),
    completion_tokens = COALESCE(:completion_tokens, completion_tokens), units = COALESCE(:units, units),
    state = 'paid' WHERE id = :reservation AND state != 'paid'"""
_TABLES = (
    """CREATE TABLE calls (
        id INTEGER PRIMARY KEY, key TEXT NOT NULL, attempt INTEGER NOT NULL, model TEXT NOT NULL,
        host_model TEXT NOT NULL, arm TEXT NOT NULL, eval_set TEXT, stage TEXT NOT NULL, endpoint TEXT NOT NULL,
        batch INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, units INTEGER,
        state TEXT NOT NULL, at TEXT NOT NULL, UNIQUE (key, attempt))""",
    # The running sum of all calls: summing them before each call would take longer and longer.
    "CREATE TABLE total (units INTEGER NOT NULL)",
    "INSERT INTO total VALUES (0)",
    """CREATE TRIGGER more AFTER INSERT ON calls BEGIN
        UPDATE total SET units = units + COALESCE(NEW.units, 0); END""",
    """CREATE TRIGGER other AFTER UPDATE OF units ON calls BEGIN
        UPDATE total SET units = units + COALESCE(NEW.units, 0) - COALESCE(OLD.units, 0); END""",
    f"PRAGMA user_version = {_VERSION}",
)


class BudgetError(HostStopped):
    """The next call could exceed the budget. Responses so far are kept; no further call may be made."""


@dataclass(frozen=True)
class Reservation:
    """A call before it is made, at its highest possible cost."""

    key: str  # as in SPEND, like the other fields
    model: str
    host_model: str
    arm: str
    eval_set: str | None
    stage: str
    endpoint: str
    prompt_tokens: int
    completion_tokens: int  # the limit
    usd: float | None  # None: no price is known
    batch: bool = False


@dataclass(frozen=True)
class Usage:
    """What a call used by the host's report; None: the host reports nothing, so the reserved value stands."""

    reservation: int  # the id that Ledger.reserve returned
    prompt_tokens: int | None
    completion_tokens: int | None
    usd: float | None


class Ledger:
    """The ledger in the file `path`, shared by all jobs and their threads."""

    def __init__(self, path: str | Path, budget_usd: float | None = None):
        self.path = Path(path)
        self.budget_usd = budget_usd
        self.lock = threading.Lock()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._sqlite_errors():
            self.database = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            _retry_while_locked(lambda: self.database.execute("PRAGMA journal_mode = WAL"))
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

    def reserve(self, reservation: Reservation) -> int:
        """The reservation's id; BudgetError if the call could exceed the budget."""
        return self.reserve_many([reservation])[0]

    def reserve_many(self, reservations: Iterable[Reservation]) -> list[int]:
        """Ids of the first reservations that fit the budget, at least one; BudgetError if the first does not fit.

        Fewer ids than reservations: the first one without an id would exceed the budget.
        """
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        most = None if self.budget_usd is None else _units(self.budget_usd)
        ids = []
        with self._transaction() as database:
            [total] = database.execute("SELECT units FROM total").fetchone()
            for reservation in reservations:
                units = _units(reservation.usd)
                if most is not None:
                    if units is None:
                        model = f"{reservation.model} ({reservation.host_model})"
                        raise UserError(f"config: budget_usd is set, but {model} has no price")
                    total += units
                    if units and total > most:
                        if not ids:
                            raise self._budget_error(reservation, total - units)
                        break
                row = database.execute(_INSERT, vars(reservation) | {"units": units, "at": now})
                ids.append(row.lastrowid)
        return ids

    def pay(self, *usages: Usage) -> None:
        """Mark calls as paid. A call is paid once: a second usage, as of a repeated line in a batch, is ignored."""
        rows = [vars(usage) | {"units": _units(usage.usd)} for usage in usages]
        with self._transaction() as database:
            database.executemany(_PAY, rows)

    def release(self, *reservations: int) -> None:
        """Release reservations by id: these calls cost nothing, because the host refused them or was not reached."""
        with self._transaction() as database:
            database.executemany(
                "UPDATE calls SET units = 0, state = 'released' WHERE id = ? AND state = 'reserved'",
                [(reservation,) for reservation in reservations],
            )

    def last_reservations(self, keys: Iterable[str]) -> dict[str, int]:
        """The id of each key's last attempt, whichever job reserved it."""
        last = "SELECT id FROM calls WHERE key = ? ORDER BY attempt DESC LIMIT 1"
        with self._sqlite_errors(), self.lock:
            found = {key: self.database.execute(last, (key,)).fetchone() for key in keys}
        return {key: row[0] for key, row in found.items() if row is not None}

    def frame(self) -> pl.DataFrame:
        """SPEND: all attempts in the order of reservation."""
        columns = ", ".join({"usd": "units"}.get(name, name) for name in SPEND)
        with self._sqlite_errors(), self.lock:
            rows = self.database.execute(f"SELECT {columns} FROM calls ORDER BY id").fetchall()
        stored = pl.Schema(SPEND | {"usd": pl.Int64, "batch": pl.Int64})
        return (
            pl.DataFrame(rows, schema=stored, orient="row")
            .with_columns(pl.col("usd") / _UNITS)
            .cast({"batch": pl.Boolean})
        )

    def _budget_error(self, reservation: Reservation, total: int) -> BudgetError:
        return BudgetError(
            f"config: budget_usd is {self.budget_usd:g}, of which {_dollars(total / _UNITS)} USD are spent or reserved,"
            f" and the next call ({reservation.stage} of {reservation.model}) could cost {_dollars(reservation.usd)}"
            " USD; all answers so far are kept: raise budget_usd to go on, or ask for less"
        )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction that locks the file from the first read on."""
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
        """Raise SQLite's errors about the file as UserErrors."""
        try:
            yield
        except (sqlite3.ProgrammingError, sqlite3.IntegrityError):  # bugs
            raise
        except sqlite3.OperationalError as error:
            raise UserError(
                f"{self.path}: the spend ledger cannot be used ({error}); check which process holds the file"
            ) from None
        except sqlite3.DatabaseError as error:
            raise UserError(
                f"{self.path}: not a readable spend ledger ({error}); move it away to start from zero"
            ) from None


def read(path: Path) -> pl.DataFrame:
    """SPEND of the ledger in `path`; no rows if there is no such file."""
    if not path.exists():
        return pl.DataFrame(schema=SPEND)
    with Ledger(path) as ledger:
        return ledger.frame()


def _retry_while_locked(change: Callable[[], object]) -> None:
    """Make a change for which SQLite's busy timeout does not apply: the journal mode, when jobs start together."""
    retry = tenacity.retry_if_exception_type(sqlite3.OperationalError)
    wait, stop = tenacity.wait_random(0.01, 0.2), tenacity.stop_after_delay(BUSY_SECONDS)
    tenacity.Retrying(retry=retry, wait=wait, stop=stop, reraise=True)(change)


def _units(usd: float | None) -> int | None:
    return None if usd is None else round(Decimal(str(usd)) * _UNITS)


def _dollars(usd: float) -> str:
    return f"{usd:.4f}" if usd >= 0.01 else f"{usd:.2g}"
