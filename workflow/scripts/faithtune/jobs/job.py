"""Shared by all scripts: log, one-line errors, JSON files."""

import contextlib
import gc
import json
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from faithtune.core import damage, errors, parquet
from faithtune.core.damage import DamagedError
from faithtune.core.errors import UserError
from faithtune.jobs import parent, progress

# Nothing is compiled here. Importing PyTorch's compiler, as bitsandbytes would, takes more than a second.
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
# Imported modules live as long as the job. With Python's default thresholds the collector would search them for garbage
# again and again, and once more at exit: 1.6 of the 5 seconds that a job with transformers takes to start and end.
_GARBAGE_THRESHOLDS = (100_000, 20, 100)


@contextlib.contextmanager
def logged(log: str, hub: bool = False) -> Iterator[None]:
    """Send the block's output to the job's log; print an error in one line on the terminal.

    A UserError or a full disk ends the job with its line. Any other error also leaves a traceback in the log, and its
    line names the log. The job ends when the Snakemake that started it ends (`parent`). hub: whether the block
    downloads from the hub; if not, libraries, which must be imported in the block, make no request to it.
    """
    if not hub:
        os.environ["HF_HUB_OFFLINE"] = "1"  # obeyed by transformers and datasets too
    terminal = errors.terminal = sys.stderr
    gc.set_threshold(*_GARBAGE_THRESHOLDS)
    parent.end_with_parent()
    line = None
    try:
        with (
            open(log, "w", buffering=1, encoding="utf-8", errors="backslashreplace") as opened,
            progress.LineWriter(opened) as file,
            contextlib.redirect_stderr(file),
            contextlib.redirect_stdout(file),
        ):
            try:
                yield
                return
            except Exception as error:
                line = _line(error, log)
                print(f"error: {line}", file=file)
                if not (isinstance(error, UserError) or errors.is_full_disk(error)):
                    traceback.print_exc(file=file)
    except OSError as error:  # writing the log failed, as on a full disk
        line = line or _line(error, log)
    finally:
        errors.terminal = None
        gc.freeze()
    print(f"faithtune: {line}", file=terminal)
    sys.exit(1)


def _line(error: Exception, log: str) -> str:
    """The line for an error."""
    if errors.is_full_disk(error):
        return errors.full_disk_message()
    if isinstance(error, UserError):
        return str(error)
    return f"{type(error).__name__}: {error}".splitlines()[0] + f" (see {log})"


def write_json(value: dict, path: str | Path) -> None:
    """Write a small JSON file atomically."""
    with parquet.atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def read_json(path: str | Path | None) -> dict | None:
    """Read a small JSON file, and set it aside if it is damaged; None without a path (base has no arm.json)."""
    if not path:
        return None
    with damage.setting_aside(path):
        return load_json(path)


def load_json(path: str | Path) -> dict:
    """Read a small JSON file; DamagedError if it is not JSON, UserError if it cannot be read."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: not read ({error.strerror}); {damage.MISSING}") from None
    except ValueError as error:
        raise DamagedError(f"{path}: not a readable JSON file ({error})") from None
