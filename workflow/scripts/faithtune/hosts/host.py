"""The host of a model that is not asked here: any that speaks the OpenAI API.

`connect` makes the client, with the key from the environment and nowhere else; `check` holds the host to the
abilities that the configuration declares, by one call of a few tokens, before anything is asked of it:

    continue  completions go on behind a prompt's own tokens
    logprobs  probabilities of the likeliest tokens come with an answer
    seed      a seed is accepted
    batch     it has the Batch endpoint
    tune      it has the fine-tuning endpoint
"""

import datetime
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx2
import openai

from faithtune.core.errors import StopError, UserError
from faithtune.core.redaction import redacted
from faithtune.hosts import calls, responses
from faithtune.hosts.calls import Garbled, Gate
from faithtune.hosts.checks import check_key, check_shutdown, hides_chain

# Likeliest tokens asked for: what the endpoints give at most, by OpenAI's reference.
TOP_LOGPROBS = {"chat": 20, "completions": 5}

_PROBE = "1, 2, 3, 4,"


@dataclass(frozen=True)
class Host:
    """A model at a host, and how it is reached."""

    name: str  # of the model in the configuration
    model: str  # the host's name of it
    endpoint: str  # chat | completions
    abilities: tuple[str, ...]
    client: openai.OpenAI
    extra: dict  # further fields of every request
    key_env: str | None
    top_logprobs: int = 20  # likeliest tokens asked for
    section: str = "api"  # of the model in the configuration: api, or served

    @property
    def where(self) -> str:
        """Its place in the configuration."""
        return f"models.{self.name}.{self.section}"

    def body(self, prompt: str | list[dict], max_new_tokens: int, seed: int | None = None) -> dict:
        """A request: greedy, of one answer; `prompt` is text for completions, messages for chat."""
        asked = {"messages": prompt} if self.endpoint == "chat" else {"prompt": prompt}
        body = {"model": self.model, **asked, "max_tokens": max_new_tokens, "temperature": 0.0, **self.extra}
        if seed is not None and "seed" in self.abilities:
            body["seed"] = seed
        return body

    def with_logprobs(self, body: dict) -> dict:
        """`body`, asking for the probabilities of the likeliest tokens where the host has them."""
        if "logprobs" not in self.abilities:
            return body
        if self.endpoint == "chat":
            return body | {"logprobs": True, "top_logprobs": self.top_logprobs}
        return body | {"logprobs": self.top_logprobs}

    def send(self, body: dict) -> tuple[dict, dict]:
        """One call, which ends with the client's timeout: the response's JSON and its headers.

        Raises openai's errors, also for what the host says against it in an answer of status 200, and Garbled.
        """
        resource = self.client.chat.completions if self.endpoint == "chat" else self.client.completions
        known = {key: body[key] for key in ("model", "prompt", "messages") if key in body}
        rest = {key: value for key, value in body.items() if key not in known}
        ends, parts = time.monotonic() + self.client.timeout, []
        asked = httpx2.Request("POST", self.client.base_url)  # for errors of reading, which the client leaves bare
        try:
            with resource.with_streaming_response.create(**known, extra_body=rest) as raw:
                for part in raw.iter_bytes():  # the client's own limit is between two of them
                    if time.monotonic() > ends:
                        raise openai.APITimeoutError(request=asked)
                    parts.append(part)
        except httpx2.TimeoutException as error:
            raise openai.APITimeoutError(request=asked) from error
        except (httpx2.HTTPError, OSError) as error:
            raise openai.APIConnectionError(request=asked) from error
        response = _json(b"".join(parts))
        if said := responses.error(response):
            raise openai.APIError(str(said.get("message") or said), request=asked, body=said)
        return response, dict(raw.headers)

    def as_user_error(self, error: Exception) -> UserError:
        """A host's error in one line, without the key."""
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


def connect(name: str, api: dict) -> Host:
    """The host of the model `name`, whose completed configuration `api` is."""
    section, url, key = api.get("section", "api"), api.get("base_url"), None
    where = f"models.{name}.{section}"
    for part in ("base_url_env", "api_key_env"):
        variable = api.get(part)
        if variable and not os.environ.get(variable):  # not quoted: it may be the key itself
            raise UserError(f"{where}.{part}: the variable that it names is not set in the environment")
    if api.get("base_url_env"):
        url = os.environ[api["base_url_env"]]
    if api.get("api_key_env"):
        key = os.environ[api["api_key_env"]].strip()
        check_key(f"{where}.api_key_env", key)
    client = openai.OpenAI(
        base_url=url,
        api_key=key or "none",  # open servers want none, the client wants something
        timeout=api["timeout"],
        max_retries=0,  # calls.py waits as long as the host says
    )
    hidden = section == "api" and hides_chain(api["model"])  # what is served from here has any name
    if hidden:
        raise UserError(f"{where}.model is {api['model']!r}; {hidden}")
    decides = api["model"], api["endpoint"], tuple(api["abilities"])
    return Host(name, *decides, client, api["extra"], api.get("api_key_env"), likeliest(api), section)


def likeliest(api: dict) -> int:
    """How many of the likeliest tokens are asked for where letters are read."""
    return api.get("top_logprobs") or TOP_LOGPROBS[api["endpoint"]]


def check(host: Host, count_tokens: Callable[[str], int] | None) -> dict:
    """What the host says of itself, for the record; UserError where it lacks what is declared, or soon will.

    count_tokens: of the tokenizer that the configuration gives, for completions.
    """
    ends = shutdown_date(host)
    check_shutdown(host.where, host.model, ends)
    response = _answered(host)
    _check_answer(host, response, count_tokens)
    for ability, ask in {
        "batch": lambda: host.client.batches.list(limit=1).data,  # a web page comes as a text, which has none
        "tune": lambda: host.client.fine_tuning.jobs.list(limit=1).data,
    }.items():
        if ability in host.abilities:
            try:
                _tried(ask)
            except (openai.NotFoundError, Garbled):
                raise _lacks(host, ability, "it has no such endpoint") from None
            except openai.APIError as error:
                raise host.as_user_error(error) from None
    return {
        "model": response.get("model"),
        "system_fingerprint": response.get("system_fingerprint"),
        "shutdown_date": ends,
        "endpoint": host.endpoint,
        "abilities": list(host.abilities),
    }


def shutdown_date(host: Host) -> str | None:
    """The day (YYYY-MM-DD) on which the host takes the model away, if it says so in its list of models."""
    try:
        said = getattr(_tried(lambda: _listed(host)), "shutdown_date", None)
        return datetime.date.fromisoformat(str(said)[:10]).isoformat() if said else None
    except (openai.AuthenticationError, openai.APIConnectionError) as error:
        raise host.as_user_error(error) from None
    except (openai.APIError, Garbled, ValueError):
        return None  # open servers list what they like


def chain_out_of_sight(host: Host, response: dict) -> StopError | None:
    """What to raise where a response's usage or message shows a chain out of sight: each further call would too."""
    details = (response.get("usage") or {}).get("completion_tokens_details") or {}
    message = (response.get("choices") or [{}])[0].get("message") or {}
    if details.get("reasoning_tokens") or message.get("reasoning_content") or message.get("reasoning"):
        return StopError(
            f"{host.where}.model is {host.model!r}, which reasons apart from what it answers: that chain"
            " can be tampered with at no host; expected a model, or a setting in `extra`, that reasons in its answer"
        )
    return None


def _tried(ask: Callable[[], object]) -> object:
    """What `ask` returns; a host that is away is told of soon."""
    return calls.again(lambda: calls.read(ask), Gate(), attempts=3)


def _listed(host: Host) -> object:
    """The model in the host's list: by its name, or among all, as a name with a slash may not be found."""
    try:
        return host.client.models.retrieve(host.model)
    except openai.NotFoundError:
        return next((model for model in host.client.models.list() if model.id == host.model), None)


def _answered(host: Host) -> dict:
    """The host's answer to a few tokens, with all that is declared; UserError naming what it refuses."""
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
            response, _ = _tried(lambda body=body: host.send(body))
        except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
            first = first or error
            continue
        except openai.APIError as error:
            raise host.as_user_error(error) from None
        except Garbled as error:
            raise UserError(f"{host.where}: {error}") from None
        if without is not None:
            fewer = "; or give fewer `top_logprobs`" if without == "logprobs" else ""
            raise _lacks(host, without, f"it refuses the field ({host.as_user_error(first)}){fewer}")
        return response
    raise host.as_user_error(first)


def _check_answer(host: Host, response: dict, count_tokens: Callable[[str], int] | None) -> None:
    if hidden := chain_out_of_sight(host, response):
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
            host, "continue", f"it makes {counted} tokens of {len(_PROBE)} characters, so it puts them in a chat"
        )
    if count_tokens:
        own = count_tokens(_PROBE)
        if counted != own:
            raise UserError(
                f"{host.where}.tokenizer makes {own} tokens of a prompt and the host {counted}: another"
                " tokenizer, or the host adds special tokens (vLLM: extra: {add_special_tokens: false})"
            )


def _lacks(host: Host, ability: str, why: str) -> UserError:
    return UserError(
        f"{host.where}.abilities names {ability!r}, but the host lacks it: {why}; take it out, or name a host"
        " that has it"
    )


def _json(data: bytes) -> dict:
    try:
        response = json.loads(data)
    except ValueError:
        response = None
    if not isinstance(response, dict):
        raise Garbled("an answer that is no JSON object; expected an address up to /v1")
    return response
