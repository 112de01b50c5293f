"""Progress bars as lines of a log.

tqdm, and libraries that use it, overwrite a bar on the terminal with carriage returns. In a log, all states of a bar
would follow each other in one line of thousands of characters.
"""

import re
import threading
import time
from collections.abc import Callable
from typing import TextIO

# Seconds between two states of a bar; the last state is always written.
EVERY = 10.0
# Cursor movements, by which several bars share a terminal.
_CURSOR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_PIECE = re.compile(r"\r?\n|\r|[^\r\n]+")


class LineWriter:
    """A standard stream that writes to a text file; an overwritten line is written every `every` seconds."""

    def __init__(self, file: TextIO, every: float = EVERY, clock: Callable[[], float] = time.monotonic):
        self.file, self.every, self.clock = file, every, clock
        self.line, self.is_state = "", False  # the current line; whether it is a bar's state
        self.last, self.lock = clock(), threading.Lock()

    def write(self, text: str) -> int:
        with self.lock:
            self._write(text)
        return len(text)

    def _write(self, text: str) -> None:
        for piece in _PIECE.findall(_CURSOR.sub("", text)):
            if piece == "\r":
                if self.line.strip() and not self.is_state:
                    self._put()
                self.line, self.is_state = "", True
            elif piece.endswith("\n"):
                if self.line.strip() or not self.is_state:
                    self._put()
                self.is_state = False
            else:
                if self.is_state and self.line:  # other text after a state
                    self._put()
                    self.is_state = False
                self.line += piece
        if self.is_state and self.line.strip() and self.clock() - self.last >= self.every:
            self._put()
            self.last = self.clock()

    def _put(self) -> None:
        self.file.write(f"{self.line.rstrip()}\n")
        self.line = ""

    def __enter__(self) -> "LineWriter":
        return self

    def __exit__(self, *_) -> None:
        if self.line.strip():
            self._put()

    def __getattr__(self, name: str):
        return getattr(self.file, name)
