"""Calls through a host's Batch endpoint, at half the price: what `billing.made` does, in hours instead of seconds.

    for index, response in batches.made(purse, gate, "results/store/batches/base", Limits(), requests): ...

The protocol of a chunk, each step on disk before the next (batch_records): planned, its calls reserved in the
ledger, file uploaded, batch created, ended. A job that is killed anywhere loses nothing: the next one looks on disk,
and where the disk does not know, at the host, for what is under way, and waits for that. Rows of an open batch are
never submitted again, whichever job made it; answers that had come but were not kept are fetched again from the
host's files. Rows that a host did not come to (an expired batch) or that failed in passing go into another batch, as do
those of a batch that the host's queue had no room for (`submit.Queue`).
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import openai
from openai.types import Batch
from tqdm import tqdm

from faithtune.core.errors import StopError, UserError
from faithtune.hosts.batch import files as batch_files
from faithtune.hosts.batch.client import BatchClient, Watch
from faithtune.hosts.batch.files import Failure, Limits, Row
from faithtune.hosts.batch.records import Record, Records
from faithtune.hosts.batch.submit import Queue, Submitter
from faithtune.hosts.billing import Purse
from faithtune.hosts.calls import Garbled, Gate, Request
from faithtune.hosts.host import chain_out_of_sight

ROUNDS = 5  # batches that a row goes into, at most, in one run
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0  # seconds between two looks at a batch


def made(
    purse: Purse, gate: Gate, folder: str | Path, limits: Limits, requests: list[Request]
) -> Iterator[tuple[int, dict | UserError]]:
    """(index, response) of each request as its batch ends; a UserError in the place of one that has none.

    folder: of the arm's records. Raises StopError, with what was submitted given out, where nothing more can be
    asked: the budget, the key, a host that cannot be reached.
    """
    waiting = _Waiting(purse, gate, folder, limits, requests)
    try:
        yield from waiting.given()
    except openai.APIError as error:
        raise StopError(str(purse.host.as_user_error(error))) from None
    except Garbled as error:
        raise StopError(f"{purse.host.where}: the host's answers cannot be read: {error}") from None


class _Waiting:
    """The rows of one run that have not been given out, and the batches that are waited for."""

    def __init__(self, purse: Purse, gate: Gate, folder: str | Path, limits: Limits, requests: list[Request]):
        self.purse, self.gate = purse, gate
        self.records, self.desk = Records(folder), BatchClient(purse.host, gate)
        self.watch, self.queue = Watch(self.records, self.desk), Queue(limits, gate.clock)
        self.submitter = Submitter(purse, self.records, self.desk, self.queue)
        self.rows: dict[str, Row] = {}
        for index, request in enumerate(requests):
            if request.key in self.rows:
                self.rows[request.key].indices.append(index)
            else:
                n_bytes = len(batch_files.line(request, purse.host.endpoint))
                self.rows[request.key] = Row(request, [index], n_bytes, purse.call(request, batch=True))
        self.watched: dict[str, Record] = {}
        self.rounds: Counter[str] = Counter()

    def given(self) -> Iterator[tuple[int, dict | UserError]]:
        pause, n_rows = FIRST_PAUSE, len(self.rows)
        with tqdm(total=n_rows, unit="row", desc="batches", disable=not n_rows) as bar:
            while self.rows:
                if self.submitter.stop is None and self._free():
                    self._plan()
                if self.submitter.stop is not None and not self.watched:
                    raise self.submitter.stop
                n_done_here, ended = 0, False
                for record in list(self.watched.values()):
                    batch = self.watch.look(record)
                    if batch is None or self.watch.is_over(batch):
                        ended = True
                        yield from self._collected(self.watched.pop(record.chunk), batch)
                    else:
                        n_done_here += batch_files.n_done(batch)
                bar.n = min(n_rows, n_rows - len(self.rows) + n_done_here)
                bar.refresh()
                pause = FIRST_PAUSE if ended else min(1.5 * pause, LONGEST_PAUSE)
                if self.rows and not ended:
                    self.gate.sleep(pause)

    def _free(self) -> list[Row]:
        """Rows that are in no batch that is waited for."""
        taken = {key for record in self.watched.values() for key in record.hopeful()}
        return [row for key, row in self.rows.items() if key not in taken]

    def _plan(self) -> None:
        """Wait for the batches that hold rows of ours, and submit what is in none, as far as there is room."""
        with self.records.locked():
            records = [found for record in self.records.read() if (found := self.submitter.settled(record))]
            for record in records:
                self._watch(record)
            free = self._free()
            if free and self.queue.is_open():
                under_way = [record for record in records if record.state == "created"]
                submitted, full = self.submitter.submit(free, sum(record.tokens for record in under_way))
                for record in submitted:
                    self._watch(record)
                if full:  # until any of them ends, whoever made it
                    self.watched |= {record.chunk: record for record in under_way}

    def _watch(self, record: Record) -> None:
        """Wait for a batch if it holds, or will, answers that are wanted and in no other."""
        here = self.rows.keys() & record.hopeful()
        elsewhere = {key for other in self.watched.values() for key in other.hopeful()}
        if record.chunk not in self.watched and here - elsewhere:
            self.watched[record.chunk] = record
            self.rounds.update(here)

    def _collected(self, record: Record, batch: Batch | None) -> Iterator[tuple[int, dict | UserError]]:
        """What an ended batch gives: responses at once, failures that may pass left for another batch."""
        try:
            files = [file for file in (batch and (batch.output_file_id, batch.error_file_id)) or () if file]
            contents = [self.desk.content(file) for file in files]
        except openai.NotFoundError:
            batch, contents = None, []
        failures = self._settle(record, batch, contents)
        if failures:
            first = self._as_user_error(next(iter(failures.values())).said)
            self.watch.tell(record, f"{len(failures)} of {len(record.keys)} rows have no answer; the first: {first}")
        for key, response in _results(contents):
            if key in self.rows and key not in failures and batch_files.is_answer(response):
                yield from self._give(key, response)
        full = batch_files.is_refused(batch)
        waits = full and self._waits(record)
        if batch and batch.status != "failed":
            self.queue.taken()
        for key in self.rows.keys() & failures.keys() & record.hopeful():
            failure = failures[key]
            if waits:
                self.rounds[key] -= 1
            elif full:
                told, where = self._as_user_error(f"row {key}: {failure.said}"), self.purse.host.where
                more = f"expected {where}.batch.enqueued_tokens within what its queue takes"
                yield from self._give(key, UserError(f"{told}; {more}"))
            elif not failure.passing or self.rounds[key] >= ROUNDS:
                tried = f" (in {self.rounds[key]} batches)" if failure.passing else ""
                yield from self._give(key, self._as_user_error(f"row {key}: {failure.said}{tried}"))

    def _give(self, key: str, response: dict | UserError) -> Iterator[tuple[int, dict | UserError]]:
        if not isinstance(response, UserError):
            response = chain_out_of_sight(self.purse.host, response) or response
        for index in self.rows.pop(key).indices:
            yield index, response

    def _waits(self, record: Record) -> bool:
        """Whether the rows of a batch that had no room are to be submitted later."""
        others = self.desk.is_busy()
        if record.file and self.rows.keys() & set(record.keys):
            self.desk.delete(record.file)  # it is uploaded anew, and hosts keep a few hundred
        self.watch.tell(record, "no room in the host's queue: " + ("others fill it" if others else "it is too large"))
        return self.queue.refused(record.tokens, others)

    def _settle(self, record: Record, batch: Batch | None, contents: list[bytes]) -> dict[str, Failure]:
        """Enter what came of a batch in ledger and record, once. The rows without an answer, and why."""
        failures = batch_files.failures(record.keys, batch, contents)
        tickets = self.submitter.tickets(record)
        used = [
            self.purse.used(tickets[key], result, batch=True)
            for key, result in _results(contents)
            if key in tickets and not isinstance(result, Failure)
        ]
        with self.records.locked():
            current = self.records.get(record.chunk)
            if current is None or current.state != "ended":
                self.purse.ledger.settle(*used)
                free = [tickets[key] for key, failure in failures.items() if failure.free and key in tickets]
                self.purse.ledger.release(*free)
            status = batch.status if batch else record.status
            self.records.write(record.after("ended", status=status, unanswered=list(failures)))
        return failures

    def _as_user_error(self, said: str) -> UserError:
        return self.purse.host.as_user_error(Exception(said))


def _results(contents: list[bytes]) -> Iterator[tuple[str, dict | Failure]]:
    return (one for data in contents for one in batch_files.results(data))
