"""The one exception a user may see: bad input, told in one line."""

import contextlib
import sys
from collections.abc import Iterator
from typing import TextIO

# Where a user looks while a job's own output goes to its log (`job.logged`).
terminal: TextIO | None = None


def shown(value: object, most: int = 100) -> str:
    """A value as a message quotes it: its repr, cut where it is long."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested in itself; a number of thousands of digits
        text = f"a huge {type(value).__name__}"
    return text if len(text) <= most else f"{text[: most - 4]} ..."


class UserError(Exception):
    """Something in the configuration or a file is wrong.

    The message is one line that names the key or file and says what would be
    right. Scripts print it without a traceback (see `job.logged`).
    """

    def __init__(self, message: str):
        super().__init__(" ".join(str(message).split()))


class StopError(UserError):
    """Nothing more can be asked of a host; what has arrived is kept."""


def warn(line: str) -> None:
    """Tell the user what is no error yet: in the log and on the terminal."""
    print(f"warning: {line}", file=sys.stderr)
    if terminal is not None:
        print(f"faithtune: warning: {line}", file=terminal)


@contextlib.contextmanager
def telling(where: str) -> Iterator[None]:
    """Name the place that a UserError of the block comes from."""
    try:
        yield
    except UserError as error:
        raise type(error)(f"{where}: {error}") from None
