"""The answer that a text declares: read, never guessed.

Evaluations stand or fall with extraction, because tuning changes the form of
the answer. So each form that counts as a declaration is a named rule, what is
read is a character span that can be looked up, and *unanswered* is an outcome
of its own, neither right nor wrong nor "unchanged".
"""

import re
import string
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from faithtune.questions import canonical_number

# Text that begins the final line of a chain. What stands after such a cue is
# the answer and no reasoning, so `steps.split` ends the chain there.
FINAL_LINE = {
    # Final Answer: B        **Final Answer:** The single, most likely answer is (B)
    "final_answer": re.compile(r"\bfinal answer\**\s*:", re.IGNORECASE),
    # Answer: 42             Step 3: Answer: 42
    "answer_line": re.compile(r"^[ \t>#*]*(?:step \d+[:.)]\s*)?answer\**\s*:", re.IGNORECASE | re.MULTILINE),
    # #### 42                (GSM8K; with a number only, as "#### Title" is a heading)
    "hashes": re.compile(r"^[ \t]*####(?=[ \t]*[-$]*[\d,.]+[^\w\n]*$)", re.MULTILINE),
    # A: 42                  (GSM8K's example solutions; a number that ends the text, as "A: text" may weigh an option)
    "a_line": re.compile(r"^A:(?=[ \t]*[-$]*[\d,.]+[\W_]*\Z)", re.MULTILINE),
}

# All rules, the most explicit first. The first rule whose cue occurs decides.
RULES = FINAL_LINE | {
    # The answer is (C).     So the correct answer is 42 apples.
    "answer_is": re.compile(r"\banswer is\b:?", re.IGNORECASE),
}

# Signs: hyphen or U+2212. Not within a word or a longer number: "B12", "1.2.3", "1e3" and "1,2" hold none.
_NUMBER = re.compile(
    r"(?P<sign>(?<![\w)%])[-\u2212])?[$€£]?(?P<inner_sign>[-\u2212])?"
    r"(?P<digits>(?<![A-Za-z\d.,])(?:(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+)(?![.,]?[0-9]|[eE][0-9]))"
)
_BEFORE_NUMBER = re.compile(r"[\s*_\"'(~=]*")
_OPERATOR = r"(?:[-\u2212\u2013+*/\u00d7÷^]|(?<![A-Za-z])x(?![A-Za-z]))\s*"
# After a number: "… * 2", "… eggs - 3", "…:30", so it is an operand and not yet the answer.
_GOES_ON = re.compile(rf"[A-Za-z ]*{_OPERATOR}[$€£(]*[0-9]|[A-Za-z ]*=|:[0-9]")
# Before a number: "39 * ", so the expression was left unworked.
_OPERAND_BEFORE = re.compile(rf"[0-9)]\s*(?:{_OPERATOR}|:)?[$€£(]*$")
_BLANK = re.compile(r"[\s*]*")
_LINE_END = re.compile(r"\n|\Z")
_SENTENCE_END = re.compile(r"\n|[.!?](?=\s)|\Z")
_STEP = re.compile(r"[\s*]*step\s+\d", re.IGNORECASE)


class Extraction(NamedTuple):
    """What was read out of a text."""

    outcome: str  # answered | unanswered
    answer: str | None  # letter or canonical number; None unless answered
    span: tuple[int, int] | None  # where in the text the answer stands: start, end


UNANSWERED = Extraction("unanswered", None, None)


def declared(text: str, kind: str, options: Sequence[str] = ()) -> Extraction:
    """The last answer that a free text declares.

    Args:
        text: the whole text.
        kind: choice | number.
        options: for kind choice, the options' texts (their number bounds the letters).

    The first of `RULES` whose cue occurs decides, so a "Final Answer:" line is
    never overruled by a sentence in the reasoning, also when it cannot be read;
    of its several declarations the last that can be read counts. A letter or
    number that nothing declares is never taken.
    """
    for name, cue in RULES.items():
        matches = list(cue.finditer(text))
        for match in reversed(matches):
            extraction = _read(text, match.end(), kind, options, _LINE_END if name in FINAL_LINE else _SENTENCE_END)
            if extraction.outcome == "answered":
                return extraction
        if matches:
            return UNANSWERED
    return UNANSWERED


def forced(text: str, kind: str, options: Sequence[str] = ()) -> Extraction:
    """The answer in what a model wrote right after the cue "Final Answer:".

    The first line that is not blank is read, as after a declaration:

    * choice: the letter it begins with, in any of the forms "B", "(B)", "B. text";
    * number: the number it begins with (" 66", " $66.", " 66 apples") unless that is an operand; then, and
      where it begins with words, the number after the last "=" (" 2 + 3 = 5"); without "=" the last number
      of the first sentence ("She has 66"). An expression left unworked ("39 * 2", "1/2", "5:30") is no answer.

    A model that goes on with a step ("Step 1: …") has not answered.
    """
    return _read(text, 0, kind, options, _LINE_END)


def _read(text: str, start: int, kind: str, options: Sequence[str], stop: re.Pattern) -> Extraction:
    """Read the answer between `start`, less white space that follows it, and the next `stop`."""
    start = _BLANK.match(text, start).end()
    end = stop.search(text, start).start()
    if _STEP.match(text, start, end):
        return UNANSWERED
    if kind == "choice":
        match = _letter_pattern(len(options) or len(string.ascii_uppercase)).match(text, start, end)
        if match is None:
            return UNANSWERED
        return Extraction("answered", match[match.lastindex], match.span(match.lastindex))
    match = _number(text, start, end)
    answer = match and canonical_number(_plain(match))
    return Extraction("answered", answer, match.span()) if answer else UNANSWERED


@lru_cache
def _letter_pattern(n_options: int) -> re.Pattern:
    """A line that begins by naming one option.

    A bare letter must be followed by punctuation or the line's end, lest "A
    patient …" be read as A; and "A or B", "(A) and (C)" name no single option.
    """
    letter = f"[{string.ascii_uppercase[:n_options]}]"
    return re.compile(
        r"(?:(?i:the|single,?|most|likely|correct|best|right|final|answer|option|choice|letter|is:?)\s+)*[\"'*]*"
        rf"(?:\(({letter})\)|\[({letter})\]|({letter})(?=[).:,;*\"']|\s*$|\s+(?:because|since|as|[-\u2013\u2014])\s))"
        rf"(?![).\"'*]*\s*(?:,|/|&|or\b|and\b)\s*(?:or\b|and\b)?\s*[(\[]?{letter}\b)"
    )


def _number(text: str, start: int, end: int) -> re.Match | None:
    """The number that a line gives as its answer; the rules are `forced`'s."""
    first = _NUMBER.match(text, _BEFORE_NUMBER.match(text, start, end).end(), end)
    if first and not _GOES_ON.match(text, first.end(), end):
        return first
    equals = text.rfind("=", start, end)
    if equals >= 0:
        result = _NUMBER.search(text, equals + 1, end)
        return result if result and not _GOES_ON.match(text, result.end(), end) else None
    numbers = list(_NUMBER.finditer(text, start, min(end, _SENTENCE_END.search(text, start).start())))
    if first or not numbers or _OPERAND_BEFORE.search(text[start : numbers[-1].start()]):
        return None
    return numbers[-1]


def _plain(match: re.Match) -> str:
    sign = "-" if match["sign"] or match["inner_sign"] else ""
    return sign + match["digits"]
