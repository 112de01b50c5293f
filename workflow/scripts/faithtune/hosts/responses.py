"""What a response holds: its text, whether the text is complete, the most likely tokens.

{"choices": [{"text": " B", "finish_reason": "stop", "logprobs": {...}}], "usage": {...}}               completions
{"choices": [{"message": {"content": "B"}, "finish_reason": "stop", "logprobs": {...}}], "usage": ...}  chat
"""

# Finish reasons of a completed turn; None: the host gives no reason. All other reasons mean a truncated text.
ENDED = ("stop", "eos", "eos_token", "end_turn", "stop_sequence", None)
# Finish reasons of a host's own failure, after which a retry may succeed.
BROKEN = ("error", "abort", "network_error", "insufficient_system_resource")
FILTERED = "content_filter"  # a finish reason, and the code of a refused request
# Stands for the response of a host that refuses to answer.
DECLINED = {"choices": [{"text": "", "finish_reason": FILTERED}]}

# A token, and the most likely tokens there with their log-probabilities: pairs, as two tokens may read alike.
Place = tuple[str, list[tuple[str, float]]]


def is_answer(response: dict) -> bool:
    """Whether the response has a choice with a text, or with the reason why there is none."""
    choice = _choice(response)
    if choice is None or choice.get("error") or choice.get("finish_reason") in BROKEN:
        return False
    if _text(choice) is not None:
        return True
    content = (choice.get("message") or {}).get("content")
    return content is None and choice.get("finish_reason") is not None


def text(response: dict) -> str:
    """What the model wrote; "" if it stopped, or was stopped, before the first word."""
    return _text(_choice(response)) or ""


def is_finished(response: dict) -> bool:
    """Whether the model completed its turn. An answer that a filter refused is finished, unless it was truncated."""
    reason = _choice(response).get("finish_reason")
    return reason in ENDED or (reason == FILTERED and not text(response))


def places(response: dict) -> list[Place]:
    """Each token of the text with the most likely tokens at its place; empty if the host gives none."""
    logprobs = _choice(response).get("logprobs") or {}
    if logprobs.get("content"):  # chat
        return [
            (place["token"], [(top["token"], top["logprob"]) for top in place.get("top_logprobs") or []])
            for place in logprobs["content"]
        ]
    tops = logprobs.get("top_logprobs") or []
    return [(token, list((top or {}).items())) for token, top in zip(logprobs.get("tokens") or [], tops, strict=False)]


def error(response: dict) -> dict | None:
    """The error that a host sent with status 200."""
    found = response.get("error")
    if not found or _choice(response):
        return None
    return found if isinstance(found, dict) else {"message": str(found)}


def _choice(response: dict) -> dict | None:
    choices = response.get("choices")
    return choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else None


def _text(choice: dict) -> str | None:
    message = choice.get("message") or {}
    content = message.get("content")
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):  # in parts
        content = "".join(part.get("text") or "" for part in content)
    candidates = (choice.get("text"), content, message.get("refusal"))
    return next((text for text in candidates if isinstance(text, str) and text), "" if "" in candidates else None)
