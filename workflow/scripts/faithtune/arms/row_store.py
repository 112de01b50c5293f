"""The row store: what a model computed once is never computed again.

A job has a folder of append-only Parquet parts (`folders`), which Snakemake does not know. A part appears whole
(temporary name, sync, rename) or not at all. Each writer names its own parts, so jobs that run at the same time never
touch each other's. A part that cannot be read, or whose checksums are wrong, is reported and left out, and its rows are
computed again.

A row's key is the hash of everything that can change the row:

    arm       weights, adapter, quantisation, type (`identity.fingerprint`): base and tuned never alias
    prompt    the token ids of the rendered prompt, or its text where a host makes the tokens: template, question and
              intervention are in it
    task      what is asked: decoding limits, options, reference, and the question of options in another order
    engine    version of the code that computes (`Model.engine`)

Not in the key: the device, batch and library versions, which change a row by rounding only (the study's noise floor);
the question's id, because equal prompts have equal answers; drafts, which change speed only.
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

# A row: its key, and its value as JSON.
ROWS = pl.Schema({"key": pl.String, "value": pl.String})

FLUSH_SECONDS = 30.0


def row_key(arm: str, prompt: list[int] | str, task: dict, engine: str) -> str:
    """The key of a row: sha256 (hex) of everything that can change it; prompt: what `Model.prompt_key` returns."""
    return hashlib.sha256(json.dumps([arm, prompt, task, engine], sort_keys=True).encode()).hexdigest()


class MemoryStore:
    """Rows by key, as long as the process lives; every value is a JSON-able dict."""

    def __init__(self):
        self.rows: dict[str, dict] = {}
        self.asked = self.computed = 0

    def put(self, key: str, value: dict) -> None:
        """Add a row."""
        self.rows[key] = value

    def commit(self) -> None:
        """Rows computed together are complete: they may be written."""

    def get_or_compute(self, keys: list[str], compute: Callable[[list[int]], Iterable[tuple[int, dict]]]) -> list[dict]:
        """The rows of `keys`, in order; `compute` makes the missing ones.

        `compute` gets the indices of the missing keys (each key once) and yields (index, value). What it yields before
        an error stays in the store.
        """
        first = {key: i for i, key in reversed(list(enumerate(keys))) if key not in self.rows}
        for index, value in compute(sorted(first.values())):
            self.put(keys[index], value)
        self.asked += len(keys)
        self.computed += len(first)
        return [self.rows[key] for key in keys]


class RowStore(MemoryStore):
    """The rows of one arm, in `folder`.

    Used as a context: when it is left, for whatever reason, all committed rows are on disk.
    on_disk: called with the keys of rows once they are on disk; siblings: further folders whose rows are read.
    together: rows computed in one batch depend on each other in their last digits, so they are written only when the
        whole batch is done (`commit`). An error loses the open batch, which is then computed again as a whole, with the
        same digits.
    """

    def __init__(
        self,
        folder: str | Path,
        on_disk: Callable[[Iterable[str]], None] | None = None,
        siblings: Iterable[Path] = (),
        together: bool = False,
    ):
        super().__init__()
        self.together = together
        self.folder, self.on_disk = Path(folder), on_disk or (lambda keys: None)
        self.open: dict[str, dict] = {}  # not committed yet
        self.pending: dict[str, dict] = {}  # committed, and not on disk yet
        self.lock = threading.Lock()
        self.timer: threading.Timer | None = None
        self.rows = load_rows(*siblings, self.folder)
        self.on_disk(self.rows)

    def __enter__(self) -> "RowStore":
        return self

    def __exit__(self, error: type | None, *_) -> None:
        if error is None:
            self.commit()
        self.flush()
        print(f"row store: {self.asked} rows, {self.computed} computed, the others kept", file=sys.stderr)

    def put(self, key: str, value: dict) -> None:
        """Add a row; FLUSH_SECONDS after it is committed, at the latest, it is on disk."""
        with self.lock:
            self.rows[key] = self.open[key] = value
        if not self.together:
            self.commit()

    def commit(self) -> None:
        """Rows computed together are complete: they may be written."""
        with self.lock:
            self.pending |= self.open
            self.open = {}
            if self.pending and self.timer is None:
                self.timer = threading.Timer(FLUSH_SECONDS, self._flush_in_time)
                self.timer.daemon = True
                self.timer.start()

    def flush(self) -> None:
        """Write the committed rows that are not on disk yet, as one new part."""
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
        with contextlib.suppress(OSError):  # a full disk: the rows wait for the next flush, which raises
            self.flush()


def load_rows(*folders: str | Path) -> dict[str, dict]:
    """The rows in these folders, by key. Nothing in the folders changes; others may be writing there."""
    rows = {}
    for part in [part for folder in folders for part in sorted(Path(folder).glob("part-*.parquet"))]:
        try:
            rows |= {key: json.loads(value) for key, value in parquet.load(part, ROWS).iter_rows()}
        except (UserError, ValueError) as error:
            print(f"row store: left out, its rows are computed again: {error}", file=sys.stderr)
    return rows
