"""An arm at a host, made ready to be asked.

What decides an arm's rows (`study.backend`) is its identity: the host's address, unless that comes from the
environment (one's own server, which may move), the host's name of the model, the endpoint, the tokenizer and
further fields. How many calls are made at once, with which key and at what price, is not (`settings`).
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from faithtune import paid, prices, tokens
from faithtune.api import ApiModel
from faithtune.calls import Gate
from faithtune.host import connect
from faithtune.models import folder_fingerprint
from faithtune.prompts import read
from faithtune.spend import Ledger

# More than the host counts, so that a budget holds: for what a chat puts around its messages.
_MARGIN = 16


def identity(api: dict) -> str:
    """What tells a hosted arm's rows from every other's: sha256 (hex)."""
    kept = {key: value for key, value in api.items() if key != "name"}
    kept["abilities"] = sorted({"logprobs", "seed"}.intersection(api["abilities"]))  # the others change no row
    kept["tokenizer"] = api["tokenizer"] and folder_fingerprint(api["tokenizer"], ("tokenizer*.json", "*.jinja"))
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


@contextlib.contextmanager
def ready(api: dict, settings: dict, store: Path, labels: dict, templates: list[str]) -> Iterator[tuple[ApiModel, str]]:
    """The model and its identity.

    api: what decides its rows (`arms.at_host`); settings: how the host is asked (`study.hosting`); labels:
    {"stage", "arm", "eval_set"}, as the ledger has them; templates: files with those of chats.
    """
    host, tokenizer = connect(api["name"], api | settings), tokenizer_of(api)
    table = prices.load(settings["prices"])
    priced = prices.price_of(table, host.model)
    if settings["budget_usd"] is not None:
        priced = prices.required(table, host.model)
    with Ledger(store / "spend.sqlite", settings["budget_usd"]) as ledger:
        purse = paid.Purse(host, ledger, priced, count=most_tokens(api), **labels)
        gate = Gate()

        def send(requests):
            return paid.made(purse, gate, settings["concurrency"], requests)

        yield ApiModel(host, send, tokenizer, read(templates)), identity(api)


def most_tokens(api: dict) -> Callable[[str], int]:
    """Counts the tokens of a request's text, rather too many: what is reserved for it."""
    count = tokens.counter("api", api["tokenizer"])
    if api["tokenizer"] is None:
        return lambda text: count(text) * 4 // 3 + _MARGIN
    return lambda text: count(text) + _MARGIN


def tokenizer_of(api: dict):
    """The tokenizer that the configuration gives, or None."""
    if api["tokenizer"] is None:
        return None
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(api["tokenizer"], trust_remote_code=False)
