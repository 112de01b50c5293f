"""Which part of a text can hold its answer: not what was thought before it, nor the next question after it.

Completions that are JSON or were meant to be, {"step_by_step_thinking": "...", "answer_choice": "C"}, are taken apart.
"""

import json
import re
from collections.abc import Iterator

from faithtune.extraction.cues import OBJECT

# Other alphabets' letters and marks, one character for one, so that places in the text stay what they are.
_MARKS = str.maketrans("（）［］：．，。！？；", "()[]:.,.!?;") | {0x200B: " ", 0xFEFF: " "}
_MARKS |= {0xFF21 + i: 0x41 + i for i in range(26)} | {0xFF10 + i: 0x30 + i for i in range(10)}
_BOLD_TAG = re.compile(r"</?(?:b|strong|em|i|u)>", re.IGNORECASE)
_THOUGHT_END = re.compile(r"</(?:think|thinking|thought)>", re.IGNORECASE)
# A turn of somebody else begins, or a further question.
NEXT = re.compile(
    r"<\|(?:im_start|start_header_id)\|>\s*user|(?<=\S)\s*\[INST\]"
    r"|^[ \t#*]*(?P<next>human|user|question|q|problem)\s?\d*[*]*:",
    re.IGNORECASE | re.MULTILINE,
)
# What takes back an answer.     "check" only announces that it is looked at again
CORRECTION = re.compile(
    r"(?:(?<=[.!?\u2026\n,;:(\u2013\u2014*])|\A)\s*(?:(?:oh|but|hmm+|um|ah|well|so|and|no)\b[,.\s]*){0,2}"
    r"(?:(?:wait|actually|hold on|hang on|on second thought|scratch that|correction|oops|my mistake|no(?=\s?[,:.])"
    r"|I (?:made|misread|miscounted|miscalculated|forgot|was wrong|need to correct|meant)"
    r"|(?:this|that)(?:['\u2019]s| is) (?:wrong|incorrect|not (?:right|correct)))\b"
    r"|(?P<check>let me (?:re\w*|double|check|verify|think|look)"
    r"|let['\u2019]s (?:re\w+|double|check|verify)|hmm+)\b)[\s,:;.!\u2026]*",
    re.IGNORECASE,
)


def plain(text: str) -> str:
    """The text with full-width marks and bold tags as ASCII; every character stays in its place."""
    return _BOLD_TAG.sub(lambda tag: "*" * len(tag[0]), text.translate(_MARKS))


def after_thought(text: str) -> int:
    """Where the answering begins: behind the last "</think>"."""
    return max((match.end() for match in _THOUGHT_END.finditer(text)), default=0)


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
