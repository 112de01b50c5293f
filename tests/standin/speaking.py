"""Chat completions and completions: what a body asks, what is said to it, and the shapes that carry it."""

import hashlib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from standin.settings import Settings
from standin.shapes import Refusal, need, now

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
ROLES = ("system", "developer", "user", "assistant", "tool")
SHARED = {"model", "max_tokens", "temperature", "top_p", "seed", "stop", "stream", "stream_options", "logprobs"}
SHARED |= {"n", "user", "presence_penalty", "frequency_penalty", "logit_bias"}
FIELDS = {
    CHAT: SHARED | {"messages", "max_completion_tokens", "top_logprobs", "metadata", "store", "service_tier"},
    COMPLETIONS: SHARED | {"prompt"},
}
IMPOSSIBLE = -9999.0  # log-probability of zero, as JSON has no infinity

Reply = Callable[[dict], str]
# By position in the answer the probabilities of candidate tokens; what stands beyond the list is certain.
Chances = Callable[[dict], list[dict[str, float]]]


@dataclass(frozen=True)
class Said:
    """An answer in tokens, their candidates' probabilities, and why it ended."""

    tokens: list[str]
    chances: list[dict[str, float]]
    finish: str  # stop, length
    prompt_tokens: int

    @property
    def text(self) -> str:
        return "".join(self.tokens)


def echo(body: dict) -> str:
    """The reply by default: a mark of all that was asked, the seed included, and its words again."""
    mark = hashlib.sha256(f"{body['model']} {content(body)} {body.get('seed')}".encode()).hexdigest()[:8]
    return f"{mark}: {content(body)}"


def certain(body: dict) -> list[dict[str, float]]:
    """The chances by default."""
    return []


def tokens(text: str) -> list[str]:
    """Words and signs, each with the space before it; together they are the text."""
    return re.findall(r"\s*(?:\w+|[^\w\s])|\s+", text)


def content(body: dict) -> str:
    """The text a body asks: its messages, an empty line between two of them, or its prompt."""
    if isinstance(body.get("messages"), list):
        return "\n\n".join(_message(message) for message in body["messages"] if isinstance(message, dict))
    prompt = body.get("prompt", "")
    return " ".join(map(str, prompt)) if isinstance(prompt, list) else str(prompt)  # a list: token ids


def check(path: str, body: dict, settings: Settings) -> None:
    """Refuse what the API refuses, and what this stand-in does not do."""
    for name in body:
        need(name in FIELDS[path] or name in settings.extra, f"Unrecognized request argument supplied: {name}", name)
        message = f"Unsupported parameter: '{name}' is not supported with this model."
        need(name not in settings.refused, message, name, "unsupported_parameter")
    if path == CHAT:
        messages = body.get("messages")
        whole = isinstance(messages, list) and messages and all(isinstance(m, dict) for m in messages)
        whole = whole and all(message.get("role") in ROLES for message in messages)
        need(whole, "Invalid 'messages': a list of messages, each with a role, is required.", "messages")
        need(body.get("logprobs") or not body.get("top_logprobs"), "'top_logprobs' needs 'logprobs'.", "top_logprobs")
        field, most = "top_logprobs", settings.chat_logprobs
    else:
        prompt = body.get("prompt")
        ids = isinstance(prompt, list) and all(isinstance(token, int) for token in prompt)
        need(isinstance(prompt, str) or ids, "Invalid 'prompt': a string or a list of token ids.", "prompt")
        field, most = "logprobs", settings.completion_logprobs
    need((body.get(field) or 0) <= most, f"Invalid '{field}': must be at most {most}.", field)
    need(body.get("n") in (None, 1), "This stand-in gives one choice only.", "n")
    need(not body.get("stream"), "Streaming is not supported.", "stream")


def say(body: dict, reply: Reply, chances: Chances, settings: Settings, draw: int) -> Said:
    """Answer a checked body.

    `reply` and `chances` see it with the seed that holds: the one asked for, or
    `draw` where none was or the host ignores it; none at temperature 0.
    """
    seed = body.get("seed") if "seed" in settings.abilities else None
    sampled = body.get("temperature", 1) != 0
    told = {name: value for name, value in body.items() if name != "seed"}
    if sampled:
        told["seed"] = draw if seed is None else seed
    text, stops = reply(told), body.get("stop") or []
    for stop in [stops] if isinstance(stops, str) else stops:
        text = text.partition(stop)[0]
    full = tokens(text)
    asked = prompt_tokens(body)
    most = most_tokens(body)
    if asked + (most or 0) > settings.context:
        message = f"This model's maximum context length is {settings.context} tokens. You requested {asked} + {most}."
        raise Refusal(
            400, message, code="context_length_exceeded", param="messages" if "messages" in body else "prompt"
        )
    most = settings.context - asked if most is None else most
    kept = full[:most]
    candidates = [*chances(told)[: len(kept)]]
    candidates += [{token: 1.0} for token in kept[len(candidates) :]]
    return Said(kept, candidates, "length" if len(full) > most else "stop", asked)


def prompt_tokens(body: dict) -> int:
    prompt = body.get("prompt")
    return len(prompt) if isinstance(prompt, list) else len(tokens(content(body)))


def most_tokens(body: dict) -> int | None:
    """Of the answer; None: as many as the context has room for."""
    return body.get("max_completion_tokens", body.get("max_tokens"))


def complete(path: str, body: dict, said: Said, settings: Settings, number: int) -> dict:
    """The whole answer as JSON."""
    choice = {"index": 0, "finish_reason": said.finish, "logprobs": logprobs(path, body, said, settings)}
    if path == CHAT:
        choice["message"] = {"role": "assistant", "content": said.text, "refusal": None, "annotations": []}
    else:
        choice["text"] = said.text
    return {**head(path, body, number), "choices": [choice], "usage": usage(said, settings)}


def head(path: str, body: dict, number: int) -> dict:
    kind = "text_completion" if path == COMPLETIONS else "chat.completion"
    name = f"{'cmpl' if path == COMPLETIONS else 'chatcmpl'}-{number}"
    return {"id": name, "object": kind, "created": now(), "model": body["model"], "system_fingerprint": "fp_standin"}


def usage(said: Said, settings: Settings) -> dict:
    written = len(said.tokens) + settings.reasoning_tokens
    return {
        "prompt_tokens": said.prompt_tokens,
        "completion_tokens": written,
        "total_tokens": said.prompt_tokens + written,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": settings.reasoning_tokens},
    }


def logprobs(path: str, body: dict, said: Said, settings: Settings) -> dict | None:
    """Log-probabilities in the endpoint's own shape; None: not asked for, or ignored."""
    asked = body.get("logprobs")
    if asked in (None, False) or "logprobs" not in settings.abilities:
        return None
    own = [
        _log(chances.get(t, 1 - sum(chances.values()))) for t, chances in zip(said.tokens, said.chances, strict=True)
    ]
    if path == CHAT:
        tops = [_top(chances, body.get("top_logprobs") or 0) for chances in said.chances]
        entries = [
            {**_entry(token, log), "top_logprobs": [_entry(*candidate) for candidate in top.items()]}
            for token, log, top in zip(said.tokens, own, tops, strict=True)
        ]
        return {"content": entries, "refusal": None}
    starts = [len("".join(said.tokens[:i])) for i in range(len(said.tokens))]
    # The token written is listed beside the most probable ones.
    tops = [_top(c, asked) | {t: log} for t, c, log in zip(said.tokens, said.chances, own, strict=True)]
    return {"tokens": said.tokens, "token_logprobs": own, "top_logprobs": tops, "text_offset": starts}


def _message(message: dict) -> str:
    text = message.get("content") or ""
    return text if isinstance(text, str) else "".join(part.get("text", "") for part in text)


def _top(chances: dict[str, float], most: int) -> dict[str, float]:
    ranked = sorted(chances.items(), key=lambda item: -item[1])[:most]
    return {token: _log(chance) for token, chance in ranked}


def _entry(token: str, log: float) -> dict:
    return {"token": token, "logprob": log, "bytes": list(token.encode())}


def _log(chance: float) -> float:
    return math.log(chance) if chance > 0 else IMPOSSIBLE
