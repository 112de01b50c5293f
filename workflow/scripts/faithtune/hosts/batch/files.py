"""The files of a batch: requests as lines of JSON, in files that a host accepts, and its results.

Results come in any order, each a response or the reason why there is none. A line may come twice or not at all; a
line that cannot be read counts as missing.
"""

import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from openai.types import Batch

from faithtune.hosts import responses
from faithtune.hosts.calls import Request
from faithtune.hosts.spend.ledger import Call


@dataclass(frozen=True)
class Limits:
    """The most that a host takes: by OpenAI's reference for a file, by its tiers for what is under way.

    enqueued_tokens: of all batches under way together, prompts only. The default is what OpenAI's first paying tier
    has for a small model; a host that has less refuses, and is then given half (`submit.Queue`).
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


ENDS = ("completed", "expired", "failed", "cancelled")
FULL = "token_limit_exceeded"  # the error of a batch that the host's queue has no room for

# The host did not come to these: they cost nothing.
UNDONE = ("batch_expired", "batch_cancelled")
# HTTP states after which the same request may succeed; 0 and None are hosts' words for no answer at all.
_PASSING = (None, 0, 408, 409, 429)


@dataclass(frozen=True)
class Failure:
    """Why a row has no response."""

    said: str
    passing: bool  # it may succeed in another batch
    free: bool  # it certainly cost nothing


def results(data: bytes) -> Iterator[tuple[str, dict | Failure]]:
    """(custom_id, response or failure) of each line that can be read."""
    for text in io.BytesIO(data):
        try:
            line = json.loads(text)
            yield line["custom_id"], _result(line)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue


def is_whole(data: bytes) -> bool:
    """Whether the last line is not cut off."""
    try:
        json.loads(data.rstrip().rpartition(b"\n")[2] or b"{}")
    except ValueError:
        return False
    return True


def is_answer(result: dict | Failure) -> bool:
    return not isinstance(result, Failure) and responses.is_answer(result)


def failures(keys: list[str], batch: Batch | None, contents: list[bytes]) -> dict[str, Failure]:
    """The rows of an ended batch that have no answer, and why; None and no contents: it is gone from the host."""
    found: dict[str, Failure] = {}
    answered = set()
    for key, result in (one for data in contents for one in results(data)):
        if is_answer(result):
            answered.add(key)
        elif isinstance(result, Failure):
            found.setdefault(key, result)
        else:
            found[key] = Failure("a response without a text", passing=True, free=False)
    absent = [key for key in keys if key not in answered and key not in found]
    found |= dict.fromkeys(absent, _absence(batch, len(absent), len(answered)))
    return {key: found[key] for key in keys if key in found and key not in answered}


def n_done(batch: Batch) -> int:
    """Rows of a batch that the host has worked on."""
    return batch.request_counts.completed + batch.request_counts.failed if batch.request_counts else 0


def is_under_way(batch: Batch) -> bool:
    """Whether it takes room in the host's queue."""
    return batch.status not in (*ENDS, "validating")


def is_refused(batch: Batch | None) -> bool:
    """Whether the host's queue had no room for it."""
    return batch is not None and batch.status == "failed" and complaint(batch)[0] == FULL


def lacks_output(batch: Batch) -> bool:
    """Whether answers were made, by the host's counts, and no file of them is named."""
    return bool(batch.request_counts and batch.request_counts.completed and not batch.output_file_id)


def complaint(batch: Batch) -> tuple[str, str]:
    """Code and words of the first error of a failed batch."""
    errors = batch.errors.data if batch.errors and batch.errors.data else []
    if not errors:
        return "", "the host gives no reason"
    first, more = errors[0], len(errors) - 1
    where = f" (line {first.line} of its file)" if first.line else ""
    return first.code or "", f"{first.message}{where}" + (f" and {more} further errors" if more else "")


def _absence(batch: Batch | None, n_absent: int, n_answered: int) -> Failure:
    """Why rows of an ended batch have no line. By the host's counts, `lost` answers were made and not given."""
    if batch is None:
        return Failure("the host has its results no longer", passing=True, free=False)
    counts = batch.request_counts
    lost = counts.completed - n_answered if counts else None
    if batch.status == "failed":
        code, said = complaint(batch)
        return Failure(f"batch {batch.id} failed: {said}", passing=code == FULL, free=lost is None or lost <= 0)
    free = lost is not None and lost <= 0
    if batch.status == "completed" or (lost is not None and n_absent <= lost):
        said = f"batch {batch.id} has no line for it and may have been paid; another run asks anew"
        return Failure(said, passing=False, free=free)
    return Failure(f"batch {batch.id} is {batch.status}", passing=True, free=free)


def _result(line: dict) -> dict | Failure:
    response = line.get("response") or {}
    status, body = response.get("status_code"), response.get("body")
    if status == 200 and isinstance(body, dict):
        return body
    error = line.get("error") or (body.get("error") if isinstance(body, dict) else None) or {}
    error = error if isinstance(error, dict) else {"message": str(error)}
    code = error.get("code")
    if status == 400 and code == responses.FILTERED:
        return responses.DECLINED
    passing = (status in _PASSING or status >= 500) and code != "insufficient_quota"
    said = f"{error.get('message') or code or 'no reason given'} (status {status})"
    return Failure(said, passing or code in UNDONE, code in UNDONE or (status or 0) >= 400)
