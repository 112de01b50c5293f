"""What every script does around its work: log, one-line errors, JSON files."""

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

# Nothing here is compiled, and importing PyTorch's compiler (bitsandbytes would) takes a job more than a second.
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
# What a job imports lives as long as the job. Python's usual thresholds would look through it for garbage again and
# again, and once more at the end: together 1.6 of the 5 seconds that a job with transformers takes to start and end.
_GARBAGE_THRESHOLDS = (100_000, 20, 100)


@contextlib.contextmanager
def logged(log: str, hub: bool = False) -> Iterator[None]:
    """Send what the block prints to the job's log; tell errors in one line on the terminal.

    A UserError or a full disk ends the job with its one line; anything else
    leaves its traceback in the log and names the log. The job ends with the Snakemake
    that started it (parent.py). hub: whether the block fetches
    from the hub; else its libraries, imported in the block, may not even ask it.
    """
    if not hub:
        os.environ["HF_HUB_OFFLINE"] = "1"  # heeded by transformers and datasets too
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
    except OSError as error:  # of the log: a full disk has no room for it either
        line = line or _line(error, log)
    finally:
        errors.terminal = None
        gc.freeze()
    print(f"faithtune: {line}", file=terminal)
    sys.exit(1)


def _line(error: Exception, log: str) -> str:
    """An error in one line."""
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
    """Read a small JSON file; None for no path (a base arm has no arm.json). A damaged one is set aside."""
    if not path:
        return None
    with damage.setting_aside(path):
        return load_json(path)


def load_json(path: str | Path) -> dict:
    """Read a small JSON file; DamagedError where it is none, UserError where it is not there."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: not read ({error.strerror}); {damage.MISSING}") from None
    except ValueError as error:
        raise DamagedError(f"{path}: not a readable JSON file ({error})") from None
