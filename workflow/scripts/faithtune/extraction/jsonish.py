"""Completions that are JSON or were meant to be: {"step_by_step_thinking": "...", "answer_choice": "C"}."""

import json
import re
from collections.abc import Iterator

from faithtune.extraction.cues import OBJECT

_ANSWER_KEY = OBJECT["object_key"]
_OPENING = re.compile(r"\s*(?:```\w*\s*)?(?=\{\s*[\"'])")
_FENCE = re.compile(r"\s*```\s*\Z")
_KEY = re.compile(r"(?:\A\{|[\"'\]\d]\s*,)\s*[\"']\w[\w ]{0,60}[\"']\s*:\s*")
_EDGES = " \t\r\n{}[],\"'"
_ESCAPED = re.compile(r"\\(n(?![a-z])|[\"'/])")


def reasoning(text: str) -> str:
    r"""The text of a chain that was written as JSON: all but the answer's value, escapes like \n undone.

    Also where it is no valid JSON: single quotes, an unescaped quotation mark, no end, or the opening left out
    (free text and then ", "answer_choice": "C"}). Other texts come back as they are.
    """
    opening = _OPENING.match(text)
    body = _FENCE.sub("", text[opening.end() :]) if opening else text
    try:
        whole = json.loads(body, strict=False)
    except ValueError:
        whole = None
    if isinstance(whole, dict):
        return "\n".join(_strings(whole))
    keys = list(_KEY.finditer(body))
    if not opening and not (body.rstrip().endswith("}") and any(_ANSWER_KEY.search(key[0]) for key in keys)):
        return text
    parts = [body[: keys[0].start() + 1]] if keys and not opening else []
    ends = [key.start() + 1 for key in keys[1:]] + [len(body)]
    parts += [body[key.end() : end] for key, end in zip(keys, ends, strict=True) if not _ANSWER_KEY.search(key[0])]
    return "\n".join(
        _ESCAPED.sub(lambda escape: "\n" if escape[1] == "n" else escape[1], part.strip(_EDGES)) for part in parts
    )


def _strings(value: object) -> Iterator[str]:
    """All strings in a JSON value but those whose key is an answer's."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not _ANSWER_KEY.fullmatch(f'"{key}":'):
                yield from _strings(item)
