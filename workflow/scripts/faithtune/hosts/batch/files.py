"""What goes into a batch: requests as lines of JSON, cut into files that a host accepts."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from faithtune.hosts.calls import Request
from faithtune.hosts.spend.ledger import Call


@dataclass(frozen=True)
class Limits:
    """The most that a host takes: by OpenAI's reference for a file, by its tiers for what is under way.

    enqueued_tokens: of all batches under way together, prompts only. The default is what OpenAI's first paying tier
    has for a small model; a host that has less refuses, and is then given half (batch_queue).
    """

    requests: int = 50_000
    bytes: int = 200_000_000
    enqueued_tokens: int = 2_000_000


@dataclass(frozen=True)
class Row:
    """A request, where it stands among those asked, and how large it is."""

    request: Request
    indices: list[int]
    n_bytes: int  # of its line
    call: Call  # as the ledger reserves it

    @property
    def n_tokens(self) -> int:
        """Of its prompt, rather too many."""
        return self.call.prompt_tokens


def url(endpoint: str) -> str:
    """The API's path of an endpoint of the configuration (chat | completions)."""
    return {"chat": "/v1/chat/completions", "completions": "/v1/completions"}[endpoint]


def line(request: Request, endpoint: str) -> bytes:
    """A request as a line of a batch's file."""
    value = {"custom_id": request.key, "method": "POST", "url": url(endpoint), "body": request.body}
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def chunked(rows: Iterable[Row], limits: Limits) -> Iterator[list[Row]]:
    """The rows in order, in chunks within the limits, each of one model; a row too large stands alone."""
    models: dict[str, list[Row]] = {}
    for row in rows:
        models.setdefault(row.request.body["model"], []).append(row)
    for same in models.values():
        chunk, n_bytes, n_tokens = [], 0, 0
        for row in same:
            n_bytes, n_tokens = n_bytes + row.n_bytes, n_tokens + row.n_tokens
            full = len(chunk) == limits.requests or n_bytes > limits.bytes or n_tokens > limits.enqueued_tokens
            if chunk and full:
                yield chunk
                chunk, n_bytes, n_tokens = [], row.n_bytes, row.n_tokens
            chunk.append(row)
        yield chunk


def content_hash(lines: Iterable[bytes]) -> str:
    """sha256 of a file's lines, 32 hex digits: what names it at the host."""
    digest = hashlib.sha256()
    for one in lines:
        digest.update(one)
    return digest.hexdigest()[:32]
