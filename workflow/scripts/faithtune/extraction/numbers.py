"""The number that a declaration gives as its answer."""

import re

from faithtune.extraction.numerals import NUMBER, TYPOGRAPHY, canonical, goes_on, in_words, is_operand
from faithtune.extraction.outcomes import AMBIGUOUS, REFUSED, UNANSWERED, Extraction, says_no

_BEFORE = re.compile(
    r"(?:[\s*_\"'`(~=\u2248]|\\[(\[]|\\(?:boxed|fbox|text|mathbf|mathrm)\s?\{|\\approx|\$(?=\\|\d|-|\u2212|\u2013|\$)"
    r"|(?:US|Rs\.?)(?=\s?[$\d])|\b(?:about|approximately|roughly|only|exactly)\s)*"
)
# Before a number: "minus 5"; "- 5" in a formula, as elsewhere the dash may be none of its own; "±3", ">5", "\sqrt{2}".
_MINUS = re.compile(
    r"(?:minus|negative)\s+(?=\\?[$€£]?[\d.])|(?:(?<=[{($=])|(?<=[{($=]\s))[-\u2212\u2013]\s+(?=\d)", re.IGNORECASE
)
_NO_NUMBER = re.compile(rf"[<>\u2264\u2265\u00b1\u221a]|[-\u2212\u2013]\s|\\(?!{TYPOGRAPHY}|[dt]?frac)[A-Za-z]+")
_DENIED = re.compile(r"\bnot\b|n['\u2019]t\b|\bnever\b", re.IGNORECASE)
_NOT = re.compile(r"\bnot\s(?:\w+\s)?\Z", re.IGNORECASE)
# "5 to 7", "5 or 7", "5, 7", "5 hours and 30 minutes", "5 feet 6 inches": one number of several.
_SEVERAL = r"(?:[*_$]*\s?(?:,|;|\bto|\bor|\band|&|,\s?and|,\s?or)\s|\\text\s?\{\s?(?:or|and|to)\s?\})"
_UNIT = (
    r"(?:years?|months?|weeks?|days?|hours?|hrs?|h|minutes?|mins?|m|seconds?|secs?|s|feet|foot|ft|inch(?:es)?|in|yards?"
    r"|miles?|pounds?|lbs?|ounces?|oz|kg|km|cm|dollars?|cents?|gallons?|quarts?|pints?|cups?)\b"
)
_SEVERAL_AFTER = re.compile(
    rf"\s?[%°]?(?:\s?[A-Za-z]+)?{_SEVERAL}\s*(?=[*_$]*[-\u2212\u2013]?\\?[$€£]?[0-9])"
    rf"|(?:\s[A-Za-z]+){{1,4}}\s(?:and|or)\s\\?[$€£]?(?=[0-9])|\s?{_UNIT}\.?,?\s?(?=[0-9]+\s?{_UNIT})"
)
_NEXT = re.compile(r"[*_$\\]*")
# "7 = 12 - 5": the result first, then a sum and nothing else
_RESULT_FIRST = re.compile(
    r"\s*=\s*[\d.,$€£]+(?:\s*(?:[-\u2212+*/\u00d7÷x]|\\(?:times|div|cdot))\s*[\d.,$€£]+)+[).$*\\\s]*\Z"
)
_VARIABLE = re.compile(r"(?<![\d)]\s)(?<![\w$])([A-Za-z]\w*)\s*=")
_BOLD = re.compile(r"\*\*[^*\n]+\*\*")
_BARE = re.compile(r"(?:\s?[%°]|\s[A-Za-z]+)?[\s.*_$)}\\\"']*")
_SENTENCE_END = re.compile(r"\n|[.!?](?=\s)|\Z")


def read(text: str, start: int, end: int, lenient: bool = False) -> Extraction:
    """The number of a declaration.

    The number it begins with (" 66", " $66.", " minus 66", " 66 apples") unless that goes on or is an operand; then,
    and where it begins with words, what stands after the last "=" (" 2 + 3 = 5") of the first sentence with a number;
    without "=" that sentence's only number, in digits or words ("She has 66"), or its only one in bold. An expression
    left unworked ("39 * 2", "5:30") is no answer. Several numbers ("5 to 7", "5 boxes for 60 eggs", "x = 3, y = 4")
    are ambiguous; `lenient` takes the first.
    """
    begin = _BEFORE.match(text, start, end).end()
    none = not _MINUS.match(text, begin, end) and _NO_NUMBER.match(text, begin, end)
    first = None if none else _number(text, begin, end)
    if first and not goes_on(first[0], end):
        return _single(*first, end, lenient)
    if first and _RESULT_FIRST.match(text, first[0].end(), end):
        return _extraction(*first)
    sentence_end = _sentence_end(text, start, end)
    if says_no(text[start:sentence_end]):
        return REFUSED
    equals = max(text.rfind(sign, start, sentence_end) for sign in "=\u2248")
    if equals >= 0:
        return _result(text, start, equals + 1, sentence_end, lenient)
    return UNANSWERED if none or first else _only(text, start, sentence_end, lenient)


def read_subject(text: str, start: int, end: int) -> Extraction:
    """The only number of a clause that ends with it and its unit: "66 apples" before " is the answer"."""
    found = list(NUMBER.finditer(text, start, end))
    if not found or is_operand(found[-1]) or re.search(r"[^\w\s*%°$]", text[found[-1].end() : end]):
        return UNANSWERED
    return _only(text, start, end, False)


def bare(text: str) -> Extraction:
    """The number that is the whole text, with a unit of one word at most."""
    number = _number(text, _BEFORE.match(text).end(), len(text))
    if number and not goes_on(number[0], len(text)) and _BARE.fullmatch(text, number[0].end()):
        return _extraction(*number)
    return UNANSWERED


def last(text: str) -> Extraction:
    """The last number of a text that is no operand and not denied; the weakest evidence there is."""
    for match in reversed(list(NUMBER.finditer(text))):
        denied = _NOT.search(text, max(0, match.start() - 30), match.start())
        if not denied and not is_operand(match) and canonical(match):
            return _extraction(match)
    return UNANSWERED


def _number(text: str, start: int, end: int) -> tuple[re.Match, int | None] | None:
    """The number at `start`, and where a "minus" before it begins; None where there is none."""
    minus = _MINUS.match(text, start, end)
    match = NUMBER.match(text, minus.end() if minus else start, end)
    return (match, minus.start() if minus else None) if match else None


def _single(match: re.Match, minus: int | None, end: int, lenient: bool) -> Extraction:
    """A number, unless it is one of several that differ."""
    several = _SEVERAL_AFTER.match(match.string, match.end(), end)
    if several and not lenient:
        other = NUMBER.match(match.string, _NEXT.match(match.string, several.end(), end).end(), end)
        if other is None or canonical(other) != canonical(match):
            return AMBIGUOUS
    return _extraction(match, minus)


def _result(text: str, start: int, after: int, end: int, lenient: bool) -> Extraction:
    """What stands after the last "=" of a sentence; ambiguous, where it gives values to several variables."""
    sentence = text[start:end]
    several = len(set(_VARIABLE.findall(sentence))) > 1 or (sentence.count("=") > 1 and re.search(r"\bor\b", sentence))
    number = _number(text, _BEFORE.match(text, after, end).end(), end)
    if number is None or goes_on(number[0], end):
        return UNANSWERED
    return AMBIGUOUS if several and not lenient else _single(*number, end, lenient)


def _only(text: str, start: int, end: int, lenient: bool) -> Extraction:
    """The only number of a sentence, or its only one in bold."""
    found = list(NUMBER.finditer(text, start, end))
    if not found or _DENIED.search(text, start, found[-1].start()):
        return UNANSWERED
    bold = [
        match for match in found if any(b.start() < match.start() < b.end() for b in _BOLD.finditer(text, start, end))
    ]
    chosen = bold if len(bold) == 1 else found
    values = {canonical(match) for match in chosen}
    if chosen is found:
        values |= in_words(text[start:end])
    if len(values) > 1 and not lenient:
        return AMBIGUOUS
    return next((_extraction(match) for match in chosen if not is_operand(match)), UNANSWERED)


def _sentence_end(text: str, start: int, end: int) -> int:
    """The end of the first sentence that holds a number; the first one's, where none does."""
    first = stop = _SENTENCE_END.search(text, start, end).start()
    while stop < end and not NUMBER.search(text, start, stop):
        stop = _SENTENCE_END.search(text, stop + 1, end).start()
    return stop if NUMBER.search(text, start, stop) else first


def _extraction(match: re.Match, minus: int | None = None) -> Extraction:
    answer = canonical(match)
    if answer is None or (minus is not None and answer.startswith("-")):
        return UNANSWERED
    if minus is None:
        return Extraction("answered", answer, match.span())
    return Extraction("answered", answer if answer == "0" else f"-{answer}", (minus, match.end()))
