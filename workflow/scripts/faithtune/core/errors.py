"""The one exception a user may see: bad input, told in one line."""

import contextlib
import errno
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

# Where a user looks while a job's own output goes to its log (`job.logged`).
terminal: TextIO | None = None


def short_repr(value: object, most: int = 100) -> str:
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


class HostStopped(UserError):
    """No further call of a host can be made; the responses so far are kept."""


def warn(line: str) -> None:
    """Tell the user what is no error yet: in the log and on the terminal."""
    print(f"warning: {line}", file=sys.stderr)
    if terminal is not None:
        print(f"faithtune: warning: {line}", file=terminal)


# How libraries say it that hide the system's error (those written in Rust, SQLite, PyTorch), and whose exceptions those
# are. A host may say the same of its own disk: its words come in other exceptions.
_FULL = re.compile(
    r"\(os error 28\)|^database or disk is full$|inline_container\.cc:\d+\] \. unexpected pos"
    r"|^basic_ios::clear: iostream error$"
)
_LIBRARIES = ("builtins", "polars", "safetensors", "sqlite3")


def is_full_disk(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, is that a disk is full (or a quota used up)."""
    while error is not None:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            return True
        if type(error).__module__.partition(".")[0] in _LIBRARIES and _FULL.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def full_disk_message() -> str:
    """The line for a full disk: the study's, or that of temporary files."""
    folders = [Path.cwd()]
    with contextlib.suppress(OSError):  # found by writing to it
        folders.append(Path(tempfile.gettempdir()))
    folder = min(folders, key=lambda folder: shutil.disk_usage(folder).free)
    return f"no space left on the disk of {folder}; what was finished is kept: make room and run again"


@contextlib.contextmanager
def prefix_errors(where: str) -> Iterator[None]:
    """Name the place that a UserError of the block comes from."""
    try:
        yield
    except UserError as error:
        raise type(error)(f"{where}: {error}") from None
