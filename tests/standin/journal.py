"""What the host was asked, how each call ended, and what it charged for."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatch


@dataclass
class Call:
    """One HTTP request."""

    number: int
    time: float  # seconds since 1970
    method: str
    path: str  # from /v1 on
    headers: dict[str, str]  # names in lower case, authorization as it came
    body: object  # JSON; an upload: the file's id, purpose, filename and bytes; None: nothing
    keys: list[str] = field(default_factory=list)  # the text asked; of a new batch its custom_ids
    status: int | None = None
    fault: str | None = None
    ended: str = "open"  # answered; dropped or cut by the host; left by the client
    seconds: float | None = None  # until it ended


@dataclass(frozen=True)
class Charge:
    """One completed piece of work, paid for whether or not the client ever saw it."""

    kind: str  # call, batch, tuning
    source: str  # id of the response, the batch or the job
    key: str  # the text asked; of a batch the custom_id; of a tuning its training file
    body: dict  # what was asked for
    model: str
    prompt_tokens: int
    completion_tokens: int


class Journal:
    """Of one host. Appending is atomic, and every query works on a copy: tests may ask while the host runs."""

    def __init__(self, calls: list[Call] | None = None, charges: list[Charge] | None = None):
        self.calls, self.charges = calls or [], charges or []

    def asks(self) -> Counter[str]:
        """How often each text was asked in a call, and each custom_id submitted in a batch, whatever came of it."""
        return Counter(key for call in list(self.calls) for key in call.keys)

    def asked(self, key: str) -> int:
        return self.asks()[key]

    def payments(self) -> Counter[str]:
        """How often each text or custom_id was charged for."""
        return Counter(charge.key for charge in list(self.charges))

    def paid(self, key: str | dict) -> int:
        """How often a text, a custom_id or a whole body was charged for."""
        return sum(key in (charge.key, charge.body) for charge in list(self.charges))

    def of(self, endpoint: str) -> list[Call]:
        """Calls of an endpoint: "POST /batches", "/files/*"."""
        return [call for call in list(self.calls) if matches(endpoint, call.method, call.path)]

    def most_at_once(self, endpoint: str = "*") -> int:
        """The most calls that were under way together."""
        changes = sorted(change for call in self.of(endpoint) for change in _changes(call))
        level = most = 0
        for _, change in changes:
            level += change
            most = max(most, level)
        return most

    def to_json(self) -> dict:
        return {"calls": list(map(asdict, list(self.calls))), "charges": list(map(asdict, list(self.charges)))}

    @classmethod
    def from_json(cls, found: dict) -> "Journal":
        return cls([Call(**call) for call in found["calls"]], [Charge(**charge) for charge in found["charges"]])


def matches(endpoint: str, method: str, path: str) -> bool:
    """Whether a request is one of `endpoint`: a path without /v1, with `*`, after a method or none."""
    *wanted, pattern = endpoint.split(" ")
    return wanted in ([], [method]) and fnmatch(path.removeprefix("/v1"), pattern)


def _changes(call: Call) -> Iterator[tuple[float, int]]:
    yield call.time, 1
    yield (time.time() if call.seconds is None else call.time + call.seconds), -1
