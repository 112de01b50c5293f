"""The records of an arm's batches, on disk before anything is waited for: a folder of small JSON files.

A record goes through these states, each written before the next step is taken:

    planned   the chunk's rows are chosen; its calls are about to be reserved in the ledger
    uploaded  its file is at the host
    created   its batch is at the host
    ended     what came of it is settled in the ledger; it tells which rows have no answer in it

Whoever plans and submits holds the folder's lock until the batch is created. So a record found planned or uploaded
by the holder of the lock is of a job that died, and only the host knows how far it came.
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
    """A chunk and how far it has come."""

    chunk: str  # hash of the file's content, and which time it is submitted: its name at the host
    tokens: int  # of its prompts, rather too many
    last_ticket: int  # of these rows in the ledger before this chunk: its own are later ones
    keys: list[str]
    state: str = "planned"
    file: str | None = None  # its id at the host
    batch: str | None = None  # likewise
    status: str | None = None  # the host's word for how it ended
    unanswered: list[str] = field(default_factory=list)  # of an ended one, the rows without an answer

    def hopeful(self) -> set[str]:
        """Rows that have an answer in it, or may get one."""
        return set(self.keys) - set(self.unanswered)

    def after(self, state: str, **changes: object) -> "Record":
        """The record one step further."""
        return dataclasses.replace(self, state=state, **changes)


class Records:
    """The records in `folder`, shared by all jobs of an arm on one machine."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Alone in the folder; a job that is killed lets go of it."""
        with open(self.folder / ".lock", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            for left in self.folder.glob(".*.json.*.json"):  # half written by a job that was killed
                left.unlink()
            yield

    def path(self, chunk: str) -> Path:
        return self.folder / f"{chunk}.json"

    def read(self) -> list[Record]:
        """All records; UserError for one that is damaged, as its rows may have been paid for."""
        return [self._one(path) for path in sorted(self.folder.glob("[!.]*.json"))]

    def get(self, chunk: str) -> Record | None:
        path = self.path(chunk)
        return self._one(path) if path.exists() else None

    def write(self, record: Record) -> None:
        """Only with the lock held."""
        job.write_json(dataclasses.asdict(record), self.path(record.chunk))

    def remove(self, record: Record) -> None:
        self.path(record.chunk).unlink(missing_ok=True)

    def attempts(self, content: str) -> int:
        """How often a chunk of this content was submitted."""
        return len(list(self.folder.glob(f"{content}-*.json")))

    def _one(self, path: Path) -> Record:
        try:
            return Record(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise UserError(
                f"{path}: not a readable record of a batch ({error}); move it away once the host lists no batch of that"
                " name under way"
            ) from None
