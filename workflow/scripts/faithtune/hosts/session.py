"""An arm at a host, made ready to be asked.

What decides an arm's rows (`plan.backend`) is its identity: the host's address, unless that comes from the
environment (one's own server, which may move), the host's name of the model, the endpoint, the tokenizer and
further fields. How many calls are made at once, with which key and at what price, is not (`settings`).
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from faithtune.hosts import billing
from faithtune.hosts.api import ApiModel
from faithtune.hosts.calls import Gate
from faithtune.hosts.checks import check_shutdown
from faithtune.hosts.host import connect, likeliest
from faithtune.hosts.journal import Arrived
from faithtune.hosts.spend import prices
from faithtune.hosts.spend.ledger import Ledger
from faithtune.models import token_counts
from faithtune.models.weights import folder_fingerprint

# More than the host counts, so that a budget holds: for what a chat puts around its messages.
_MARGIN = 64


def identity(api: dict) -> str:
    """What tells a hosted arm's rows from every other's: sha256 (hex)."""
    kept = {key: value for key, value in api.items() if key != "name"}
    kept["base_url"] = api["base_url"] and api["base_url"].rstrip("/")
    kept["abilities"] = sorted({"logprobs", "seed"}.intersection(api["abilities"]))  # the others change no row
    kept["top_logprobs"] = likeliest(api) if "logprobs" in api["abilities"] else None
    kept["tokenizer"] = api["tokenizer"] and folder_fingerprint(api["tokenizer"], ("tokenizer*.json", "*.jinja"))
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


@contextlib.contextmanager
def ready(
    api: dict,
    settings: dict,
    said: dict,
    store: Path,
    rows_folder: Callable[[str], Path],
    labels: dict,
    templates: dict[str, str],
) -> Iterator[tuple[ApiModel, str, Callable[[Iterable[str]], None]]]:
    """The model, its identity, and what is to be told the keys of rows that stand in the row store.

    api: what decides its rows (`identity.hosted_section`); settings: how the host is asked (`plan.hosting`); said: what
    the host said (`host.check`); rows_folder: of the job, by the identity; labels: {"stage", "arm", "eval_set"}, as
    the ledger has them; templates: those of chats.
    """
    host, tokenizer, arm = connect(api["name"], api | settings), tokenizer_of(api), identity(api)
    check_shutdown(host.where, host.model, said["shutdown_date"])
    with ledger(settings, store) as kept, Arrived(rows_folder(arm)) as arrived:
        purse = billing.Purse(host, kept, price(settings, host.model), count=most_tokens(api), **labels)
        gate = Gate()

        def made(requests):
            if settings["mode"] == "batch":
                from faithtune.hosts.batch import run

                limits = run.Limits(**settings["batch"])
                return run.made(purse, gate, store / "batches" / arm[:32], limits, requests)
            return billing.made(purse, gate, settings["concurrency"], arrived, requests)

        def send(requests):
            """What had arrived before is not asked again."""
            missing = []
            for i, request in enumerate(requests):
                if (kept := arrived.get(request.key)) is None:
                    missing.append(i)
                else:
                    yield i, kept
            for place, response in made([requests[i] for i in missing]):
                yield missing[place], response

        yield ApiModel(host, send, tokenizer, templates), arm, arrived.forget


def ledger(settings: dict, store: Path) -> Ledger:
    """The study's spend ledger, under its budget."""
    return Ledger(store / "spend.sqlite", settings["budget_usd"])


def price(settings: dict, model: str, training: bool = False) -> prices.Price | None:
    """What a host's model costs; under a budget that must be known (UserError). What one serves oneself is free."""
    if settings["section"] == "served":
        return prices.FREE
    table = prices.load(settings["prices"])
    if settings["budget_usd"] is None:
        return prices.price_of(table, model)
    priced = prices.required(table, model)
    return prices.required(table, model, training=True) if training else priced


def most_tokens(api: dict) -> Callable[[str], int]:
    """Counts the tokens of a request's text, rather too many: what is reserved for it."""
    count = token_counts.counter("api", api["tokenizer"])
    if api["tokenizer"] is None:
        return lambda text: 2 * count(text) + _MARGIN
    return lambda text: count(text) + _MARGIN


def tokenizer_of(api: dict):
    """The tokenizer that the configuration gives, or None."""
    if api["tokenizer"] is None:
        return None
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(api["tokenizer"], trust_remote_code=False)
