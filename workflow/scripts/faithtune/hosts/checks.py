"""What can be told to be wrong with a model's configuration, a host's above all, before it is asked."""

import datetime
import re
from collections.abc import Collection
from pathlib import Path

from faithtune.core.errors import UserError, warn
from faithtune.settings.hosts import ApiSettings

# Fields of a request that the study decides.
OWN_FIELDS = {"model", "messages", "prompt", "max_tokens", "temperature", "seed", "n", "stop", "stream", "echo"}
OWN_FIELDS |= {"logprobs", "top_logprobs", "max_completion_tokens", "best_of", "stream_options"}

# Days before a model's shutdown from which on every job warns.
WARN_DAYS = 90

_HIDDEN = re.compile(r"(?:o\d\b|gpt-5(?![\w.-]*chat)|codex|grok-4|deepseek-reasoner)", re.IGNORECASE)
# Of a request's fields; prompt_cache_key and its like are none.
_SECRET = re.compile(r"api[_-]?key|secret|password|authorization|(?:access|auth)[_-]?token", re.IGNORECASE)


def check(where: str, api: ApiSettings, hosted_tunings: Collection[str]) -> None:
    """UserError naming the key of a section `api` of the configuration that is wrong; hosted_tunings: the recipes."""
    if (api.base_url is None) == (api.base_url_env is None):
        raise UserError(f"config: {where} needs one of the keys base_url, base_url_env, and not both")
    for arm in api.arms:
        if arm.split("-")[0] in hosted_tunings:
            raise UserError(
                f"config: {where}.arms names {arm!r}, but hosted_tunings has a recipe of that name; rename one"
            )
    if "base" in api.arms:
        raise UserError(f"config: {where}.arms names 'base', which is {where}.model")
    for model in (api.model, *api.arms.values()):
        if why := hides_chain(model):
            raise UserError(f"config: {where} names the model {model!r}; {why}")
    if api.endpoint == "chat" and "continue" in api.abilities:
        raise UserError(f"config: {where}.abilities names 'continue', but endpoint is chat; expected completions")
    if api.mode == "batch" and "batch" not in api.abilities:
        raise UserError(f"config: {where}.mode is batch, so {where}.abilities needs 'batch'")
    for field in api.extra:
        if field in OWN_FIELDS:
            raise UserError(f"config: {where}.extra names {field!r}, which faithtune sets itself; remove it")
        if _SECRET.search(field):
            raise UserError(
                f"config: {where}.extra names {field!r}; a key stands in no file, api_key_env names its variable"
            )
    if api.tokenizer is not None and not Path(api.tokenizer, "tokenizer.json").is_file():
        raise UserError(f"config: {where}.tokenizer is {api['tokenizer']!r}, but there is no tokenizer.json in it")


def hides_chain(model: str) -> str | None:
    """Why a model's chain of thought cannot be measured, by its name at a host; None where it may be seen."""
    if _HIDDEN.match(model.removeprefix("ft:").split(":")[0].rpartition("/")[2]):
        return (
            "it reasons out of sight, so that its chain can neither be read nor tampered with; expected another model"
        )
    return None


def check_key(where: str, key: str) -> None:
    """UserError where the variable that `where` names holds what no header can."""
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise UserError(f"{where}: its variable holds characters that no key has, such as a quotation mark or a space")


def check_shutdown(where: str, model: str, ends: str | None) -> None:
    """Warn where a model's host shuts it down soon (YYYY-MM-DD), UserError where it has.

    where: the model's place in the configuration; model: the host's name of it.
    """
    if ends is None:
        return
    days = (datetime.date.fromisoformat(ends) - datetime.datetime.now(datetime.UTC).date()).days
    if days <= 0:
        raise UserError(f"{where}.model is {model!r}, which the host shut down on {ends}")
    if days < WARN_DAYS:
        warn(f"{where}.model is {model!r}, which the host shuts down on {ends}; finish the study before")
