"""What can be told to be wrong with a model's configuration, a host's above all, before it is asked."""

import datetime
import re
import sys
from pathlib import Path

from faithtune.errors import UserError

# Fields of a request that the study decides.
OWN_FIELDS = {"model", "messages", "prompt", "max_tokens", "temperature", "seed", "n", "stop", "stream", "echo"}
OWN_FIELDS |= {"logprobs", "top_logprobs"}

# Days before a model's shutdown from which on every job warns.
WARN_DAYS = 90

_HIDDEN = re.compile(r"(?:ft:)?(?:[\w.-]+/)?(?:o\d\b|gpt-5(?!.*chat)|codex)")


def check(where: str, api: dict) -> None:
    """UserError naming the key of a section `api` of the configuration that is wrong."""
    if (api["base_url"] is None) == (api["base_url_env"] is None):
        raise UserError(f"config: {where} needs one of the keys base_url, base_url_env, and not both")
    if "base" in api["arms"]:
        raise UserError(f"config: {where}.arms names 'base', which is {where}.model")
    for model in (api["model"], *api["arms"].values()):
        if why := hides_chain(model):
            raise UserError(f"config: {where} names the model {model!r}; {why}")
    if api["endpoint"] == "chat" and "continue" in api["abilities"]:
        raise UserError(f"config: {where}.abilities names 'continue', but endpoint is chat; expected completions")
    if api["mode"] == "batch" and "batch" not in api["abilities"]:
        raise UserError(f"config: {where}.mode is batch, so {where}.abilities needs 'batch'")
    for field in OWN_FIELDS.intersection(api["extra"]):
        raise UserError(f"config: {where}.extra names {field!r}, which faithtune sets itself; remove it")
    if api["tokenizer"] is not None and not Path(api["tokenizer"], "tokenizer.json").is_file():
        raise UserError(f"config: {where}.tokenizer is {api['tokenizer']!r}, but there is no tokenizer.json in it")


def hides_chain(model: str) -> str | None:
    """Why a model's chain of thought cannot be measured, by its name at a host; None where it may be seen."""
    if _HIDDEN.match(model):
        return (
            "it reasons out of sight, so that its chain can neither be read nor tampered with; expected another model"
        )
    return None


def check_shutdown(name: str, model: str, ends: str | None) -> None:
    """Warn where a model's host shuts it down soon (YYYY-MM-DD), UserError where it has.

    name: the model's in the configuration; model: the host's name of it.
    """
    if ends is None:
        return
    days = (datetime.date.fromisoformat(ends) - datetime.datetime.now(datetime.UTC).date()).days
    if days <= 0:
        raise UserError(f"models.{name}.api.model is {model!r}, which the host shut down on {ends}")
    if days < WARN_DAYS:
        print(f"warning: {model} is shut down on {ends}; finish the study before", file=sys.stderr)


def check_loading(models: dict) -> None:
    """How weights are loaded means nothing where there are none; of models as the user wrote them."""
    for name, model in models.items():
        for key in ("quantisation", "dtype"):
            if key in model and "source" not in model:
                raise UserError(f"config: models.{name}.{key} is of weights, and it has none; remove the key")
