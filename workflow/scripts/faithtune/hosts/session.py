"""Opens a hosted arm: its model, the identity of its rows, and its share of the ledger.

What decides an arm's rows (`plan.backend`) is its identity: the host's address (unless it comes from the environment,
as for one's own server, which may move), the host's name of the model, the endpoint, the tokenizer and extra fields.
The number of concurrent calls, the key and the price (`settings`) are not part of it.
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from faithtune.hosts import billing
from faithtune.hosts.api import ApiModel
from faithtune.hosts.calls import RateLimiter
from faithtune.hosts.host import connect, top_logprobs
from faithtune.hosts.journal import ResponseJournal
from faithtune.hosts.spend import prices
from faithtune.hosts.spend.ledger import Ledger
from faithtune.models import token_counts
from faithtune.models.weights import folder_fingerprint
from faithtune.settings.backend import HostedModel
from faithtune.settings.hosts import HostSettings

# Tokens that a chat may add to its messages: reservations must not be lower than the host's count.
_MARGIN = 64


def identity(hosted: HostedModel) -> str:
    """What distinguishes a hosted arm's rows from those of all other arms: sha256 (hex)."""
    kept = hosted.model_dump(exclude={"name"} if hosted.base_url_env else {"name", "base_url_env"})
    kept["base_url"] = hosted.base_url and hosted.base_url.rstrip("/")
    kept["abilities"] = sorted({"logprobs", "seed"}.intersection(hosted.abilities))  # the others change no row
    kept["top_logprobs"] = top_logprobs(hosted) if "logprobs" in hosted.abilities else None
    kept["tokenizer"] = hosted.tokenizer and folder_fingerprint(hosted.tokenizer, ("tokenizer*.json", "*.jinja"))
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


@contextlib.contextmanager
def open_session(
    hosted: HostedModel,
    settings: HostSettings,
    store: Path,
    rows_folder: Callable[[str], Path],
    labels: dict,
    templates: dict[str, str],
) -> Iterator[tuple[ApiModel, str, Callable[[Iterable[str]], None]]]:
    """Yields the model, its identity, and a callback to call with the keys of stored rows.

    hosted: what decides the rows (`identity.hosted_model`); settings: how to call the host (`plan.host_settings`);
    rows_folder: the folder of the job's rows by identity; labels: {"stage", "arm", "eval_set"} for the ledger;
    templates: for chat.
    """
    host, tokenizer, arm = connect(hosted, settings), tokenizer_of(hosted), identity(hosted)
    with open_ledger(settings, store) as ledger, ResponseJournal(rows_folder(arm)) as journal:
        meter = billing.Meter(
            host, ledger, price(settings, host.model), count_tokens=token_upper_bound(hosted), **labels
        )
        limiter = RateLimiter()

        def send_paid(requests):
            if settings.mode == "batch":
                from faithtune.hosts.batch import run

                limits = run.Limits(**settings.batch.model_dump())
                return run.run_batches(meter, limiter, store / "batches" / arm[:32], limits, requests)
            return billing.send_all(meter, limiter, settings.concurrency, journal, requests)

        def send(requests):
            """Responses in the journal first; they are not requested again."""
            missing = []
            for i, request in enumerate(requests):
                if (response := journal.get(request.key)) is None:
                    missing.append(i)
                else:
                    yield i, response
            for place, response in send_paid([requests[i] for i in missing]):
                yield missing[place], response

        yield ApiModel(host, send, tokenizer, templates), arm, journal.forget


def open_ledger(settings: HostSettings, store: Path) -> Ledger:
    """The study's spend ledger with its budget."""
    return Ledger(store / "spend.sqlite", settings.budget_usd)


def price(settings: HostSettings, model: str, training: bool = False) -> prices.Price | None:
    """The price of a host's model; a model on one's own server is free. UserError if a budget needs a missing price."""
    if settings.section == "served":
        return prices.FREE
    table = prices.load(settings.prices)
    if settings.budget_usd is None:
        return prices.price_of(table, model)
    found = prices.required(table, model)
    return prices.required(table, model, training=True) if training else found


def token_upper_bound(hosted: HostedModel) -> Callable[[str], int]:
    """A function that returns an upper bound of the tokens of a request's text, for reservations."""
    count = token_counts.token_counter("api", hosted.tokenizer)
    if hosted.tokenizer is None:
        return lambda text: 2 * count(text) + _MARGIN
    return lambda text: count(text) + _MARGIN


def tokenizer_of(hosted: HostedModel):
    """The configured tokenizer, or None; UserError if it renders prompts for a model that thinks."""
    if hosted.tokenizer is None:
        return None
    from transformers import AutoTokenizer

    from faithtune.data import turns

    tokenizer = AutoTokenizer.from_pretrained(hosted.tokenizer, trust_remote_code=False)
    if hosted.endpoint == "completions":
        turns.refuse_thinking(tokenizer, f"models.{hosted.name}")
    return tokenizer
