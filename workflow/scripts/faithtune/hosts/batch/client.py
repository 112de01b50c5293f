"""The Batch endpoints of a host, and the progress of the batches in one run.

Before a file or batch is created, it is looked for at the host, because the response to an earlier request may have
been lost.
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
from faithtune.hosts.calls import MalformedResponse, RateLimiter
from faithtune.hosts.host import Host

_MARK = "faithtune_chunk"  # in a batch's metadata
_PAGE = 100
Result = TypeVar("Result")


class BatchClient:
    """Uploads files, creates batches and downloads results, with retries.

    All methods raise openai's errors, and MalformedResponse, if these persist.
    """

    def __init__(self, host: Host, limiter: RateLimiter):
        self.host, self.limiter = host, limiter

    def find_or_upload(self, chunk: str, data: bytes) -> str:
        """The id of the chunk's file."""
        name, files = f"{_MARK}-{chunk}.jsonl", self.host.client.files

        def upload() -> str:
            listed = (file for file in files.list(purpose="batch", limit=_PAGE) if file.filename == name)
            usable = (file for file in listed if str(file.status).lower() not in polling.UNUSABLE)
            return (next(usable, None) or files.create(file=(name, data), purpose="batch")).id

        return self._ask(upload)

    def wait_for_file(self, file: str) -> None:
        """Wait until the host has processed an uploaded file; UserError if it cannot use the file."""
        if error := polling.wait_for_file(self.host, file, self._ask, self.limiter.sleep):
            raise error

    def find_or_create(self, chunk: str, file: str, others: set[str]) -> str:
        """The id of the chunk's batch; others: ids of other chunks' batches."""
        settings = {"endpoint": batch_files.url(self.host.endpoint), "completion_window": "24h"}

        def create() -> str:
            batch = self._batch_of(chunk, file, others)
            batches = self.host.client.batches
            return (batch or batches.create(input_file_id=file, metadata={_MARK: chunk}, **settings)).id

        return self._ask(create)

    def find(self, chunk: str, file: str | None, others: set[str]) -> str | None:
        """The id of the chunk's batch, if it was created; file: the chunk's file, if it was uploaded."""
        batch = self._ask(lambda: self._batch_of(chunk, file, others))
        return batch and batch.id

    def batch(self, batch: str) -> Batch:
        """The batch with an id."""
        return self._ask(lambda: _normalised(self.host.client.batches.retrieve(batch)), polling.HOUR)

    def content(self, file: str) -> bytes:
        """A complete file of results."""

        def download() -> bytes:
            files = self.host.client.files
            data, n_bytes = files.content(file).content, None
            with contextlib.suppress(openai.NotFoundError):  # some hosts have only the content
                n_bytes = files.retrieve(file).bytes
            if len(data) < (n_bytes or 0) or not batch_files.is_whole(data):
                raise MalformedResponse(f"{len(data)} bytes of {n_bytes or 'more'} of a batch's results")
            return data

        return self._ask(download, polling.HOUR)

    def _batch_of(self, chunk: str, file: str | None, others: set[str]) -> Batch | None:
        """The chunk's batch: by metadata, else by its file, because not every host keeps metadata."""

        def matches(batch: Batch) -> bool:
            if mark := (batch.metadata or {}).get(_MARK):
                return mark == chunk
            # At a host that stores equal files once, a chunk that was submitted before has the same file.
            return file is not None and batch.input_file_id == file and batch.id not in others

        return next(filter(matches, self._listed()), None)

    def _listed(self) -> Iterator[Batch]:
        return map(_normalised, self.host.client.batches.list(limit=_PAGE))

    def _ask(self, call: Callable[[], Result], patience: float = 0.0) -> Result:
        return polling.with_patience(call, self.limiter, patience)


def _normalised(batch: Batch) -> Batch:
    """A batch with the API's own word as its status."""
    return batch.model_copy(update={"status": polling.normalise_status(batch.status, "completed")})


LATE = 900.0  # seconds for which an ended batch may lack the name of its output file


class BatchMonitor:
    """Follows the batches of one run."""

    def __init__(self, records: Records, client: BatchClient):
        self.records, self.client = records, client
        self.statuses: dict[str, str] = {}  # the last status of each batch
        self.ended_at: dict[str, float] = {}

    def look(self, record: Record) -> Batch | None:
        """The batch at the host; None if it has ended and the host no longer has it."""
        try:
            batch = self.client.batch(record.batch)
        except openai.NotFoundError:
            if record.state == "ended":
                return None
            raise UserError(
                f"{self.records.path(record.chunk)}: the host knows no batch {record.batch}; expected the key of the"
                " account that created it, or move the file away to submit and pay for its rows again"
            ) from None
        if self.statuses.get(batch.id) != batch.status:
            self.statuses[batch.id] = batch.status
            self.log(record, f"{batch.status}, {batch_files.n_done(batch)} of {len(record.keys)} rows")
        return batch

    def is_over(self, batch: Batch) -> bool:
        """Whether a batch has ended and names its output file, or has had the time to name it."""
        if batch.status not in batch_files.ENDS:
            return False
        clock = self.client.limiter.clock
        ended = self.ended_at.setdefault(batch.id, clock())
        return not batch_files.lacks_output(batch) or clock() - ended > LATE

    def log(self, record: Record, message: str) -> None:
        tqdm.write(f"batch {record.batch}: {message}", file=sys.stderr)
