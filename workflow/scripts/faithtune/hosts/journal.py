"""Responses that were paid for: each is in a file the moment it arrives, until its row stands in the row store.

One file a job, one JSON line a response. A killed job loses none that it had written (only a power cut may: nothing
is synced). A job holds its file locked, so that a file that can be locked was left behind; the next job with these
rows takes over what is in it. A last line that was cut short is no response.
"""

import contextlib
import fcntl
import json
import sys
import threading
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path


class Arrived:
    """The responses of one job that are not in the row store yet, by row key; `folder` is that of its rows.

    Used as a context. Its file is made with the first response, and removed once all of them are forgotten.
    """

    def __init__(self, folder: Path):
        self.path = folder / f"{uuid.uuid4().hex}.jsonl"
        self.file = None
        self.lock = threading.Lock()
        self.responses: dict[str, dict] = {}

    def __enter__(self) -> "Arrived":
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
        """The response of that row, if it had arrived before."""
        with self.lock:
            return self.responses.get(key)

    def put(self, key: str, response: dict) -> None:
        """Keep a response."""
        with self.lock:
            if self.file is None:
                self._open()
            self.file.write(_line(key, response))
            self.responses[key] = response

    def forget(self, keys: Iterable[str]) -> None:
        """The rows of these keys stand in the row store."""
        with self.lock:
            for key in keys:
                self.responses.pop(key, None)
            if self.file is not None:
                self._renew()

    def _renew(self) -> None:
        """A file of only what is left, before the old one goes."""
        old, file = self.path, self.file
        self.path, self.file = old.with_name(f"{uuid.uuid4().hex}.jsonl"), None
        if self.responses:
            self._open()
            self.file.write(b"".join(_line(key, response) for key, response in self.responses.items()))
        old.unlink(missing_ok=True)
        file.close()

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Another job may take it for left behind before it is locked.
        while self.file is None or not self.path.exists():
            self.file = open(self.path, "ab", buffering=0)  # noqa: SIM115 - open while its job lives
            fcntl.flock(self.file, fcntl.LOCK_EX)


@contextlib.contextmanager
def _left_behind(folder: Path) -> Iterator[dict[str, dict]]:
    """What jobs that are gone have left; their files are removed on leaving without an error."""
    responses, held = {}, []
    with contextlib.ExitStack() as files:
        for path in sorted(folder.glob("*.jsonl")):
            with contextlib.suppress(FileNotFoundError, BlockingIOError):
                file = files.enter_context(open(path, "rb"))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: its job lives
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
                raise ValueError("cut short")
            key, response = json.loads(line)
            found[key] = response
        except (ValueError, TypeError) as error:
            print(f"{path}: line {number} is left out ({error})", file=sys.stderr)
    return found
