"""What a host is asked about batches, and how those under way are watched.

Before anything is created at the host, it is looked for there, because the answer to an earlier request may be lost.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TypeVar

import openai
from openai.types import Batch
from tqdm import tqdm

from faithtune.core.errors import UserError
from faithtune.hosts import polling
from faithtune.hosts.batch import files as batch_files
from faithtune.hosts.batch.records import Record, Records
from faithtune.hosts.calls import Garbled, Gate
from faithtune.hosts.host import Host

_MARK = "faithtune_chunk"  # in a batch's metadata
_PAGE = 100
Made = TypeVar("Made")


class BatchClient:
    """Where batches are handed in and out. All methods raise openai's errors, and Garbled, if these last."""

    def __init__(self, host: Host, gate: Gate):
        self.host, self.gate = host, gate

    def uploaded(self, chunk: str, data: bytes) -> str:
        """Id of the chunk's file, put there unless it is."""
        name, files = f"{_MARK}-{chunk}.jsonl", self.host.client.files

        def upload() -> str:
            listed = (file for file in files.list(purpose="batch", limit=_PAGE) if file.filename == name)
            there = (file for file in listed if str(file.status).lower() not in polling.UNUSABLE)
            return (next(there, None) or files.create(file=(name, data), purpose="batch")).id

        return self._asked(upload)

    def ready(self, file: str) -> None:
        """Wait until the host has processed an uploaded file; UserError where it cannot use it."""
        if error := polling.ready(self.host, file, self._asked, self.gate.sleep):
            raise error

    def delete(self, file: str) -> None:
        """Take a file away that nothing is made of; if that fails, it stays."""
        with contextlib.suppress(openai.APIError, Garbled):
            self._asked(lambda: self.host.client.files.delete(file))

    def created(self, chunk: str, file: str, others: set[str]) -> str:
        """Id of the chunk's batch, created unless it is there; others: ids of other chunks' batches."""
        asked = {"endpoint": batch_files.url(self.host.endpoint), "completion_window": "24h"}

        def create() -> str:
            batch = self._batch_of(chunk, file, others)
            batches = self.host.client.batches
            return (batch or batches.create(input_file_id=file, metadata={_MARK: chunk}, **asked)).id

        return self._asked(create)

    def found(self, chunk: str, file: str | None, others: set[str]) -> str | None:
        """Id of the chunk's batch, if it was created; file: its own, if that was uploaded."""
        batch = self._asked(lambda: self._batch_of(chunk, file, others))
        return batch and batch.id

    def batch(self, name: str) -> Batch:
        return self._asked(lambda: _plain(self.host.client.batches.retrieve(name)), polling.HOUR)

    def is_busy(self) -> bool:
        """Whether any batch is under way, whoever made it."""
        return self._asked(lambda: any(batch_files.is_under_way(batch) for batch in self._listed()))

    def content(self, file: str) -> bytes:
        """A file of results, whole."""

        def download() -> bytes:
            files = self.host.client.files
            data, n_bytes = files.content(file).content, None
            with contextlib.suppress(openai.NotFoundError):  # its content was there
                n_bytes = files.retrieve(file).bytes
            if len(data) < (n_bytes or 0) or not batch_files.is_whole(data):
                raise Garbled(f"{len(data)} bytes of {n_bytes or 'more'} of a batch's results")
            return data

        return self._asked(download, polling.HOUR)

    def _batch_of(self, chunk: str, file: str | None, others: set[str]) -> Batch | None:
        """By metadata, else by its file, as not every host keeps metadata."""

        def is_it(batch: Batch) -> bool:
            if mark := (batch.metadata or {}).get(_MARK):
                return mark == chunk
            # A host that keeps equal files once has one file for a chunk that was submitted before.
            return file is not None and batch.input_file_id == file and batch.id not in others

        return next(filter(is_it, self._listed()), None)

    def _listed(self) -> Iterator[Batch]:
        return map(_plain, self.host.client.batches.list(limit=_PAGE))

    def _asked(self, call: Callable[[], Made], patience: float = 0.0) -> Made:
        return polling.asked(call, self.gate, patience)


def _plain(batch: Batch) -> Batch:
    """A batch, its state as the API has it."""
    return batch.model_copy(update={"status": polling.state(batch.status, "completed")})


LATE = 900.0  # seconds after its end in which a batch may not name its output file yet


class Watch:
    """Of one run."""

    def __init__(self, records: Records, desk: BatchClient):
        self.records, self.desk = records, desk
        self.seen: dict[str, str] = {}  # the last state of each batch
        self.late: dict[str, float] = {}  # since when an ended one has been looked at

    def look(self, record: Record) -> Batch | None:
        """The batch as the host has it; None: it is ended and gone from there."""
        try:
            batch = self.desk.batch(record.batch)
        except openai.NotFoundError:
            if record.state == "ended":
                return None
            raise UserError(
                f"{self.records.path(record.chunk)}: the host knows no batch {record.batch}; expected the key of the"
                " account that made it, or move the file away to submit and pay its rows anew"
            ) from None
        if self.seen.get(batch.id) != batch.status:
            self.seen[batch.id] = batch.status
            self.tell(record, f"{batch.status}, {batch_files.n_done(batch)} of {len(record.keys)} rows")
        return batch

    def is_over(self, batch: Batch) -> bool:
        """Whether a batch has ended, and names what it gives or had the time to."""
        if batch.status not in batch_files.ENDS:
            return False
        clock = self.desk.gate.clock
        since = self.late.setdefault(batch.id, clock())
        return not batch_files.lacks_output(batch) or clock() - since > LATE

    def tell(self, record: Record, what: str) -> None:
        tqdm.write(f"batch {record.batch}: {what}", file=sys.stderr)
