"""Errors and warnings for the user, each in one line."""

import contextlib
import errno
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

# The user's terminal, while a job's output goes to its log (`job.logged`).
terminal: TextIO | None = None


def short_repr(value: object, most: int = 100) -> str:
    """The repr of a value, cut to `most` characters, for messages."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # contains itself; has thousands of digits
        text = f"a huge {type(value).__name__}"
    return text if len(text) <= most else f"{text[: most - 4]} ..."


class UserError(Exception):
    """Something in the configuration or a file is wrong.

    The message is one line that names the key or file and says what would be right. Scripts print it without a
    traceback (`job.logged`).
    """

    def __init__(self, message: str):
        super().__init__(" ".join(str(message).split()))


class HostStopped(UserError):
    """No further call of a host can be made; the responses so far are kept."""


def warn(line: str) -> None:
    """Print a warning to the log and to the terminal."""
    print(f"warning: {line}", file=sys.stderr)
    if terminal is not None:
        print(f"faithtune: warning: {line}", file=terminal)


# Messages for a full disk from libraries that hide the system's error (Rust libraries, SQLite, PyTorch), and the
# modules of their exceptions. A host's message about its own disk comes in other exceptions.
_FULL = re.compile(
    r"\(os error 28\)|^database or disk is full$|inline_container\.cc:\d+\] \. unexpected pos"
    r"|^basic_ios::clear: iostream error$"
)
_LIBRARIES = ("builtins", "polars", "safetensors", "sqlite3")


def is_full_disk(error: BaseException | None) -> bool:
    """Whether an error, or one that caused it, means that a disk is full or a quota is used up."""
    while error is not None:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            return True
        if type(error).__module__.partition(".")[0] in _LIBRARIES and _FULL.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def full_disk_message() -> str:
    """The error line for a full disk: the study's disk or the one for temporary files, whichever has less space."""
    folders = [Path.cwd()]
    with contextlib.suppress(OSError):  # Python writes to it to find it
        folders.append(Path(tempfile.gettempdir()))
    folder = min(folders, key=lambda folder: shutil.disk_usage(folder).free)
    return f"no space left on the disk of {folder}; finished results are kept: free some space and run again"


@contextlib.contextmanager
def prefix_errors(where: str) -> Iterator[None]:
    """Prefix each UserError of the block with the place that it comes from."""
    try:
        yield
    except UserError as error:
        raise type(error)(f"{where}: {error}") from None
