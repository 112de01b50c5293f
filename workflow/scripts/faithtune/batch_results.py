"""What comes out of a batch: lines of JSON in any order, each a response or why there is none."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass

from faithtune.calls import Garbled

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
    """(custom_id, response or failure) of each line. Raises Garbled for lines that are no results."""
    for text in io.BytesIO(data):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
            yield line["custom_id"], _result(line)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Garbled("a line of a batch that is no result") from None


def _result(line: dict) -> dict | Failure:
    response = line.get("response") or {}
    status, body = response.get("status_code"), response.get("body")
    if status == 200 and isinstance(body, dict):
        return body
    error = line.get("error") or (body.get("error") if isinstance(body, dict) else None) or {}
    error = error if isinstance(error, dict) else {"message": str(error)}
    code = error.get("code")
    passing = (status in _PASSING or status >= 500) and code != "insufficient_quota"
    said = f"{error.get('message') or code or 'no reason given'} (status {status})"
    return Failure(said, passing or code in UNDONE, code in UNDONE or (status or 0) >= 400)
