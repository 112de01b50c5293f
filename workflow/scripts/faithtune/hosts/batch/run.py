"""Calls through a host's Batch endpoint, at half the price: like `billing.send_all`, in hours instead of seconds.

    for index, response in run_batches(meter, limiter, "results/store/batches/base", Limits(), requests): ...

Each step of a chunk is on disk before the next one (`records`): planned, reserved in the ledger, uploaded, created,
ended. A job may be killed anywhere: the next job looks for running batches in the records, and for what those do not
know at the host, and waits for them. Rows of an open batch are never submitted again, whichever job created it;
answers that arrived but were not stored are downloaded again. Rows that a host did not process (an expired batch) or
that failed transiently go into another batch. If the host's queue has no room for a batch, submitting stops with an
error that names the key to lower.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import openai
from openai.types import Batch
from tqdm import tqdm

from faithtune.core.errors import HostStopped, UserError
from faithtune.hosts.batch import files as batch_files
from faithtune.hosts.batch.client import BatchClient, BatchMonitor
from faithtune.hosts.batch.files import Failure, Limits, Row
from faithtune.hosts.batch.records import Record, Records
from faithtune.hosts.batch.submit import Submitter
from faithtune.hosts.billing import Meter
from faithtune.hosts.calls import MalformedResponse, RateLimiter, Request
from faithtune.hosts.host import hidden_reasoning

ROUNDS = 5  # the most batches that a row goes into, in one run
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0  # seconds between two looks at a batch


def run_batches(
    meter: Meter, limiter: RateLimiter, folder: str | Path, limits: Limits, requests: list[Request]
) -> Iterator[tuple[int, dict | UserError]]:
    """(index, response) of each request when its batch ends; a UserError in place of a missing response.

    folder: of the arm's records. Raises HostStopped, after all submitted rows, if no further call can be made: the
    budget is used up, the key is refused, the queue is full, the host cannot be reached.
    """
    try:
        yield from BatchRun(meter, limiter, folder, limits, requests).responses()
    except openai.APIError as error:
        raise HostStopped(str(meter.host.as_user_error(error))) from None
    except MalformedResponse as error:
        raise HostStopped(f"{meter.host.where}: the host's responses cannot be read: {error}") from None


class BatchRun:
    """The rows of one run that have no response yet, and the batches it waits for."""

    def __init__(self, meter: Meter, limiter: RateLimiter, folder: str | Path, limits: Limits, requests: list[Request]):
        self.meter, self.limiter = meter, limiter
        self.records, self.client = Records(folder), BatchClient(meter.host, limiter)
        self.monitor = BatchMonitor(self.records, self.client)
        self.submitter = Submitter(meter, self.records, self.client, limits)
        self.rows: dict[str, Row] = {}
        for index, request in enumerate(requests):
            if request.key in self.rows:
                self.rows[request.key].indices.append(index)
            else:
                n_bytes = len(batch_files.line(request, meter.host.endpoint))
                self.rows[request.key] = Row(request, [index], n_bytes, meter.reservation(request, batch=True))
        self.awaited: dict[str, Record] = {}
        self.submitted: set[str] = set()  # chunks of this run
        self.rounds: Counter[str] = Counter()

    def responses(self) -> Iterator[tuple[int, dict | UserError]]:
        pause, n_rows = FIRST_PAUSE, len(self.rows)
        with tqdm(total=n_rows, unit="row", desc="batches", disable=not n_rows) as bar:
            while self.rows:
                if self.submitter.stop is None and self._free_rows():
                    self._attach_and_submit()
                if self.submitter.stop is not None and not self.awaited:
                    raise self.submitter.stop
                n_done_here, ended = 0, False
                for record in list(self.awaited.values()):
                    batch = self.monitor.look(record)
                    if batch is None or self.monitor.is_over(batch):
                        ended = True
                        yield from self._collect(self.awaited.pop(record.chunk), batch)
                    else:
                        n_done_here += batch_files.n_done(batch)
                bar.n = min(n_rows, n_rows - len(self.rows) + n_done_here)
                bar.refresh()
                pause = FIRST_PAUSE if ended else min(1.5 * pause, LONGEST_PAUSE)
                if self.rows and not ended:
                    self.limiter.sleep(pause)

    def _free_rows(self) -> list[Row]:
        """Rows that are in no awaited batch."""
        taken = {key for record in self.awaited.values() for key in record.hopeful()}
        return [row for key, row in self.rows.items() if key not in taken]

    def _attach_and_submit(self) -> None:
        """Await the batches that hold rows of ours, and submit the other rows as far as the queue has room."""
        with self.records.locked():
            records = [found for record in self.records.read() if (found := self.submitter.recovered(record))]
            for record in records:
                self._await(record)
            if free := self._free_rows():
                in_progress = [record for record in records if record.state == "created"]
                submitted, full = self.submitter.submit(free, sum(record.tokens for record in in_progress))
                self.submitted.update(record.chunk for record in submitted)
                for record in submitted:
                    self._await(record)
                if full:  # until any batch ends, whichever job created it
                    self.awaited |= {record.chunk: record for record in in_progress}

    def _await(self, record: Record) -> None:
        """Await a batch that has, or may get, answers that no other awaited batch has."""
        here = self.rows.keys() & record.hopeful()
        elsewhere = {key for other in self.awaited.values() for key in other.hopeful()}
        if record.chunk not in self.awaited and here - elsewhere:
            self.awaited[record.chunk] = record
            self.rounds.update(here)

    def _collect(self, record: Record, batch: Batch | None) -> Iterator[tuple[int, dict | UserError]]:
        """The responses of an ended batch, and its permanent failures; other rows go into another batch."""
        try:
            files = [file for file in (batch and (batch.output_file_id, batch.error_file_id)) or () if file]
            contents = [self.client.content(file) for file in files]
        except openai.NotFoundError:
            batch, contents = None, []
        failures = self._settle(record, batch, contents)
        if failures:
            first = self._as_user_error(next(iter(failures.values())).message)
            self.monitor.log(record, f"{len(failures)} of {len(record.keys)} rows have no answer; the first: {first}")
        for key, response in _results(contents):
            if key in self.rows and key not in failures and batch_files.is_answer(response):
                yield from self._give(key, response)
        if batch_files.is_refused(batch):
            if record.chunk in self.submitted:  # an earlier run may have had other limits
                self.submitter.stop = self._full_queue(batch)
            return
        for key in self.rows.keys() & failures.keys() & record.hopeful():
            failure = failures[key]
            if not failure.transient or self.rounds[key] >= ROUNDS:
                tried = f" (in {self.rounds[key]} batches)" if failure.transient else ""
                yield from self._give(key, self._as_user_error(f"row {key}: {failure.message}{tried}"))

    def _give(self, key: str, response: dict | UserError) -> Iterator[tuple[int, dict | UserError]]:
        if not isinstance(response, UserError):
            response = hidden_reasoning(self.meter.host, response) or response
        for index in self.rows.pop(key).indices:
            yield index, response

    def _full_queue(self, batch: Batch) -> HostStopped:
        said = self._as_user_error(f"batch {batch.id} failed: {batch_files.complaint(batch)[1]}")
        key, most = f"{self.meter.host.where}.batch.enqueued_tokens", self.submitter.limits.enqueued_tokens
        return HostStopped(f"{said}; lower {key}, which is {most}: jobs side by side share the host's queue")

    def _settle(self, record: Record, batch: Batch | None, contents: list[bytes]) -> dict[str, Failure]:
        """Enter a batch's results in ledger and record, once. The rows without an answer, and why."""
        failures = batch_files.failures(record.keys, batch, contents)
        reservations = self.submitter.reservations(record)
        usages = [
            self.meter.usage(reservations[key], result, batch=True)
            for key, result in _results(contents)
            if key in reservations and not isinstance(result, Failure)
        ]
        with self.records.locked():
            current = self.records.get(record.chunk)
            if current is None or current.state != "ended":
                self.meter.ledger.pay(*usages)
                free = [reservations[key] for key, failure in failures.items() if failure.free and key in reservations]
                self.meter.ledger.release(*free)
            status = batch.status if batch else record.status
            self.records.write(record.after("ended", status=status, unanswered=list(failures)))
        return failures

    def _as_user_error(self, message: str) -> UserError:
        return self.meter.host.as_user_error(Exception(message))


def _results(contents: list[bytes]) -> Iterator[tuple[str, dict | Failure]]:
    return (item for data in contents for item in batch_files.results(data))
