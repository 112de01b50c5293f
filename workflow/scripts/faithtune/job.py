"""What every script does around its work: log, one-line errors, JSON files."""

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from faithtune import errors, parquet
from faithtune.errors import UserError

# Nothing here is compiled, and importing PyTorch's compiler (bitsandbytes would) takes a job more than a second.
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")


@contextlib.contextmanager
def logged(log: str, hub: bool = False) -> Iterator[None]:
    """Send what the block prints to the job's log; tell errors in one line on the terminal.

    A UserError ends the job with its one line; anything else leaves its
    traceback in the log and names the log. hub: whether the block fetches from
    the hub; else its libraries, imported in the block, may not even ask it.
    """
    if not hub:
        os.environ["HF_HUB_OFFLINE"] = "1"  # heeded by transformers and datasets too
    terminal = errors.terminal = sys.stderr
    with open(log, "w", buffering=1, encoding="utf-8", errors="backslashreplace") as file:
        with contextlib.redirect_stderr(file), contextlib.redirect_stdout(file):
            try:
                yield
                return
            except UserError as error:
                line = str(error)
                print(f"error: {line}", file=file)
            except Exception as error:
                traceback.print_exc(file=file)
                line = f"{type(error).__name__}: {error}".splitlines()[0] + f" (see {log})"
        print(f"faithtune: {line}", file=terminal)
        sys.exit(1)


def write_json(value: dict, path: str | Path) -> None:
    """Write a small JSON file atomically."""
    with parquet.atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def read_json(path: str | Path | None) -> dict | None:
    """Read a small JSON file; None for no path (a base arm has no arm.json)."""
    return json.loads(Path(path).read_text(encoding="utf-8")) if path else None
