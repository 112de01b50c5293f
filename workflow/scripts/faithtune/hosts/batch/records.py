"""Records of an arm's batches: a folder of small JSON files, each on disk before the next step is taken.

    planned   the rows of the chunk are chosen; next its calls are reserved in the ledger
    uploaded  its file is at the host
    created   its batch is at the host
    ended     its results are in the ledger; the record lists the rows without an answer

A job holds the folder's lock from planning a chunk until its batch is created. So a record that the holder of the
lock finds planned or uploaded belongs to a dead job, and only the host knows how far that job came.
"""

import contextlib
import dataclasses
import fcntl
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from faithtune.core.errors import UserError
from faithtune.jobs import job


@dataclass(frozen=True)
class Record:
    """A chunk and its state."""

    chunk: str  # hash of the file's content and the number of the submission: its name at the host
    tokens: int  # of its prompts, an upper bound
    last_ticket: int  # the id of these rows' last reservation before this chunk (the name in existing records)
    keys: list[str]
    state: str = "planned"
    file: str | None = None  # its id at the host
    batch: str | None = None  # its id at the host
    status: str | None = None  # the host's status at its end
    unanswered: list[str] = field(default_factory=list)  # when ended: the rows without an answer

    def hopeful(self) -> set[str]:
        """Rows that have an answer in the batch, or may get one."""
        return set(self.keys) - set(self.unanswered)

    def after(self, state: str, **changes: object) -> "Record":
        """The record in its next state."""
        return dataclasses.replace(self, state=state, **changes)


class Records:
    """The records in `folder`, shared by all jobs of an arm on one machine."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder's lock; a killed job releases it."""
        with open(self.folder / ".lock", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            for left in self.folder.glob(".*.json.*.json"):  # unfinished files of killed jobs
                left.unlink()
            yield

    def path(self, chunk: str) -> Path:
        return self.folder / f"{chunk}.json"

    def read(self) -> list[Record]:
        """All records; UserError for an unreadable record, because its rows may have been paid."""
        return [self._load(path) for path in sorted(self.folder.glob("[!.]*.json"))]

    def get(self, chunk: str) -> Record | None:
        path = self.path(chunk)
        return self._load(path) if path.exists() else None

    def write(self, record: Record) -> None:
        """Write a record; the caller holds the lock."""
        job.write_json(dataclasses.asdict(record), self.path(record.chunk))

    def remove(self, record: Record) -> None:
        self.path(record.chunk).unlink(missing_ok=True)

    def attempts(self, content: str) -> int:
        """How often a chunk with this content was submitted."""
        return len(list(self.folder.glob(f"{content}-*.json")))

    def _load(self, path: Path) -> Record:
        try:
            return Record(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise UserError(
                f"{path}: not a readable record of a batch ({error}); move it away once the host lists no batch of that"
                " name in progress"
            ) from None
