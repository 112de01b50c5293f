"""Which part of a text can hold its answer: not what was thought before it, nor the next question after it."""

import re

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
