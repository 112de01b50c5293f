"""A row store's journal: rows that were paid for are in a file the moment they are known.

One file a writer, one JSON line a row. A killed writer loses none that it appended (only a power cut may: nothing
is synced before the rows stand in a part). A writer holds its file locked, so that a file that can be locked was left
behind; a last line that was cut short is no row.
"""

import contextlib
import fcntl
import json
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path


class Journal:
    """The journal of one writer, in `folder`; its file is made with the first row."""

    def __init__(self, folder: Path):
        self.path = folder / f"journal-{uuid.uuid4().hex}.jsonl"
        self.file = None

    def append(self, key: str, value: dict) -> None:
        """Write a row."""
        if self.file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            while not self.path.exists():  # a reader may take it for left behind before it is locked
                self.file = open(self.path, "ab", buffering=0)  # noqa: SIM115 - open while its writer lives
                fcntl.flock(self.file, fcntl.LOCK_EX)
        self.file.write(json.dumps([key, value]).encode() + b"\n")

    def clear(self) -> None:
        """Forget all rows: they stand in a part."""
        if self.file is not None:
            self.file.truncate(0)

    def close(self) -> None:
        """End the journal; its rows stand in a part."""
        if self.file is not None:
            self.path.unlink(missing_ok=True)
            self.file.close()
            self.file = None


@contextlib.contextmanager
def left_behind(folder: Path) -> Iterator[dict[str, dict]]:
    """The rows of journals whose writers are gone; on leaving without an error the journals are removed."""
    rows, held = {}, []
    with contextlib.ExitStack() as files:
        for path in sorted(folder.glob("journal-*.jsonl")):
            with contextlib.suppress(FileNotFoundError, BlockingIOError):
                file = files.enter_context(open(path, "rb"))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: somebody is writing it
                rows |= _rows(path, file.read())
                held.append(path)
        yield rows
        for path in held:
            path.unlink(missing_ok=True)


def seen(folder: Path) -> dict[str, dict]:
    """The rows of all journals, of writers at work too; the journals stay as they are."""
    rows = {}
    for path in sorted(folder.glob("journal-*.jsonl")):
        with contextlib.suppress(FileNotFoundError):  # its writer has ended
            rows |= _rows(path, path.read_bytes())
    return rows


def _rows(path: Path, text: bytes) -> dict[str, dict]:
    found = {}
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        try:
            if not line.endswith(b"\n"):
                raise ValueError("cut short")
            key, value = json.loads(line)
            found[key] = value
        except (ValueError, TypeError) as error:
            print(f"row store: {path}: line {number} is left out ({error})", file=sys.stderr)
    return found
