"""What a host is asked about batches. Before anything is made there, it is looked for, as an answer may be lost."""

import contextlib
from collections.abc import Callable
from typing import TypeVar

import openai
from openai.types import Batch

from faithtune import batch_chunks, batch_results, calls
from faithtune.calls import Garbled, Gate
from faithtune.host import Host

_MARK = "faithtune_chunk"  # in a batch's metadata
_PAGE = 100
Made = TypeVar("Made")


class Desk:
    """Where batches are handed in and out. All methods raise openai's errors, and Garbled, if these last."""

    def __init__(self, host: Host, gate: Gate):
        self.host, self.gate = host, gate

    def uploaded(self, chunk: str, data: bytes) -> str:
        """Id of the chunk's file, put there unless it is."""
        name, files = f"{_MARK}-{chunk}.jsonl", self.host.client.files

        def upload() -> str:
            there = (file for file in files.list(purpose="batch", limit=_PAGE) if file.filename == name)
            return (next(there, None) or files.create(file=(name, data), purpose="batch")).id

        return self._asked(upload)

    def created(self, chunk: str, file: str) -> str:
        """Id of the chunk's batch, created unless it is there."""
        asked = {"endpoint": batch_chunks.url(self.host.endpoint), "completion_window": "24h"}

        def create() -> str:
            batch = self._batch_of(chunk)
            batches = self.host.client.batches
            return (batch or batches.create(input_file_id=file, metadata={_MARK: chunk}, **asked)).id

        return self._asked(create)

    def found(self, chunk: str) -> str | None:
        """Id of the chunk's batch, if it was created."""
        batch = self._asked(lambda: self._batch_of(chunk))
        return batch and batch.id

    def batch(self, name: str) -> Batch:
        return self._asked(lambda: self.host.client.batches.retrieve(name))

    def content(self, file: str) -> bytes:
        """A file of results, whole."""

        def download() -> bytes:
            files = self.host.client.files
            data, n_bytes = files.content(file).content, None
            with contextlib.suppress(openai.NotFoundError):  # its content was there
                n_bytes = files.retrieve(file).bytes
            if len(data) < (n_bytes or 0) or not batch_results.is_whole(data):
                raise Garbled(f"{len(data)} bytes of {n_bytes or 'more'} of a batch's results")
            return data

        return self._asked(download)

    def _batch_of(self, chunk: str) -> Batch | None:
        batches = self.host.client.batches.list(limit=_PAGE)
        return next((batch for batch in batches if (batch.metadata or {}).get(_MARK) == chunk), None)

    def _asked(self, call: Callable[[], Made]) -> Made:
        def once() -> Made:
            self.gate.wait()
            try:
                return call()
            except ValueError as error:  # no JSON
                raise Garbled(type(error).__name__) from None

        return calls.again(once, self.gate, self.gate.sleep)
