"""Progress bars that read well in a file: lines, not one line written over and over.

Bars of tqdm, and of the libraries that use it, overwrite their line on a terminal by a carriage return. In a log each
state would stand behind the one before, in a line of thousands of characters.
"""

import re
import threading
import time
from collections.abc import Callable
from typing import TextIO

# Seconds between two states of a bar; its last is always written.
EVERY = 10.0
# Moves of the cursor, with which several bars share a terminal.
_CURSOR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_PIECE = re.compile(r"\r?\n|\r|[^\r\n]+")


class LineWriter:
    """A text file as a standard stream: of what is overwritten in it a state every `every` seconds, a line each."""

    def __init__(self, file: TextIO, every: float = EVERY, clock: Callable[[], float] = time.monotonic):
        self.file, self.every, self.clock = file, every, clock
        self.line, self.is_state = "", False  # not ended yet; whether it may be overwritten
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
                if self.is_state and self.line:  # somebody else's text, behind a state
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
