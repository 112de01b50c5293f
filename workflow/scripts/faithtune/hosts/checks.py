"""Checks of a host's settings that need no call."""

import re
from collections.abc import Collection
from pathlib import Path

from faithtune.core.errors import UserError
from faithtune.settings.hosts import ApiSettings

# Request fields that the study sets.
OWN_FIELDS = {"model", "messages", "prompt", "max_tokens", "temperature", "seed", "n", "stop", "stream", "echo"}
OWN_FIELDS |= {"logprobs", "top_logprobs", "max_completion_tokens", "best_of", "stream_options"}

HIDDEN_CHAIN = "it hides its reasoning, so its chain can be neither read nor tampered with; expected another model"

_REASONING = re.compile(r"(?:o\d\b|gpt-5(?![\w.-]*chat)|codex|grok-4|deepseek-reasoner)", re.IGNORECASE)
# Names of request fields that hold a credential; prompt_cache_key and similar fields do not match.
_SECRET = re.compile(r"api[_-]?key|secret|password|authorization|(?:access|auth)[_-]?token", re.IGNORECASE)


def check(where: str, api: ApiSettings, hosted_tunings: Collection[str]) -> None:
    """UserError naming the first wrong key of a section `api`; hosted_tunings: the names of the recipes."""
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
        if is_reasoning_model(model):
            raise UserError(f"config: {where} names the model {model!r}; {HIDDEN_CHAIN}")
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
        raise UserError(f"config: {where}.tokenizer is {api.tokenizer!r}, but there is no tokenizer.json in it")


def is_reasoning_model(model: str) -> bool:
    """Whether a model hides its chain of thought, by its name at a host."""
    return _REASONING.match(model.removeprefix("ft:").split(":")[0].rpartition("/")[2]) is not None


def check_key(where: str, key: str) -> None:
    """UserError if the variable that `where` names holds characters that an HTTP header cannot carry."""
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise UserError(f"{where}: its variable holds characters that no key has, such as a quotation mark or a space")
