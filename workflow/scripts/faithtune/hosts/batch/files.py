"""The files of a batch: requests as JSON lines, and results.

Results come in any order, each a response or an error. A line may be repeated or missing; an unreadable line counts
as missing.
"""

import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from openai.types import Batch

from faithtune.hosts import responses
from faithtune.hosts.calls import Request
from faithtune.hosts.spend.ledger import Reservation


@dataclass(frozen=True)
class Limits:
    """What a host accepts: in one file by OpenAI's reference, in its queue by the account's tier.

    enqueued_tokens: prompt tokens of all batches in progress. The default is OpenAI's first paying tier's limit for
    a small model.
    """

    requests: int = 50_000
    bytes: int = 200_000_000
    enqueued_tokens: int = 2_000_000


@dataclass(frozen=True)
class Row:
    """A request, its indices in the job's list, and its size."""

    request: Request
    indices: list[int]
    n_bytes: int  # of its line
    reservation: Reservation

    @property
    def n_tokens(self) -> int:
        """Prompt tokens, an upper bound."""
        return self.reservation.prompt_tokens


def url(endpoint: str) -> str:
    """The API's path of an endpoint of the configuration (chat | completions)."""
    return {"chat": "/v1/chat/completions", "completions": "/v1/completions"}[endpoint]


def line(request: Request, endpoint: str) -> bytes:
    """A request as a line of a batch's file."""
    value = {"custom_id": request.key, "method": "POST", "url": url(endpoint), "body": request.body}
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def chunked(rows: Iterable[Row], limits: Limits) -> Iterator[list[Row]]:
    """The rows in order, in chunks of one model within the limits; a row beyond a limit is a chunk of its own."""
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
    """sha256 of a file's lines, 32 hex digits: names the file at the host."""
    digest = hashlib.sha256()
    for text in lines:
        digest.update(text)
    return digest.hexdigest()[:32]


ENDS = ("completed", "expired", "failed", "cancelled")
FULL = "token_limit_exceeded"  # the error code of a batch for which the host's queue has no room

# Error codes of rows that the host did not process: they cost nothing.
UNDONE = ("batch_expired", "batch_cancelled")
# HTTP statuses after which a retry may succeed; 0 and None: some hosts' statuses for no response.
_TRANSIENT = (None, 0, 408, 409, 429)


@dataclass(frozen=True)
class Failure:
    """Why a row has no response."""

    message: str
    transient: bool  # another batch may succeed
    free: bool  # it certainly cost nothing


def results(data: bytes) -> Iterator[tuple[str, dict | Failure]]:
    """(custom_id, response or failure) of each readable line."""
    for text in io.BytesIO(data):
        try:
            line = json.loads(text)
            yield line["custom_id"], _result(line)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue


def is_whole(data: bytes) -> bool:
    """Whether the last line is complete."""
    try:
        json.loads(data.rstrip().rpartition(b"\n")[2] or b"{}")
    except ValueError:
        return False
    return True


def is_answer(result: dict | Failure) -> bool:
    return not isinstance(result, Failure) and responses.is_answer(result)


def failures(keys: list[str], batch: Batch | None, contents: list[bytes]) -> dict[str, Failure]:
    """The rows of an ended batch that have no answer, and why; None without contents: the host no longer has it."""
    found: dict[str, Failure] = {}
    answered = set()
    for key, result in (item for data in contents for item in results(data)):
        if is_answer(result):
            answered.add(key)
        elif isinstance(result, Failure):
            found.setdefault(key, result)
        else:
            found[key] = Failure("a response without a text", transient=True, free=False)
    absent = [key for key in keys if key not in answered and key not in found]
    found |= dict.fromkeys(absent, _absence(batch, len(absent), len(answered)))
    return {key: found[key] for key in keys if key in found and key not in answered}


def n_done(batch: Batch) -> int:
    """How many rows the host has processed."""
    return batch.request_counts.completed + batch.request_counts.failed if batch.request_counts else 0


def is_refused(batch: Batch | None) -> bool:
    """Whether the host's queue had no room for the batch."""
    return batch is not None and batch.status == "failed" and complaint(batch)[0] == FULL


def lacks_output(batch: Batch) -> bool:
    """Whether the host counts answers but names no output file."""
    return bool(batch.request_counts and batch.request_counts.completed and not batch.output_file_id)


def complaint(batch: Batch) -> tuple[str, str]:
    """Code and message of the first error of a failed batch."""
    errors = batch.errors.data if batch.errors and batch.errors.data else []
    if not errors:
        return "", "the host gives no reason"
    first, more = errors[0], len(errors) - 1
    where = f" (line {first.line} of its file)" if first.line else ""
    return first.code or "", f"{first.message}{where}" + (f" and {more} more errors" if more else "")


def _absence(batch: Batch | None, n_absent: int, n_answered: int) -> Failure:
    """Why rows of an ended batch have no line; `lost`: answers that the host counts but does not return."""
    if batch is None:
        return Failure("the host no longer has its results", transient=True, free=False)
    counts = batch.request_counts
    lost = counts.completed - n_answered if counts else None
    if batch.status == "failed":
        message = f"batch {batch.id} failed: {complaint(batch)[1]}"
        return Failure(message, transient=False, free=lost is None or lost <= 0)
    free = lost is not None and lost <= 0
    if batch.status == "completed" or (lost is not None and n_absent <= lost):
        message = f"batch {batch.id} has no line for it, but it may have been charged; another run requests it again"
        return Failure(message, transient=False, free=free)
    return Failure(f"batch {batch.id} is {batch.status}", transient=True, free=free)


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
    transient = (status in _TRANSIENT or status >= 500) and code != "insufficient_quota"
    message = f"{error.get('message') or code or 'no reason given'} (status {status})"
    return Failure(message, transient or code in UNDONE, code in UNDONE or (status or 0) >= 400)
