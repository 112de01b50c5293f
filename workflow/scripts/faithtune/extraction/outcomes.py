"""The outcomes of reading an answer out of a text, and the rules by which a text declines to answer."""

import re
from typing import NamedTuple


class Extraction(NamedTuple):
    """The result of reading an answer out of a text."""

    outcome: str  # answered | unanswered | refused | ambiguous
    answer: str | None  # letter, canonical number or expression; None unless answered
    span: tuple[int, int] | None  # start and end of the answer in the text; None unless answered


UNANSWERED = Extraction("unanswered", None, None)
REFUSED = Extraction("refused", None, None)
AMBIGUOUS = Extraction("ambiguous", None, None)

_CANNOT = (
    r"(?:can(?:no|['\u2019])t|can not|could not|couldn['\u2019]t|unable to|impossible to|not possible to|not able to)"
)
_LITTLE = (
    r"(?:insufficient|inadequate|incomplete|not enough|not sufficient|too little|lack of|without (?:more|further))"
)
_KNOWN = r"(?:information|data|context|details?|evidence)"
_OFFERED = r"(?:provided|listed|given|included|present|available|mentioned|shown|offered)"

_REFUSALS = {
    # I cannot determine the answer.   Unable to answer without the figure   It is impossible to say.
    "cannot": re.compile(
        rf"\b{_CANNOT}\s+(?:\w+ly\s+)?(?:be\s+)?(?:determin|answer|provid|choos|chose|select|pick|tell|say|decid|conclud"
        r"|identif|assist|help|comply|view|make an?\b|give an?\b)\w*",
        re.IGNORECASE,
    ),
    # None of the options is right.    None of these.      (but not "none of the other options", which weighs them)
    "none": re.compile(
        r"\bnone of (?:the|these|those|them|your)\b(?:\s+(?:above|given|provided|listed|available|presented|answers?))*"
        r"(?:\s+(?:options|choices|statements)\b|(?=\s*(?:[\"'.,;*]|is\b|are\b|$)))",
        re.IGNORECASE | re.MULTILINE,
    ),
    # Not provided in the options    It is not among the choices.    Not listed (if it is the whole text)
    "not_offered": re.compile(
        rf"\bnot\s+(?:{_OFFERED}\s+)?(?:in|among|amongst|within)\s+(?:any\s+of\s+)?(?:(?:the|these|those|your)\s+)?"
        rf"(?:(?:{_OFFERED}|possible|answer)\s+)*(?:options|choices)\b"
        rf"|\bnot\s+{_OFFERED}\s+as\s+an?\s+(?:option|choice)\b"
        rf"|\A\W*not\s+{_OFFERED}(?:\s+(?:here|above|below))?\W*\Z",
        re.IGNORECASE,
    ),
    # Insufficient information    The question does not provide enough data    Information not sufficient
    "too_little": re.compile(
        rf"\b{_LITTLE}\s+(?:\w+\s+){{0,2}}{_KNOWN}\b"
        rf"|\b{_KNOWN} (?:is |are )?(?:not sufficient|insufficient|not enough)\b"
        rf"|\bnot provide (?:enough|sufficient|any)\s+(?:\w+\s+){{0,2}}{_KNOWN}\b",
        re.IGNORECASE,
    ),
    # The question is flawed.     All options are identical.
    "bad_question": re.compile(
        r"\bthe question (?:is|seems|appears)(?: to be)? (?:flawed|incomplete|unclear|ambiguous|invalid|unanswerable)\b"
        r"|\ball (?:the |of the )?(?:options|choices) are (?:identical|the same)\b",
        re.IGNORECASE,
    ),
}
_OPENINGS = {
    # I'm sorry, but ...
    "sorry": re.compile(r"\W*(?:I['\u2019]m|I am)? ?(?:very |truly )?(?:sorry\b|afraid I can)", re.IGNORECASE),
    # The response was filtered        (a host declines in its model's place)
    "filtered": re.compile(
        r"\W*the (?:response|request|prompt|content) was (?:filtered|blocked|flagged)\b", re.IGNORECASE
    ),
}
_SENTENCE_START = re.compile(r"(?:(?<=[.!?])\s+|\n)(?=\S)")


def is_refusal(text: str) -> bool:
    """Whether a text that declares nothing declines to answer, in its first words or its last two sentences.

    Elsewhere a chain may say what cannot be determined and go on.
    """
    starts = [match.end() for match in _SENTENCE_START.finditer(text.rstrip())]
    last = text[starts[-2] if len(starts) > 1 else 0 :]
    return any(rule.match(text) for rule in _OPENINGS.values()) or contains_refusal(last)


def contains_refusal(text: str) -> bool:
    """Whether `text` declines anywhere: "cannot be determined", "none of the above"."""
    return any(rule.search(text) for rule in _REFUSALS.values())
