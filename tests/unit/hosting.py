"""A stand-in host as the configuration names it, and arms at it."""

import contextlib

from faithtune.hosts import host, session
from standin.host import StandIn

KEY_ENV, KEY = "FAITHTUNE_TEST_KEY", "sk-test-1234567890abcdef"
OF_ROWS = ("base_url", "endpoint", "abilities", "tokenizer", "top_logprobs", "extra", "model")
TEMPLATES = {"chat_answer": "Now only the answer.", "chat_continue": "Go on."}


def stand_in(**settings) -> StandIn:
    """A host of the model m that knows the tests' key."""
    return StandIn(**({"key": KEY, "models": {"m": {}}} | settings))


def api(standin: StandIn, **changes) -> dict:
    """A model's section `api`, completed."""
    return {
        "base_url": standin.url,
        "base_url_env": None,
        "api_key_env": KEY_ENV,
        "model": "m",
        "arms": {},
        "endpoint": "completions",
        "abilities": [],
        "tokenizer": None,
        "top_logprobs": None,
        "mode": "calls",
        "concurrency": 4,
        "timeout": 20.0,
        "extra": {},
        **changes,
    }


def connected(standin: StandIn, **changes) -> host.Host:
    return host.connect("big", api(standin, **changes))


@contextlib.contextmanager
def arm(standin: StandIn, store, budget=None, prices=None, arm="base", **changes):
    """The model of an arm at the stand-in, with a ledger in `store`, and its identity."""
    section = api(standin, **changes)
    backend = {"name": "big", **{key: section.pop(key) for key in OF_ROWS}}
    settings = section | {"budget_usd": budget, "prices": prices, "section": "api"}
    job = {"stage": "chains", "arm": arm, "eval_set": "sums"}
    with session.open_session(backend, settings, store, lambda _: store / "rows", job, TEMPLATES) as (
        model,
        identity,
        _,
    ):
        yield model, identity
