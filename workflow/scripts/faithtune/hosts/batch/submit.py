"""Submits chunks of calls so that no kill loses one or pays it twice: planned, reserved, uploaded, created."""

import sys

import openai
from tqdm import tqdm

from faithtune.core.errors import HostStopped, UserError
from faithtune.hosts.batch import files
from faithtune.hosts.batch.client import BatchClient
from faithtune.hosts.batch.files import Limits, Row
from faithtune.hosts.batch.records import Record, Records
from faithtune.hosts.billing import Meter
from faithtune.hosts.calls import MalformedResponse
from faithtune.hosts.spend.ledger import BudgetError


class Submitter:
    """Submits the rows of one arm. The caller of its methods holds the lock of the records.

    stop: the error that ends submitting, once there is one.
    """

    def __init__(self, meter: Meter, records: Records, client: BatchClient, limits: Limits):
        self.meter, self.records, self.client, self.limits = meter, records, client, limits
        self.stop: HostStopped | None = None

    def submit(self, rows: list[Row], tokens_in_progress: int) -> tuple[list[Record], bool]:
        """Records of the submitted chunks, and whether the next chunk must wait for room in the queue.

        tokens_in_progress: of the arm's batches at the host.
        """
        submitted = []
        for chunk in files.chunked(rows, self.limits):
            tokens = sum(row.n_tokens for row in chunk)
            if tokens_in_progress and tokens_in_progress + tokens > self.limits.enqueued_tokens:
                return submitted, True
            record = self._submit_chunk(chunk)
            if record is not None:
                submitted.append(record)
                tokens_in_progress += record.tokens
            if self.stop is not None:
                break
        return submitted, False

    def recovered(self, record: Record) -> Record | None:
        """The record with its batch; None, after undoing the plan, if a dead job never created the batch."""
        if record.state in ("created", "ended"):
            return record
        batch = self.client.find(record.chunk, record.file, self._other_batches(record))
        if batch is None:
            self._undo(record)
            return None
        tqdm.write(f"batch {batch}: created by a job that ended before it could record it", file=sys.stderr)
        return self._written(record.after("created", batch=batch))

    def reservations(self, record: Record) -> dict[str, int]:
        """The ids of the chunk's own reservations, by row."""
        found = self.meter.ledger.last_reservations(record.keys)
        return {key: reservation for key, reservation in found.items() if reservation > record.last_ticket}

    def _submit_chunk(self, rows: list[Row]) -> Record | None:
        """The record of a submitted chunk; None, with `stop` set, if it could not be submitted."""
        last = max(self.meter.ledger.last_reservations(row.request.key for row in rows).values(), default=0)
        record, data = self._plan(rows, last)
        try:
            reserved = self.meter.ledger.reserve_many(row.reservation for row in rows)
        except UserError as error:
            self.records.remove(record)
            if not isinstance(error, HostStopped):
                raise
            self.stop = error
            return None
        if len(reserved) < len(rows):
            whole, first = record, rows[len(reserved)]
            record, data = self._plan(rows[: len(reserved)], last)
            self.records.remove(whole)
            self.stop = self._budget_error(first)
        try:
            record = self._written(record.after("uploaded", file=self.client.find_or_upload(record.chunk, data)))
            self.client.wait_for_file(record.file)
            batch = self.client.find_or_create(record.chunk, record.file, self._other_batches(record))
            return self._written(record.after("created", batch=batch))
        except openai.APIError as error:
            if isinstance(error, openai.APIStatusError) and error.status_code < 500:
                self._undo(record)  # otherwise the host may have created the batch: the next run looks for it
            self.stop = HostStopped(str(self.meter.host.as_user_error(error)))
        except MalformedResponse as error:
            self.stop = HostStopped(f"{self.meter.host.where}: the host's responses cannot be read: {error}")
        except UserError as error:  # about the file
            self._undo(record)
            self.stop = HostStopped(str(error))
        return None

    def _other_batches(self, record: Record) -> set[str]:
        """Ids of other chunks' batches."""
        return {other.batch for other in self.records.read() if other.batch and other.chunk != record.chunk}

    def _plan(self, rows: list[Row], last_reservation: int) -> tuple[Record, bytes]:
        """A chunk's record, which is written, and the content of its file."""
        lines = [files.line(row.request, self.meter.host.endpoint) for row in rows]
        content = files.content_hash(lines)
        name = f"{content}-{self.records.attempts(content) + 1}"
        tokens, keys = sum(row.n_tokens for row in rows), [row.request.key for row in rows]
        return self._written(Record(name, tokens, last_reservation, keys)), b"".join(lines)

    def _budget_error(self, row: Row) -> BudgetError | None:
        """The ledger's error for one more row; None if another job has just freed the money for it."""
        try:
            self.meter.ledger.release(self.meter.ledger.reserve(row.reservation))
        except BudgetError as error:
            return error
        return None

    def _undo(self, record: Record) -> None:
        """Remove a plan for which the host certainly has no batch."""
        self.meter.ledger.release(*self.reservations(record).values())
        self.records.remove(record)

    def _written(self, record: Record) -> Record:
        self.records.write(record)
        return record
