"""A stand-in host as the configuration names it, and arms at it."""

import contextlib

from faithtune.hosts import host, session
from faithtune.settings.backend import HostedModel
from faithtune.settings.hosts import HostSettings
from standin.host import StandIn

KEY_ENV, KEY = "FAITHTUNE_TEST_KEY", "sk-test-1234567890abcdef"
TEMPLATES = {"chat_answer": "Now only the answer.", "chat_continue": "Go on."}


def stand_in(**settings) -> StandIn:
    """A host of the model m that knows the tests' key."""
    return StandIn(**({"key": KEY, "models": {"m": {}}} | settings))


def hosted_model(name: str, url: str | None, model: str, **changes) -> HostedModel:
    """A model at a host, for completions and without abilities where `changes` say nothing else."""
    plain = {"endpoint": "completions", "abilities": [], "tokenizer": None, "top_logprobs": None, "extra": {}}
    return HostedModel(name=name, base_url=url, model=model, **plain | changes)


def api(url: str | None, **changes) -> tuple[HostedModel, HostSettings]:
    """The model m at a host, which the configuration calls big, and how the host is asked."""
    settings = {"api_key_env": KEY_ENV, "concurrency": 4, "timeout": 20.0}
    settings |= {key: changes.pop(key) for key in [*changes] if key in HostSettings.model_fields}
    where = changes.pop("base_url", url), changes.pop("model", "m")
    return hosted_model("big", *where, **changes), HostSettings(**settings)


def connected(standin: StandIn, **changes) -> host.Host:
    return host.connect(*api(standin.url, **changes))


@contextlib.contextmanager
def arm(standin: StandIn, store, budget=None, prices=None, arm="base", **changes):
    """The model of an arm at the stand-in, with a ledger in `store`, and its identity."""
    hosted, settings = api(standin.url, budget_usd=budget, prices=prices, **changes)
    job = {"stage": "chains", "arm": arm, "eval_set": "sums"}
    with session.open_session(hosted, settings, store, lambda _: store / "rows", job, TEMPLATES) as (
        model,
        identity,
        _,
    ):
        yield model, identity
