"""The row store: what a model computed once is never computed again.

A folder of append-only Parquet parts outside Snakemake's care, one folder an
arm. A part appears whole (temporary name, sync, rename) or not at all; each
writer names its own parts, so concurrent jobs never touch one another's. A part
that cannot be read is reported and left out: its rows are computed again.

A row's key is the hash of everything that can change the row:

    arm       weights, adapter, quantisation, type (arms.fingerprint): base and tuned never alias
    token ids the rendered prompt as the model sees it: template, question and intervention are in it
    task      what is asked of it: decoding limits, options, reference, draft
    engine    version of the code that computes (local.ENGINE)

Not in the key: the device, batch and library versions, which change a row by
rounding only (the study's noise floor), and the question's id, because equal
prompts have equal answers.
"""

import hashlib
import json
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import polars as pl

from faithtune import parquet

# A value computed for a key, as JSON.
ROWS = pl.Schema({"key": pl.String, "value": pl.String})

FLUSH_SECONDS = 30.0


def row_key(arm: str, token_ids: list[int], task: dict, engine: str) -> str:
    """The key of a row: sha256 (hex) over all that can change it."""
    return hashlib.sha256(json.dumps([arm, token_ids, task, engine], sort_keys=True).encode()).hexdigest()


class RowStore:
    """The rows of one arm, in `folder`; every value is a JSON-able dict."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.rows: dict[str, dict] = {}
        self.pending: dict[str, dict] = {}
        self.written = time.monotonic()
        for part in sorted(self.folder.glob("part-*.parquet")):
            try:
                self.rows.update(_decode(pl.read_parquet(part)))
            except (OSError, pl.exceptions.PolarsError, ValueError) as error:
                print(f"row store: {part} is damaged and left out ({error})", file=sys.stderr)

    def put(self, key: str, value: dict) -> None:
        """Keep a row; it is on disk after FLUSH_SECONDS at most, if rows keep coming."""
        self.rows[key] = self.pending[key] = value
        if time.monotonic() - self.written >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the rows that are not on disk yet, as one new part."""
        if self.pending:
            frame = pl.DataFrame(
                {"key": list(self.pending), "value": [json.dumps(v) for v in self.pending.values()]}, schema=ROWS
            )
            parquet.write(frame, self.folder / f"part-{uuid.uuid4().hex}.parquet", ROWS)
        self.pending = {}
        self.written = time.monotonic()

    def through(self, keys: list[str], compute: Callable[[list[int]], Iterable[tuple[int, dict]]]) -> list[dict]:
        """The rows of `keys`, in order; those missing are asked of `compute` and kept.

        `compute` gets the indices of missing keys (each key once) and yields
        (index, value). What it yielded before an error stays in the store.
        """
        first = {key: i for i, key in reversed(list(enumerate(keys))) if key not in self.rows}
        print(f"{len(keys)} rows: {len(first)} to compute, the others kept", file=sys.stderr)
        try:
            for index, value in compute(sorted(first.values())):
                self.put(keys[index], value)
        finally:
            self.flush()
        return [self.rows[key] for key in keys]


def _decode(frame: pl.DataFrame) -> Iterator[tuple[str, dict]]:
    if frame.schema != ROWS:
        raise ValueError("other columns than a row store's")
    return ((key, json.loads(value)) for key, value in frame.iter_rows())
