r"""The number that a declaration gives as its answer, and the canonical spelling of numbers in running text.

The text that touches a number may continue it: "12 345", "10²", "7!", "2\pi", "5k". Then the part that matched is not
a number of the text.
"""

import re
import unicodedata
from fractions import Fraction

from faithtune.data.questions import canonical_number
from faithtune.extraction.outcomes import AMBIGUOUS, REFUSED, UNANSWERED, Extraction, contains_refusal

# Thousands: 1,234   1{,}234   1\,234   1\!\,234   1'234   and no-break, thin or narrow spaces. A plain space
# may separate two numbers, so "12 345" is not read.
_GROUP = r"(?:\\!)?(?:,|\{,\}|\\,|['\u2019\u00a0\u2009\u202f])(?:\\!)?"
# Not within a word or a longer number: "B12", "covid-19", "1.2.3", "1e3" and "1,2" hold no number.
_DIGITS = rf"(?:[0-9]{{1,3}}(?:{_GROUP}[0-9]{{3}})+|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+"
_VULGAR = "\u00bc-\u00be\u2150-\u215e"
_FRACTION = (  # 3/4   3 1/2   3½   \frac{3}{4}   \frac{-1}{2}   3\frac12; "3 / 4" is an expression without a result
    r"[0-9]{1,9}/[0-9]{1,9}|[0-9]{1,9}\s(?:and\s)?[0-9]{1,9}/[0-9]{1,9}"
    r"|(?:[0-9]{1,9}\s?)?\\[dt]?frac\s?(?:\{\s?[-\u2212]?[0-9]{1,9}\s?\}|[0-9])\s?(?:\{\s?[0-9]{1,9}\s?\}|[0-9])"
    rf"|(?:[0-9]{{1,9}}\s?)?[{_VULGAR}]"
)
# Signs: hyphen, U+2212 or en dash directly before the number.
NUMBER = re.compile(
    r"(?P<sign>(?<![\w)%}])[-\u2212\u2013])?(?:\\?[$€£](?P<inner_sign>[-\u2212\u2013])?)?"
    rf"(?<![A-Za-z\d.,])(?<![A-Za-z][-\u2212\u2013])(?:(?<!/)(?P<fraction>{_FRACTION})(?![\d/]|[.,]\d)"
    rf"|(?P<digits>{_DIGITS})(?![.,]?[0-9]|[eE][-+]?[0-9]|\s?[{_VULGAR}]))"
    r"(?:\s(?P<scale>hundred|thousand|million|billion|trillion)\b)?"
)
_SCALE = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_OPERATOR = (
    r"(?:\*\*|[-\u2212\u2013+*/\u00d7÷\u00b1]|\\(?:times|div|cdot|pm)(?![A-Za-z])|(?<![A-Za-z])x(?![A-Za-z]))\s*"
)
# LaTeX commands that do not change a number: a unit in \text{}, degrees, space.
TYPOGRAPHY = r"(?:boxed|fbox|text|math|mbox|circ|degree|quad|qquad|hspace|left|right|approx)"
_CONTINUATION = re.compile(
    rf"[A-Za-z ]*{_OPERATOR}\\?[$€£(]*[0-9]"  # … * 2     … eggs - 3     (an operand, not the answer)
    r"|[A-Za-z ]*=|:[0-9]"  # … eggs =     …:30
    r"|\s*\^(?!\s?\{?\s?\\?circ)|[\u00b2\u00b3\u00b9\u2070-\u2079]|_\{?[0-9]"  # 10^2, 10², 12_{10}; not 45^\circ
    r"|\s[0-9]{3}(?![0-9])|['\u2019]\s?[0-9]|(?:\\[,;:! ])+[0-9]"  # 12 345     5'6"
    rf"|(?:\\[,;:! ]|[.\s])*\\(?!{TYPOGRAPHY})[A-Za-z]"  # 2\pi     2\sqrt{3}     0.\overline{3}
    r"|[kKMBxyzni\u03c0\u221a](?![A-Za-z])|(?:st|nd|rd|th)\b|\+"  # 5k     3x     5th     5+
    r"|\s?(?:remainder|R)\s?[0-9]|\s?\\?%?\s+of\s+\\?[$€£]?[0-9]"  # 8 R 2     1/2 of 60
    r"|\s(?:[a-z]+\s)?and\s(?:a|one|two|three)[ -](?:half|third|quarter|fourth)"  # 3 and a half
)
# Before a number: "39 * " or "x + " (an expression without a result); a power, a root, ±; the number of a step.
_OPERAND_BEFORE = re.compile(
    rf"[0-9)]\s{{0,9}}(?:{_OPERATOR}|:)?[$€£(]{{0,3}}\Z|[A-Za-z]\s?[+/\u00d7÷]\s?\Z|(?:\S\s?-|[\u2212\u2013])\s\Z"
    rf"|[\^_]\{{?\Z|[0-9]['\u2019]\s?\Z|[\u00b1\u221a]\s?\Z|(?<![A-Za-z/<])[A-Za-z]\s?[<>\u2264\u2265]\s?\Z"
    rf"|\\(?!{TYPOGRAPHY})[A-Za-z]+\s?[\[{{]?\Z|\b(?:step|minus|plus|times|negative)\s\Z",
    re.IGNORECASE,
)
_REACH = 60  # so many characters before a number are looked at
_UNITS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_WORDS = {word: value for value, word in enumerate(f"{_UNITS} seventeen eighteen nineteen".split())}
_WORDS |= {word: 10 * tens for tens, word in enumerate(_TENS.split(), start=2)}
_WORD = re.compile(
    rf"\b({'|'.join(sorted(_WORDS, key=len, reverse=True))})"
    r"(?:[- ](one|two|three|four|five|six|seven|eight|nine))?\b",
    re.IGNORECASE,
)


def is_continued(match: re.Match, end: int) -> bool:
    """Whether the text after a number continues it: an operator, a power, further digits."""
    endless = "." in match[0] and re.compile(r"\.\.|\u2026").match(match.string, match.end(), end)
    factorial = match.string.startswith("!", match.end())  # or the end of a sentence: nothing tells them apart
    return bool(factorial or endless or _CONTINUATION.match(match.string, match.end(), end))


def is_operand(match: re.Match) -> bool:
    """Whether a number belongs to an expression, a longer number, a time or a date."""
    before = match.string[max(0, match.start() - _REACH) : match.start()]
    return bool(_OPERAND_BEFORE.search(before)) or is_continued(match, len(match.string))


def canonical_spelling(match: re.Match) -> str | None:
    """A number (a match of NUMBER) in canonical spelling; None for a division by zero.

    Exact decimals are spelled as by `questions.canonical_number` ("3/4" is "0.75", "1.8 billion" is "1800000000"),
    other fractions in lowest terms ("1/3", "-7/3"), which equal no gold answer.
    """
    sign = "-" if match["sign"] or match["inner_sign"] else ""
    if match["digits"] and not match["scale"]:
        return canonical_number(sign + _strip_separators(match["digits"]))
    value = Fraction(_strip_separators(match["digits"])) if match["digits"] else _parse_fraction(match["fraction"])
    if value is None:
        return None
    value *= _SCALE.get(match["scale"], 1)
    if value < 0:
        sign, value = "" if sign else "-", -value
    places = value.denominator.bit_length()
    if 10**places % value.denominator:
        return f"{sign}{value}"
    digits = str(int(value * 10**places)).zfill(places + 1)
    return canonical_number(f"{sign}{digits[:-places]}.{digits[-places:]}")


def spelled_numbers(text: str) -> set[str]:
    """The numbers that a text spells in words ("seven", "twenty-five"), in digits."""
    return {str(_WORDS[first.lower()] + _WORDS.get(second.lower(), 0)) for first, second in _WORD.findall(text)}


def _parse_fraction(text: str) -> Fraction | None:
    if vulgar := re.search(rf"[{_VULGAR}]", text):
        return int(text[: vulgar.start()] or 0) + Fraction(unicodedata.numeric(vulgar[0])).limit_denominator(10)
    whole, command, parts = text.partition("\\")
    if command:
        over, under = (int(part.strip("{} ").replace("\u2212", "-")) for part in re.findall(r"\{[^}]*\}|[0-9]", parts))
        wholes = [int(whole)] if whole.strip() else []
    else:
        *wholes, over, under = (int(part) for part in re.findall(r"[0-9]+", text))
    return sum(wholes) + Fraction(over, under) if under else None


def _strip_separators(digits: str) -> str:
    return re.sub(r"[^0-9.]", "", digits)


_BEFORE = re.compile(
    r"(?:[\s*_\"'`(~=\u2248]|\\[(\[]|\\(?:boxed|fbox|text|mathbf|mathrm)\s?\{|\\approx|\$(?=\\|\d|-|\u2212|\u2013|\$)"
    r"|(?:US|Rs\.?)(?=\s?[$\d])|\b(?:about|approximately|roughly|only|exactly)\s)*"
)
# Before a number: "minus 5"; "- 5" in a formula only, as elsewhere the dash may be punctuation.
_MINUS = re.compile(
    r"(?:minus|negative)\s+(?=\\?[$€£]?[\d.])|(?:(?<=[{($=])|(?<=[{($=]\s))[-\u2212\u2013]\s+(?=\d)", re.IGNORECASE
)
# "±3", ">5", "\sqrt{2}" are not numbers.
_NO_NUMBER = re.compile(rf"[<>\u2264\u2265\u00b1\u221a]|[-\u2212\u2013]\s|\\(?!{TYPOGRAPHY}|[dt]?frac)[A-Za-z]+")
_DENIED = re.compile(r"\bnot\b|n['\u2019]t\b|\bnever\b", re.IGNORECASE)
_NOT = re.compile(r"\bnot\s(?:\w+\s)?\Z", re.IGNORECASE)
# "5 to 7", "5 or 7", "5, 7", "5 hours and 30 minutes", "5 feet 6 inches": the number is one of several.
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
# "7 = 12 - 5": the result, then an expression and nothing else
_RESULT_FIRST = re.compile(
    r"\s*=\s*[\d.,$€£]+(?:\s*(?:[-\u2212+*/\u00d7÷x]|\\(?:times|div|cdot))\s*[\d.,$€£]+)+[).$*\\\s]*\Z"
)
_VARIABLE = re.compile(r"(?<![\d)]\s)(?<![\w$])([A-Za-z]\w*)\s*=")
_BOLD = re.compile(r"\*\*[^*\n]+\*\*")
_UNIT_AND_CLOSING = re.compile(r"(?:\s?[%°]|\s[A-Za-z]+)?[\s.*_$)}\\\"']*")
_SENTENCE_END = re.compile(r"\n|[.!?](?=\s)|\Z")


def read(text: str, start: int, end: int, lenient: bool = False) -> Extraction:
    """The number that a declaration, text[start:end], gives.

    That is the number at its start (" 66", " $66.", " minus 66", " 66 apples"), unless the number is continued or is
    an operand. Otherwise, in the first sentence with a number: the number after the last "=" (" 2 + 3 = 5"), or
    without "=" the only number in digits or words ("She has 66") or the only number in bold. An expression without a
    result ("39 * 2", "5:30") is unanswered. Several numbers ("5 to 7", "5 boxes for 60 eggs", "x = 3, y = 4") are
    ambiguous; `lenient` takes the first.
    """
    begin = _BEFORE.match(text, start, end).end()
    none = not _MINUS.match(text, begin, end) and _NO_NUMBER.match(text, begin, end)
    first = None if none else _match_number(text, begin, end)
    if first and not is_continued(first[0], end):
        return _read_single(*first, end, lenient)
    if first and _RESULT_FIRST.match(text, first[0].end(), end):
        return _as_extraction(*first)
    sentence_end = _find_sentence_end(text, start, end)
    if contains_refusal(text[start:sentence_end]):
        return REFUSED
    equals = max(text.rfind(sign, start, sentence_end) for sign in "=\u2248")
    if equals >= 0:
        return _read_result(text, start, equals + 1, sentence_end, lenient)
    return UNANSWERED if none or first else _read_only_number(text, start, sentence_end, lenient)


def read_subject(text: str, start: int, end: int) -> Extraction:
    """The only number of a clause that ends with the number and its unit: "66 apples" before " is the answer"."""
    found = list(NUMBER.finditer(text, start, end))
    if not found or is_operand(found[-1]) or re.search(r"[^\w\s*%°$]", text[found[-1].end() : end]):
        return UNANSWERED
    return _read_only_number(text, start, end, False)


def read_whole_text(text: str) -> Extraction:
    """The number that fills the whole text, alone or with a unit of one word."""
    number = _match_number(text, _BEFORE.match(text).end(), len(text))
    if number and not is_continued(number[0], len(text)) and _UNIT_AND_CLOSING.fullmatch(text, number[0].end()):
        return _as_extraction(*number)
    return UNANSWERED


def read_last(text: str) -> Extraction:
    """The last number of a text that is neither an operand nor denied: the weakest evidence."""
    for match in reversed(list(NUMBER.finditer(text))):
        denied = _NOT.search(text, max(0, match.start() - 30), match.start())
        if not denied and not is_operand(match) and canonical_spelling(match):
            return _as_extraction(match)
    return UNANSWERED


def _match_number(text: str, start: int, end: int) -> tuple[re.Match, int | None] | None:
    """The number at `start`, and where a "minus" before it begins (None: no minus); None without a number."""
    minus = _MINUS.match(text, start, end)
    match = NUMBER.match(text, minus.end() if minus else start, end)
    return (match, minus.start() if minus else None) if match else None


def _read_single(match: re.Match, minus: int | None, end: int, lenient: bool) -> Extraction:
    """The number; ambiguous if a different number is joined to it, unless `lenient`."""
    several = _SEVERAL_AFTER.match(match.string, match.end(), end)
    if several and not lenient:
        other = NUMBER.match(match.string, _NEXT.match(match.string, several.end(), end).end(), end)
        if other is None or canonical_spelling(other) != canonical_spelling(match):
            return AMBIGUOUS
    return _as_extraction(match, minus)


def _read_result(text: str, start: int, after: int, end: int, lenient: bool) -> Extraction:
    """The number after the last "=" of a sentence; ambiguous if the sentence gives values to several variables."""
    sentence = text[start:end]
    several = len(set(_VARIABLE.findall(sentence))) > 1 or (sentence.count("=") > 1 and re.search(r"\bor\b", sentence))
    number = _match_number(text, _BEFORE.match(text, after, end).end(), end)
    if number is None or is_continued(number[0], end):
        return UNANSWERED
    return AMBIGUOUS if several and not lenient else _read_single(*number, end, lenient)


def _read_only_number(text: str, start: int, end: int, lenient: bool) -> Extraction:
    """The only number of a sentence, or its only number in bold."""
    found = list(NUMBER.finditer(text, start, end))
    if not found or _DENIED.search(text, start, found[-1].start()):
        return UNANSWERED
    bold = [
        match for match in found if any(b.start() < match.start() < b.end() for b in _BOLD.finditer(text, start, end))
    ]
    chosen = bold if len(bold) == 1 else found
    values = {canonical_spelling(match) for match in chosen}
    if chosen is found:
        values |= spelled_numbers(text[start:end])
    if len(values) > 1 and not lenient:
        return AMBIGUOUS
    return next((_as_extraction(match) for match in chosen if not is_operand(match)), UNANSWERED)


def _find_sentence_end(text: str, start: int, end: int) -> int:
    """The end of the first sentence that holds a number; of the first sentence if none does."""
    first = stop = _SENTENCE_END.search(text, start, end).start()
    while stop < end and not NUMBER.search(text, start, stop):
        stop = _SENTENCE_END.search(text, stop + 1, end).start()
    return stop if NUMBER.search(text, start, stop) else first


def _as_extraction(match: re.Match, minus: int | None = None) -> Extraction:
    answer = canonical_spelling(match)
    if answer is None or (minus is not None and answer.startswith("-")):
        return UNANSWERED
    if minus is None:
        return Extraction("answered", answer, match.span())
    return Extraction("answered", answer if answer == "0" else f"-{answer}", (minus, match.end()))
