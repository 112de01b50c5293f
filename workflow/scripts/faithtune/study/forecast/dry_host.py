"""A stage asked at a host that is not there: what it would ask is counted, what would be answered is assumed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from faithtune.hosts import billing
from faithtune.hosts.api import ApiModel
from faithtune.hosts.calls import Request
from faithtune.hosts.host import Host
from faithtune.hosts.spend import prices


@dataclass(frozen=True)
class HostedArm:
    """An arm at a host, as far as it is known before it is asked."""

    host: Host  # its client is not used
    price: prices.Price | None
    batch: bool
    tokenizer: object | None  # as of ApiModel
    count: Callable[[str], int]  # tokens of a text
    most: Callable[[str], int]  # rather too many: what is reserved (`session.token_upper_bound`)
    templates: dict[str, str]  # all of the study
    identity: str  # `session.identity`, part of the rows' keys


class DryRunHost:
    """Where one stage of a party asks: its row store and its host, of which neither is there.

    kept: rows that need not be asked, by key; reply: what is assumed to be written after a prompt; length: its
    tokens, where they are known better.
    """

    def __init__(
        self, party: HostedArm, kept: dict[str, dict], reply: Callable[[str], str], length: float | None = None
    ):
        self.party, self.kept, self.reply, self.length = party, kept, reply, length
        self.model = ApiModel(party.host, self._send, party.tokenizer, party.templates)
        self.keep = (self, party.identity)
        self.rows: dict[str, dict] = {}
        self.n = self.n_left = self.prompt = 0
        self.completion = 0.0
        self.usd, self.usd_left, self.usd_left_most = ([] for _ in range(3))
        labels = {"arm": "", "eval_set": None, "stage": ""}
        self.meters = [
            billing.Meter(party.host, None, party.price, count_tokens=count, **labels)
            for count in (party.count, party.most)
        ]

    def through(self, keys: list[str], compute: Callable[[list[int]], Iterator[tuple[int, dict]]]) -> list[dict]:
        """As RowStore.through; of kept rows too it is counted what they were asked."""
        first = {key: i for i, key in reversed(list(enumerate(keys))) if key not in self.rows}
        for index, value in compute(sorted(first.values())):
            self.rows[keys[index]] = self.kept.get(keys[index], value)
        return [self.rows[key] for key in keys]

    def settle(self) -> None:
        """As RowStore.settle: nothing is kept."""

    def _send(self, requests: list[Request]) -> Iterator[tuple[int, dict]]:
        for i, request in enumerate(requests):
            call, most = (meter.reservation(request, self.party.batch) for meter in self.meters)
            text = self.reply(request.key)
            written = min(self._written(request.key, text), call.completion_tokens)
            usd = prices.cost(self.party.price, call.prompt_tokens, written, batch=self.party.batch)
            self.n += 1
            self.prompt += call.prompt_tokens
            self.completion += written
            self.usd.append(usd)
            if request.key not in self.kept:
                self.n_left += 1
                self.usd_left.append(usd)
                self.usd_left_most.append(most.usd)
            yield i, {"choices": [{"text": text, "finish_reason": "stop"}]}

    def _written(self, key: str, text: str) -> float:
        row = self.kept.get(key)
        if row is None:
            return self.party.count(text) if self.length is None else self.length
        if row.get("n_tokens") is not None:
            return row["n_tokens"]
        return self.party.count(row["text"]) if row["text"] else 1  # the first token's probabilities

    def row(self, stage: str, arm: dict, assumed: bool, at_most: "DryRunHost | None" = None) -> dict:
        """The stage's row of FORECAST; at_most: the same stage, when all goes the dearest way."""
        return {
            "model": self.party.host.name,
            "arm": arm["arm"],
            "eval_set": arm["eval_set"],
            "stage": stage,
            "host_model": self.party.host.model,
            "batch": self.party.batch,
            "calls": self.n,
            "prompt_tokens": self.prompt,
            "completion_tokens": round(self.completion),
            "usd": _sum(self.usd),
            "calls_left": self.n_left,
            "usd_left": _sum(self.usd_left),
            "usd_left_most": _sum((at_most or self).usd_left_most),
            "assumed": assumed,
        }


def _sum(usd: list[float | None]) -> float | None:
    return None if None in usd else sum(usd)
