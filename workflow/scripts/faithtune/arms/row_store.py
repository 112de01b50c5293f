"""The row store: what a model computed once is never computed again.

A folder of append-only Parquet parts outside Snakemake's care, one folder a
job (arms.shelf). A part appears whole (temporary name, sync, rename) or not at all; each
writer names its own parts, so concurrent jobs never touch one another's. A part
that cannot be read, or whose checksums are wrong, is reported and left out: its
rows are computed again.

A row's key is the hash of everything that can change the row:

    arm       weights, adapter, quantisation, type (arms.fingerprint): base and tuned never alias
    prompt    the rendered prompt as the model sees it, its token ids: template, question and intervention are in it;
              its text where a host makes the tokens
    task      what is asked of it: decoding limits, options, reference; of options in another order, whose they are
    engine    version of the code that computes (Model.engine)

Not in the key: the device, batch and library versions, which change a row by
rounding only (the study's noise floor), the question's id, because equal prompts
have equal answers, and drafts, which change speed only.
"""

import contextlib
import hashlib
import json
import sys
import threading
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path

import polars as pl

from faithtune.core import parquet
from faithtune.core.errors import UserError

# A value computed for a key, as JSON.
ROWS = pl.Schema({"key": pl.String, "value": pl.String})

FLUSH_SECONDS = 30.0


def row_key(arm: str, prompt: list[int] | str, task: dict, engine: str) -> str:
    """The key of a row: sha256 (hex) over all that can change it; prompt: as `Model.prompt_key` has it."""
    return hashlib.sha256(json.dumps([arm, prompt, task, engine], sort_keys=True).encode()).hexdigest()


class RowStore:
    """The rows of one arm, in `folder`; every value is a JSON-able dict.

    Used as a context: on leaving it, whatever the reason, all rows are on disk.
    on_disk: is told the keys of rows as soon as they are there; others: further folders whose rows are known.
    together: the last digits of a row depend on what is computed beside it. Then `settle` says when all of that is
        done, and an error loses what is not settled: so it is kept whole, or computed again whole with the same digits.
    """

    def __init__(
        self,
        folder: str | Path,
        on_disk: Callable[[Iterable[str]], None] | None = None,
        others: Iterable[Path] = (),
        together: bool = False,
    ):
        self.together = together
        self.folder, self.on_disk = Path(folder), on_disk or (lambda keys: None)
        self.open: dict[str, dict] = {}  # not settled yet
        self.pending: dict[str, dict] = {}  # settled, and not on disk yet
        self.lock = threading.Lock()
        self.timer: threading.Timer | None = None
        self.asked = self.computed = 0
        self.rows = kept(*others, self.folder)
        self.on_disk(self.rows)

    def __enter__(self) -> "RowStore":
        return self

    def __exit__(self, error: type | None, *_) -> None:
        if error is None:
            self.settle()
        self.flush()
        print(f"row store: {self.asked} rows, {self.computed} computed, the others kept", file=sys.stderr)

    def put(self, key: str, value: dict) -> None:
        """Keep a row; once settled it is in a part after FLUSH_SECONDS at most."""
        with self.lock:
            self.rows[key] = self.open[key] = value
        if not self.together:
            self.settle()

    def settle(self) -> None:
        """What is computed together has been computed."""
        with self.lock:
            self.pending |= self.open
            self.open = {}
            if self.pending and self.timer is None:
                self.timer = threading.Timer(FLUSH_SECONDS, self._flush_in_time)
                self.timer.daemon = True
                self.timer.start()

    def flush(self) -> None:
        """Write the settled rows that are not on disk yet, as one new part."""
        with self.lock:
            if self.timer is not None:
                self.timer.cancel()
                self.timer = None
            if self.pending:
                values = [json.dumps(value) for value in self.pending.values()]
                frame = pl.DataFrame({"key": list(self.pending), "value": values}, schema=ROWS)
                parquet.write(frame, self.folder / f"part-{uuid.uuid4().hex}.parquet", ROWS)
                self.on_disk(self.pending)
            self.pending = {}

    def _flush_in_time(self) -> None:
        with contextlib.suppress(OSError):  # a full disk: the rows wait for the next time, which tells
            self.flush()

    def through(self, keys: list[str], compute: Callable[[list[int]], Iterable[tuple[int, dict]]]) -> list[dict]:
        """The rows of `keys`, in order; those missing are asked of `compute` and kept.

        `compute` gets the indices of missing keys (each key once) and yields
        (index, value). What it yielded before an error stays in the store.
        """
        first = {key: i for i, key in reversed(list(enumerate(keys))) if key not in self.rows}
        for index, value in compute(sorted(first.values())):
            self.put(keys[index], value)
        self.asked += len(keys)
        self.computed += len(first)
        return [self.rows[key] for key in keys]


def kept(*folders: str | Path) -> dict[str, dict]:
    """The rows of an arm that are there, by key; nothing in the folders changes, whoever is writing there."""
    rows = {}
    for part in [part for folder in folders for part in sorted(Path(folder).glob("part-*.parquet"))]:
        try:
            rows |= {key: json.loads(value) for key, value in parquet.load(part, ROWS).iter_rows()}
        except (UserError, ValueError) as error:
            print(f"row store: left out, its rows are computed again: {error}", file=sys.stderr)
    return rows
