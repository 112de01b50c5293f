"""What goes wrong on demand: the next calls of an endpoint, or a seeded share of them."""

import random
from collections import Counter
from dataclasses import dataclass

from standin.journal import matches
from standin.shapes import Refusal
from standin.wire import Request, Response

WORDS = {
    429: ("Rate limit reached for requests. Please try again later.", "rate_limit_exceeded", "requests"),
    500: ("The server had an error while processing your request. Sorry about that!", None, "server_error"),
    503: ("The engine is currently overloaded, please try again later.", None, "service_unavailable"),
}
BEFORE = ("status", "key", "dropped_before")  # instead of the work
AFTER = ("dropped_after", "silent", "slow", "garbled", "cut")  # the work is done, and charged for


@dataclass(frozen=True)
class Fault:
    """One call's mishap.

    status          refused with `status`, `code`, `message` and a retry-after
    key             refused with 401 and a message that quotes the whole key
    dropped_before  the connection is closed, nothing was done
    dropped_after   the connection is closed, the work was done
    silent          nothing comes for `seconds`
    slow            the body drips over `seconds`
    garbled         only the first half comes, and nothing in HTTP tells: malformed JSON, a stream without its end
    cut             the connection is closed amid the body
    """

    kind: str
    status: int = 500
    retry_after: float | None = None  # seconds, any number of them
    retry_after_ms: float | None = None
    code: str | None = None  # such as insufficient_quota
    message: str | None = None
    seconds: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in BEFORE + AFTER:
            raise ValueError(f"no fault {self.kind}")

    def strike(self, key: str) -> Response | None:
        """Before the work: refuse, or a reply that never comes. None: the work is to be done."""
        if self.kind == "status":
            raise self._refusal()
        if self.kind == "key":
            raise Refusal(401, f"Incorrect API key provided: {key}.", code="invalid_api_key")
        return Response(500, dropped=True) if self.kind == "dropped_before" else None

    def spoil(self, response: Response) -> None:
        """After the work: spoil its reply."""
        match self.kind:
            case "dropped_after":
                response.dropped = True
            case "silent":
                response.wait += self.seconds
            case "slow":
                response.drip = self.seconds
            case "garbled":
                response.halve()
            case "cut":
                response.cut = True

    def _refusal(self) -> Refusal:
        message, code, kind = WORDS.get(self.status, (f"Refused with {self.status}.", None, "invalid_request_error"))
        waits = {"retry-after": self.retry_after, "retry-after-ms": self.retry_after_ms}
        headers = {name: f"{value:g}" for name, value in waits.items() if value is not None}
        kind = self.code or kind if self.status == 429 else kind  # as insufficient_quota is both
        return Refusal(self.status, self.message or message, code=self.code or code, type=kind, headers=headers)


class Faults:
    """Not thread-safe: the host asks under its lock."""

    def __init__(self) -> None:
        self.scripts: list[tuple[str, list[Fault]]] = []
        self.shares: list[tuple[str, float, list[Fault], int]] = []
        self.seen: Counter[bytes] = Counter()

    def pick(self, request: Request) -> Fault | None:
        """The fault this request meets: a scripted one, else by chance.

        Chance depends on the body and on how often it came, not on the order of arrival: calls at once meet
        the same faults in every run.
        """
        for endpoint, faults in self.scripts:
            if faults and matches(endpoint, request.method, request.path):
                return faults.pop(0)
        mark = f"{request.method} {request.path} ".encode() + request.body
        for endpoint, rate, faults, seed in self.shares:
            if matches(endpoint, request.method, request.path):
                self.seen[mark] += 1
                chance = random.Random(b"%d %d " % (seed, self.seen[mark]) + mark)
                if chance.random() < rate:
                    return chance.choice(faults)
        return None
