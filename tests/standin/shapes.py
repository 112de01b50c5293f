"""Refusals and lists, worded as the API words them."""

import time
from collections.abc import Callable

PAGE = 20
LONGEST_PAGE = 100


class Refusal(Exception):
    """The host refuses: HTTP status and error body."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        type: str = "invalid_request_error",
        headers: dict[str, str] | None = None,
    ):
        super().__init__(message)
        self.status, self.headers = status, headers or {}
        self.body = {"error": {"message": message, "type": type, "param": param, "code": code}}


def missing(what: str, name: str) -> Refusal:
    return Refusal(404, f"No such {what} object: {name}", param="id")


def need(condition: object, message: str, param: str | None = None, code: str | None = None) -> None:
    """Refuse with 400 unless `condition`."""
    if not condition:
        raise Refusal(400, message, param=param, code=code)


def listed(items: list[dict], query: dict[str, str]) -> dict:
    """A page of `items`: the newest first, `limit` of them, from below the id `after`."""
    newest = items[::-1]
    limit = int(query.get("limit", PAGE))
    need(1 <= limit <= LONGEST_PAGE, f"Invalid 'limit': must be 1 to {LONGEST_PAGE}, got {limit}.", "limit")
    if after := query.get("after"):
        ids = [item["id"] for item in newest]
        need(after in ids, f"Invalid 'after': no object {after}.", "after")
        newest = newest[ids.index(after) + 1 :]
    page = newest[:limit]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": len(newest) > limit,
    }


def among(chosen: list[str] | float, names: list[str], draw: Callable[[], float]) -> set[str]:
    """The names chosen: those given, or about the given share of all."""
    if isinstance(chosen, int | float):
        return {name for name in names if draw() < chosen}
    return set(chosen)


def now() -> int:
    return int(time.time())
