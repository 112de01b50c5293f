"""A journal of paid responses: each is written to a file on arrival and stays there until its row is stored.

One file per job, one JSON line per response. A killed job loses no response that it had written; a power cut may lose
the last ones, because nothing is synced. A job holds a lock on its file, so a file that can be locked belongs to a
dead job; the next job with the same rows takes its responses over. A truncated last line is ignored.
"""

import contextlib
import fcntl
import json
import sys
import threading
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path


class ResponseJournal:
    """The responses of one job that are not in the row store yet, by row key; `folder`: where the job keeps its rows.

    A context manager. The file is created with the first response and deleted when no response is left in it.
    """

    def __init__(self, folder: Path):
        self.path = folder / f"{uuid.uuid4().hex}.jsonl"
        self.file = None
        self.lock = threading.Lock()
        self.responses: dict[str, dict] = {}

    def __enter__(self) -> "ResponseJournal":
        with _left_behind(self.path.parent) as responses:
            for key, response in responses.items():
                self.put(key, response)
        return self

    def __exit__(self, *_) -> None:
        with self.lock:
            if self.file is not None:
                if not self.responses:
                    self.path.unlink(missing_ok=True)
                self.file.close()
                self.file = None

    def get(self, key: str) -> dict | None:
        """The response of a row, if it arrived earlier."""
        with self.lock:
            return self.responses.get(key)

    def put(self, key: str, response: dict) -> None:
        """Write a response."""
        with self.lock:
            if self.file is None:
                self._open()
            self.file.write(_line(key, response))
            self.responses[key] = response

    def forget(self, keys: Iterable[str]) -> None:
        """Remove responses whose rows are in the row store."""
        with self.lock:
            for key in keys:
                self.responses.pop(key, None)
            if self.file is not None:
                self._rewrite()

    def _rewrite(self) -> None:
        """Write what is left to a new file before the old one is deleted."""
        old, file = self.path, self.file
        self.path, self.file = old.with_name(f"{uuid.uuid4().hex}.jsonl"), None
        if self.responses:
            self._open()
            self.file.write(b"".join(_line(key, response) for key, response in self.responses.items()))
        old.unlink(missing_ok=True)
        file.close()

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Before the file is locked another job may take it for a dead job's and delete it.
        while self.file is None or not self.path.exists():
            self.file = open(self.path, "ab", buffering=0)  # noqa: SIM115 - open while the job runs
            fcntl.flock(self.file, fcntl.LOCK_EX)


@contextlib.contextmanager
def _left_behind(folder: Path) -> Iterator[dict[str, dict]]:
    """The responses of dead jobs; their files are deleted when the block ends without an error."""
    responses, held = {}, []
    with contextlib.ExitStack() as files:
        for path in sorted(folder.glob("*.jsonl")):
            with contextlib.suppress(FileNotFoundError, BlockingIOError):
                file = files.enter_context(open(path, "rb"))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: the job runs
                responses |= _read(path, file.read())
                held.append(path)
        yield responses
        for path in held:
            path.unlink(missing_ok=True)


def _line(key: str, response: dict) -> bytes:
    return json.dumps([key, response]).encode() + b"\n"


def _read(path: Path, text: bytes) -> dict[str, dict]:
    found = {}
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        try:
            if not line.endswith(b"\n"):
                raise ValueError("truncated")
            key, response = json.loads(line)
            found[key] = response
        except (ValueError, TypeError) as error:
            print(f"{path}: line {number} is ignored ({error})", file=sys.stderr)
    return found
