"""A dry run of a hosted arm: its calls are counted and priced, not made, and its answers are assumed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from faithtune.arms.cached_arm import CachedArm
from faithtune.arms.row_store import MemoryStore
from faithtune.hosts import billing
from faithtune.hosts.api import ApiModel
from faithtune.hosts.calls import Request
from faithtune.hosts.host import Host
from faithtune.hosts.spend import prices


@dataclass(frozen=True)
class HostedArm:
    """An arm at a host, as far as it is known before a call."""

    host: Host  # its client is not used
    price: prices.Price | None
    batch: bool
    tokenizer: object | None  # as in ApiModel
    count: Callable[[str], int]  # tokens of a text
    most: Callable[[str], int]  # an upper bound, for reservations (`session.token_upper_bound`)
    templates: dict[str, str]  # all templates of the study
    identity: str  # `session.identity`, part of row keys


class DryRunArm(CachedArm):
    """A CachedArm for one stage of a hosted arm, without a host; it writes nothing.

    stored: the rows in the row store, by key: no call is left for them.
    reply: the assumed text of a row, by its key; length: its number of tokens, if a better estimate is known.
    """

    def __init__(
        self, hosted: HostedArm, stored: dict[str, dict], reply: Callable[[str], str], length: float | None = None
    ):
        model = ApiModel(hosted.host, self._send, hosted.tokenizer, hosted.templates)
        super().__init__(model, _AssumedRows(stored), hosted.identity)
        self.hosted, self.stored, self.reply, self.length = hosted, stored, reply, length
        self.n = self.n_left = self.prompt = 0
        self.completion = 0.0
        self.usd, self.usd_left, self.usd_left_most = ([] for _ in range(3))
        labels = {"arm": "", "eval_set": None, "stage": ""}
        self.meters = [
            billing.Meter(hosted.host, None, hosted.price, count_tokens=count, **labels)
            for count in (hosted.count, hosted.most)
        ]

    def _send(self, requests: list[Request]) -> Iterator[tuple[int, dict]]:
        """Count the requests and yield assumed responses."""
        batch, price = self.hosted.batch, self.hosted.price
        for i, request in enumerate(requests):
            call, most = (meter.reservation(request, batch) for meter in self.meters)
            text = self.reply(request.key)
            written = min(self._written(request.key, text), call.completion_tokens)
            usd = prices.cost(price, call.prompt_tokens, written, batch=batch)
            self.n += 1
            self.prompt += call.prompt_tokens
            self.completion += written
            self.usd.append(usd)
            if request.key not in self.stored:
                self.n_left += 1
                self.usd_left.append(usd)
                self.usd_left_most.append(most.usd)
            yield i, {"choices": [{"text": text, "finish_reason": "stop"}]}

    def _written(self, key: str, text: str) -> float:
        """Completion tokens of a row."""
        row = self.stored.get(key)
        if row is None:
            return self.hosted.count(text) if self.length is None else self.length
        if row.get("n_tokens") is not None:
            return row["n_tokens"]
        return self.hosted.count(row["text"]) if row["text"] else 1  # the first token's probabilities

    def row(self, run: dict, stage: str, assumed: bool, at_most: "DryRunArm | None" = None) -> dict:
        """The stage's row of FORECAST; at_most: the same stage in the most expensive case."""
        return {
            "model": self.hosted.host.name,
            "arm": run["arm"],
            "eval_set": run["eval_set"],
            "stage": stage,
            "host_model": self.hosted.host.model,
            "batch": self.hosted.batch,
            "calls": self.n,
            "prompt_tokens": self.prompt,
            "completion_tokens": round(self.completion),
            "usd": _sum(self.usd),
            "calls_left": self.n_left,
            "usd_left": _sum(self.usd_left),
            "usd_left_most": _sum((at_most or self).usd_left_most),
            "assumed": assumed,
        }


class _AssumedRows(MemoryStore):
    """Rows of a dry run. Stored rows are computed again, so that their calls are counted, but keep their values."""

    def __init__(self, stored: dict[str, dict]):
        super().__init__()
        self.stored = stored

    def put(self, key: str, value: dict) -> None:
        self.rows[key] = self.stored.get(key, value)


def _sum(usd: list[float | None]) -> float | None:
    return None if None in usd else sum(usd)
