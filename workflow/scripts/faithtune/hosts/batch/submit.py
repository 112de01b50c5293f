"""Submitting a chunk of calls: planned on disk, reserved in the ledger, uploaded, created, through any kill.

A host queues so many tokens, of all batches under way, and refuses a batch that it has no room for. While others are
under way, ours waits as it is. With none under way it was too large by itself: half of it is tried, and twice as much
after a success, because the queue may be full of batches that the host does not show to this key.
"""

import dataclasses
import sys
from collections.abc import Callable

import openai
from tqdm import tqdm

from faithtune.core.errors import StopError, UserError
from faithtune.hosts.batch import files
from faithtune.hosts.batch.client import BatchClient
from faithtune.hosts.batch.files import Limits, Row
from faithtune.hosts.batch.records import Record, Records
from faithtune.hosts.billing import Purse
from faithtune.hosts.calls import Garbled
from faithtune.hosts.spend.ledger import BudgetError

FIRST_PAUSE, LONGEST_PAUSE = 60.0, 600.0  # seconds after the first refusal in a row; more after each further one
LEAST = 32  # batches are cut no smaller than this part of the configured tokens
# Seconds since the first refusal in a row. A batch may take a day, and several may go before ours.
PATIENCE, OTHERS_PATIENCE = 26 * 3600.0, 7 * 24 * 3600.0


class Queue:
    """limits: the most that may be submitted now."""

    def __init__(self, limits: Limits, clock: Callable[[], float]):
        self.limits, self.most, self.clock = limits, limits.enqueued_tokens, clock
        self.refusals, self.since, self.opens = 0, 0.0, clock()

    def is_open(self) -> bool:
        """Whether something may be submitted again."""
        return self.clock() >= self.opens

    def taken(self) -> None:
        """A batch had room."""
        self.refusals = 0
        self._give(2 * self.limits.enqueued_tokens)

    def refused(self, tokens: int, others: bool) -> bool:
        """A batch of so many tokens had no room; others: whether any is under way. False: it never will."""
        now = self.clock()
        self.since = self.since if self.refusals else now
        self.refusals += 1
        if now - self.since > (OTHERS_PATIENCE if others else PATIENCE):
            return False
        if not others:
            self._give(min(tokens, self.limits.enqueued_tokens) // 2)
        self.opens = now + min(self.refusals * FIRST_PAUSE, LONGEST_PAUSE)
        return True

    def _give(self, tokens: int) -> None:
        tokens = min(self.most, max(tokens, self.most // LEAST, 1))
        self.limits = dataclasses.replace(self.limits, enqueued_tokens=tokens)


class Submitter:
    """Submits rows of one arm. Its methods want the records' lock held.

    stop: why nothing more can be submitted, once that is so.
    """

    def __init__(self, purse: Purse, records: Records, desk: BatchClient, queue: Queue):
        self.purse, self.records, self.desk, self.queue = purse, records, desk, queue
        self.stop: StopError | None = None

    def submit(self, rows: list[Row], under_way: int) -> tuple[list[Record], bool]:
        """Records of the chunks that were submitted, and whether the next one has no room yet.

        under_way: tokens of the batches that are.
        """
        submitted, limits = [], self.queue.limits
        for chunk in files.chunked(rows, limits):
            tokens = sum(row.n_tokens for row in chunk)
            if under_way and under_way + tokens > limits.enqueued_tokens:
                return submitted, True
            record = self._chunk(chunk)
            if record is not None:
                submitted.append(record)
                under_way += record.tokens
            if self.stop is not None:
                break
        return submitted, False

    def settled(self, record: Record) -> Record | None:
        """A record whose batch is known; None for a plan that never became one, which is undone."""
        if record.state in ("created", "ended"):
            return record
        batch = self.desk.found(record.chunk, record.file, self._others(record))
        if batch is None:
            self._undo(record)
            return None
        tqdm.write(f"batch {batch}: made by a job that ended before it could note it", file=sys.stderr)
        return self._noted(record.after("created", batch=batch))

    def tickets(self, record: Record) -> dict[str, int]:
        """The chunk's own tickets in the ledger, by row."""
        found = self.purse.ledger.tickets(record.keys)
        return {key: ticket for key, ticket in found.items() if ticket > record.last_ticket}

    def _chunk(self, rows: list[Row]) -> Record | None:
        """The record of a chunk that is submitted; None, with `stop` set, where it could not be."""
        last = max(self.purse.ledger.tickets(row.request.key for row in rows).values(), default=0)
        record, data = self._planned(rows, last)
        try:
            tickets = self.purse.ledger.reserve_many(row.call for row in rows)
        except UserError as error:
            self.records.remove(record)
            if not isinstance(error, StopError):
                raise
            self.stop = error
            return None
        if len(tickets) < len(rows):
            whole, first = record, rows[len(tickets)]
            record, data = self._planned(rows[: len(tickets)], last)
            self.records.remove(whole)
            self.stop = self._budget(first)
        try:
            record = self._noted(record.after("uploaded", file=self.desk.uploaded(record.chunk, data)))
            self.desk.ready(record.file)
            batch = self.desk.created(record.chunk, record.file, self._others(record))
            return self._noted(record.after("created", batch=batch))
        except openai.APIError as error:
            if isinstance(error, openai.APIStatusError) and error.status_code < 500:
                self._undo(record)  # else the host may have made it: the next run looks
            self.stop = StopError(str(self.purse.host.as_user_error(error)))
        except Garbled as error:
            self.stop = StopError(f"{self.purse.host.where}: the host's answers cannot be read: {error}")
        except UserError as error:  # of its file
            self._undo(record)
            self.stop = StopError(str(error))
        return None

    def _others(self, record: Record) -> set[str]:
        """Batches of other chunks."""
        return {other.batch for other in self.records.read() if other.batch and other.chunk != record.chunk}

    def _planned(self, rows: list[Row], last_ticket: int) -> tuple[Record, bytes]:
        """A chunk's record, and its file."""
        lines = [files.line(row.request, self.purse.host.endpoint) for row in rows]
        content = files.content_hash(lines)
        name = f"{content}-{self.records.attempts(content) + 1}"
        tokens, keys = sum(row.n_tokens for row in rows), [row.request.key for row in rows]
        return self._noted(Record(name, tokens, last_ticket, keys)), b"".join(lines)

    def _budget(self, row: Row) -> StopError | None:
        """What the ledger says against one more row; None where another job has just freed the money for it."""
        try:
            self.purse.ledger.release(self.purse.ledger.reserve(row.call))
        except BudgetError as error:
            return error
        return None

    def _undo(self, record: Record) -> None:
        """Of a plan that certainly is no batch."""
        self.purse.ledger.release(*self.tickets(record).values())
        self.records.remove(record)

    def _noted(self, record: Record) -> Record:
        self.records.write(record)
        return record
