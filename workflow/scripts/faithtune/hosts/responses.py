"""What a host's JSON says: a text, whether it is whole, the likeliest tokens.

{"choices": [{"text": " B", "finish_reason": "stop", "logprobs": {...}}], "usage": {...}}               completions
{"choices": [{"message": {"content": "B"}, "finish_reason": "stop", "logprobs": {...}}], "usage": ...}  chat
"""

# How hosts say that a model ended its turn; None: they do not say. All other reasons cut a text short.
ENDED = ("stop", "eos", "eos_token", "end_turn", "stop_sequence", None)
# How they say that they broke off for a reason of their own, which may be gone.
BROKEN = ("error", "abort", "network_error", "insufficient_system_resource")
FILTERED = "content_filter"  # a finish reason, and the code of a refused request
# What stands for the answer of a host that declines to answer at all.
DECLINED = {"choices": [{"text": "", "finish_reason": FILTERED}]}

# A token, and the likeliest there with their log-probabilities: pairs, as two tokens may read alike.
Place = tuple[str, list[tuple[str, float]]]


def is_answer(response: dict) -> bool:
    """Whether it holds what was asked for: a choice with its text, or why there is none."""
    choice = _choice(response)
    if choice is None or choice.get("error") or choice.get("finish_reason") in BROKEN:
        return False
    if _text(choice) is not None:
        return True
    content = (choice.get("message") or {}).get("content")
    return content is None and choice.get("finish_reason") is not None


def text(response: dict) -> str:
    """What the model wrote; "" where it ended, or was stopped, before a word."""
    return _text(_choice(response)) or ""


def is_finished(response: dict) -> bool:
    """Whether the model ended its turn. What a host declines is finished too, unless it was cut short in its midst."""
    reason = _choice(response).get("finish_reason")
    return reason in ENDED or (reason == FILTERED and not text(response))


def places(response: dict) -> list[Place]:
    """The tokens of the text with the likeliest at their place; empty where the host gives none."""
    logprobs = _choice(response).get("logprobs") or {}
    if logprobs.get("content"):  # chat
        return [
            (one["token"], [(top["token"], top["logprob"]) for top in one.get("top_logprobs") or []])
            for one in logprobs["content"]
        ]
    tops = logprobs.get("top_logprobs") or []
    return [(token, list((top or {}).items())) for token, top in zip(logprobs.get("tokens") or [], tops, strict=False)]


def error(response: dict) -> dict | None:
    """A host's error, where it comes as an answer of status 200."""
    said = response.get("error")
    if not said or _choice(response):
        return None
    return said if isinstance(said, dict) else {"message": str(said)}


def _choice(response: dict) -> dict | None:
    choices = response.get("choices")
    return choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else None


def _text(choice: dict) -> str | None:
    message = choice.get("message") or {}
    content = message.get("content")
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):  # in parts
        content = "".join(part.get("text") or "" for part in content)
    said = (choice.get("text"), content, message.get("refusal"))
    return next((text for text in said if isinstance(text, str) and text), "" if "" in said else None)
