"""Prepares a text for extraction: normalised marks, the end of its thinking, the next turn, JSON unwrapped.

Completions may be JSON, valid or not: {"step_by_step_thinking": "...", "answer_choice": "C"}.
"""

import json
import re
from collections.abc import Iterator

from faithtune.extraction.cues import OBJECT

# Full-width letters and marks, mapped one to one so that positions in the text do not change.
_MARKS = str.maketrans("（）［］：．，。！？；", "()[]:.,.!?;") | {0x200B: " ", 0xFEFF: " "}
_MARKS |= {0xFF21 + i: 0x41 + i for i in range(26)} | {0xFF10 + i: 0x30 + i for i in range(10)}
_BOLD_TAG = re.compile(r"</?(?:b|strong|em|i|u)>", re.IGNORECASE)
_THOUGHT_END = re.compile(r"</(?:think|thinking|thought)>", re.IGNORECASE)
# The start of another speaker's turn, or of the next question.
NEXT_TURN = re.compile(
    r"<\|(?:im_start|start_header_id)\|>\s*user|(?<=\S)\s*\[INST\]"
    r"|^[ \t#*]*(?P<next>human|user|question|q|problem)\s?\d*[*]*:",
    re.IGNORECASE | re.MULTILINE,
)
# Words that take back an answer; the group "check" only announces that the model checks its answer.
CORRECTION = re.compile(
    r"(?:(?<=[.!?\u2026\n,;:(\u2013\u2014*])|\A)\s*(?:(?:oh|but|hmm+|um|ah|well|so|and|no)\b[,.\s]*){0,2}"
    r"(?:(?:wait|actually|hold on|hang on|on second thought|scratch that|correction|oops|my mistake|no(?=\s?[,:.])"
    r"|I (?:made|misread|miscounted|miscalculated|forgot|was wrong|need to correct|meant)"
    r"|(?:this|that)(?:['\u2019]s| is) (?:wrong|incorrect|not (?:right|correct)))\b"
    r"|(?P<check>let me (?:re\w*|double|check|verify|think|look)"
    r"|let['\u2019]s (?:re\w+|double|check|verify)|hmm+)\b)[\s,:;.!\u2026]*",
    re.IGNORECASE,
)


def normalise_marks(text: str) -> str:
    """The text with full-width marks and bold tags as ASCII; every character keeps its position."""
    return _BOLD_TAG.sub(lambda tag: "*" * len(tag[0]), text.translate(_MARKS))


def thought_end(text: str) -> int:
    """The position after the last "</think>"; 0 without such a tag."""
    return max((match.end() for match in _THOUGHT_END.finditer(text)), default=0)


_ANSWER_KEY = OBJECT["object_key"]
_OPENING = re.compile(r"\s*(?:```\w*\s*)?(?=\{\s*[\"'])")
_FENCE = re.compile(r"\s*```\s*\Z")
_KEY = re.compile(r"(?:\A\{|[\"'\]\d]\s*,)\s*[\"']\w[\w ]{0,60}[\"']\s*:\s*")
_EDGES = " \t\r\n{}[],\"'"
_ESCAPED = re.compile(r"\\(n(?![a-z])|[\"'/])")


def unwrap_json(text: str) -> str:
    r"""The reasoning in a chain written as JSON: all strings but the answer's, with escapes like \n decoded.

    Also reads invalid JSON: single quotes, unescaped quotation marks, a missing end, or a missing opening
    (free text and then ", "answer_choice": "C"}). Returns other texts unchanged.
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
    if opening and not keys:
        return text
    if not opening and not (body.rstrip().endswith("}") and any(_ANSWER_KEY.search(key[0]) for key in keys)):
        return text
    parts = [body[: keys[0].start() + 1]] if keys and not opening else []
    ends = [key.start() + 1 for key in keys[1:]] + [len(body)]
    parts += [body[key.end() : end] for key, end in zip(keys, ends, strict=True) if not _ANSWER_KEY.search(key[0])]
    return "\n".join(
        _ESCAPED.sub(lambda escape: "\n" if escape[1] == "n" else escape[1], part.strip(_EDGES)) for part in parts
    )


def _strings(value: object) -> Iterator[str]:
    """All strings in a JSON value but those under the key of an answer."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not _ANSWER_KEY.fullmatch(f'"{key}":'):
                yield from _strings(item)
