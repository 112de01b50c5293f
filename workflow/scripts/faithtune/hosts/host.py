"""A model at a host that speaks the OpenAI API.

`connect` makes the client; the key comes from the environment only. `check` verifies the abilities that the
configuration declares with one call of a few tokens, before any row is requested:

    continue  completions continue the prompt's own tokens
    logprobs  answers come with the probabilities of the most likely tokens
    seed      requests may have a seed
    batch     the host has the Batch endpoint
    tune      the host has the fine-tuning endpoint
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx2
import openai

from faithtune.core.errors import HostStopped, UserError
from faithtune.core.redaction import redacted
from faithtune.hosts import calls, responses
from faithtune.hosts.calls import MalformedResponse, RateLimiter
from faithtune.hosts.checks import HIDDEN_CHAIN, check_key, is_reasoning_model
from faithtune.settings.backend import HostedModel
from faithtune.settings.hosts import HostSettings

# The most log-probabilities per token that the endpoints return, by OpenAI's reference.
TOP_LOGPROBS = {"chat": 20, "completions": 5}

_PROBE = "1, 2, 3, 4,"


@dataclass(frozen=True)
class Host:
    """A model at a host, with the client that reaches it."""

    name: str  # of the model in the configuration
    model: str  # the host's name of the model
    endpoint: str  # chat | completions
    abilities: tuple[str, ...]
    client: openai.OpenAI
    extra: dict  # more fields of every request
    key_env: str | None
    top_logprobs: int = 20  # log-probabilities per token to request
    section: str = "api"  # of the model in the configuration: api or served

    @property
    def where(self) -> str:
        """The place of the model in the configuration."""
        return f"models.{self.name}.{self.section}"

    def body(self, prompt: str | list[dict], max_new_tokens: int, seed: int | None = None) -> dict:
        """A request for one greedy answer; `prompt` is text for completions, messages for chat."""
        given = {"messages": prompt} if self.endpoint == "chat" else {"prompt": prompt}
        body = {"model": self.model, **given, "max_tokens": max_new_tokens, "temperature": 0.0, **self.extra}
        if seed is not None and "seed" in self.abilities:
            body["seed"] = seed
        return body

    def with_logprobs(self, body: dict) -> dict:
        """`body` with a request for log-probabilities, if the host has them."""
        if "logprobs" not in self.abilities:
            return body
        if self.endpoint == "chat":
            return body | {"logprobs": True, "top_logprobs": self.top_logprobs}
        return body | {"logprobs": self.top_logprobs}

    def send(self, body: dict) -> dict:
        """The JSON response to one call, within the client's timeout.

        Raises openai's errors, also for errors that the host sends with status 200, and MalformedResponse.
        """
        resource = self.client.chat.completions if self.endpoint == "chat" else self.client.completions
        known = {key: body[key] for key in ("model", "prompt", "messages") if key in body}
        rest = {key: value for key, value in body.items() if key not in known}
        deadline, parts = time.monotonic() + self.client.timeout, []
        request = httpx2.Request("POST", self.client.base_url)  # for read errors, which the client does not wrap
        try:
            with resource.with_streaming_response.create(**known, extra_body=rest) as raw:
                for part in raw.iter_bytes():  # the client's own timeout applies to each part
                    if time.monotonic() > deadline:
                        raise openai.APITimeoutError(request=request)
                    parts.append(part)
        except httpx2.TimeoutException as error:
            raise openai.APITimeoutError(request=request) from error
        except (httpx2.HTTPError, OSError) as error:
            raise openai.APIConnectionError(request=request) from error
        response = _json(b"".join(parts))
        if error := responses.error(response):
            raise openai.APIError(str(error.get("message") or error), request=request, body=error)
        return response

    def as_user_error(self, error: Exception) -> UserError:
        """An error of the host as one line without the key."""
        if isinstance(error, openai.AuthenticationError):
            what = f"the host refuses the key in {self.key_env or 'no variable (api_key_env is not set)'}"
        elif isinstance(error, openai.NotFoundError):
            what = f"the host knows no model {self.model!r} at the endpoint {self.endpoint}"
        elif isinstance(error, openai.APITimeoutError):
            what = f"no answer within {self.client.timeout:g} s"
        elif isinstance(error, openai.APIConnectionError):
            what = f"{self.client.base_url} cannot be reached"
        else:
            what = "the host refuses a request"
        said = getattr(error, "message", None) or str(error)
        secrets = [os.environ.get(self.key_env)] if self.key_env else []
        return UserError(redacted(f"{self.where}: {what}: {' '.join(str(said).split())}", secrets)[:500])


def connect(hosted: HostedModel, settings: HostSettings) -> Host:
    """The host of a model; UserError where an environment variable is missing or the model hides its reasoning."""
    where, url, key = f"models.{hosted.name}.{settings.section}", hosted.base_url, None
    variables = {"base_url_env": settings.base_url_env, "api_key_env": settings.api_key_env}
    for part, variable in variables.items():
        if variable and not os.environ.get(variable):  # not quoted: users may have pasted the key itself
            raise UserError(f"{where}.{part}: the variable that it names is not set in the environment")
    if settings.base_url_env:
        url = os.environ[settings.base_url_env]
    if settings.api_key_env:
        key = os.environ[settings.api_key_env].strip()
        check_key(f"{where}.api_key_env", key)
    client = openai.OpenAI(
        base_url=url,
        api_key=key or "none",  # the client requires a key even where the server does not
        timeout=settings.timeout,
        max_retries=0,  # calls.retry retries, so that the ledger counts every attempt
    )
    # The name of a served model says nothing.
    if settings.section == "api" and is_reasoning_model(hosted.model):
        raise UserError(f"{where}.model is {hosted.model!r}; {HIDDEN_CHAIN}")
    decides = hosted.model, hosted.endpoint, tuple(hosted.abilities)
    return Host(
        hosted.name, *decides, client, hosted.extra, settings.api_key_env, top_logprobs(hosted), settings.section
    )


def top_logprobs(hosted: HostedModel) -> int:
    """How many log-probabilities per token to request where option letters are read."""
    return hosted.top_logprobs or TOP_LOGPROBS[hosted.endpoint]


def check(host: Host, count_tokens: Callable[[str], int] | None) -> dict:
    """The host's card: what it says about itself; UserError naming a declared ability that it lacks.

    count_tokens: of the configured tokenizer, for completions.
    """
    response = _probe(host)
    _check_answer(host, response, count_tokens)
    for ability, ask in {
        "batch": lambda: host.client.batches.list(limit=1).data,  # of a web page, a text, .data fails
        "tune": lambda: host.client.fine_tuning.jobs.list(limit=1).data,
    }.items():
        if ability in host.abilities:
            try:
                _retried(ask)
            except (openai.NotFoundError, MalformedResponse):
                raise _lacks(host, ability, "it has no such endpoint") from None
            except openai.APIError as error:
                raise host.as_user_error(error) from None
    return {
        "model": response.get("model"),
        "system_fingerprint": response.get("system_fingerprint"),
        "endpoint": host.endpoint,
        "abilities": list(host.abilities),
    }


def hidden_reasoning(host: Host, response: dict) -> HostStopped | None:
    """The error to raise if a response's usage or message shows hidden reasoning; None if it shows none."""
    details = (response.get("usage") or {}).get("completion_tokens_details") or {}
    message = (response.get("choices") or [{}])[0].get("message") or {}
    if details.get("reasoning_tokens") or message.get("reasoning_content") or message.get("reasoning"):
        return HostStopped(
            f"{host.where}.model is {host.model!r}, which reasons outside of its answer: no host lets that chain be"
            " tampered with; expected a model, or a setting in `extra`, that reasons in its answer"
        )
    return None


def _retried(ask: Callable[[], object]) -> object:
    """The result of `ask`, with few retries: a check should fail soon."""
    return calls.retry(lambda: calls.parsed(ask), RateLimiter(), attempts=3)


def _probe(host: Host) -> dict:
    """The response to a short prompt with all declared fields; UserError naming the field that the host refuses."""
    prompt = _PROBE if host.endpoint == "completions" else [{"role": "user", "content": _PROBE}]
    plain = host.body(prompt, 4)
    bodies = {
        None: host.with_logprobs(host.body(prompt, 4, seed=0)),
        "logprobs": host.body(prompt, 4, seed=0),
        "seed": host.with_logprobs(plain),
    }
    first = None
    for without, body in bodies.items():
        if without is not None and without not in host.abilities:
            continue
        try:
            response = _retried(lambda body=body: host.send(body))
        except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
            first = first or error
            continue
        except openai.APIError as error:
            raise host.as_user_error(error) from None
        except MalformedResponse as error:
            raise UserError(f"{host.where}: {error}") from None
        if without is not None:
            fewer = "; or give fewer `top_logprobs`" if without == "logprobs" else ""
            raise _lacks(host, without, f"it refuses the field ({host.as_user_error(first)}){fewer}")
        return response
    raise host.as_user_error(first)


def _check_answer(host: Host, response: dict, count_tokens: Callable[[str], int] | None) -> None:
    if hidden := hidden_reasoning(host, response):
        raise hidden
    if not responses.is_answer(response):
        raise UserError(f"{host.where}: the host answers, but with no text; expected an address up to /v1")
    if "logprobs" in host.abilities and not any(tops for _, tops in responses.places(response)):
        raise _lacks(host, "logprobs", "its answers have none")
    counted = (response.get("usage") or {}).get("prompt_tokens")
    if host.endpoint != "completions" or counted is None:
        return
    if "continue" in host.abilities and counted > len(_PROBE) + 2:
        raise _lacks(
            host, "continue", f"it counts {counted} tokens in {len(_PROBE)} characters, so it puts them into a chat"
        )
    if count_tokens:
        own = count_tokens(_PROBE)
        if counted != own:
            raise UserError(
                f"{host.where}.tokenizer counts {own} tokens in a prompt and the host {counted}: it is another"
                " tokenizer, or the host adds special tokens (vLLM: extra: {add_special_tokens: false})"
            )


def _lacks(host: Host, ability: str, why: str) -> UserError:
    return UserError(
        f"{host.where}.abilities names {ability!r}, but the host lacks it: {why}; remove it, or name a host that has it"
    )


def _json(data: bytes) -> dict:
    try:
        response = json.loads(data)
    except ValueError:
        response = None
    if not isinstance(response, dict):
        raise MalformedResponse("a response that is no JSON object; expected an address up to /v1")
    return response
