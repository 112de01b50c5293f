"""Numbers in running text: found, told from operands, and brought to one spelling."""

import re
from fractions import Fraction

from faithtune.outcomes import AMBIGUOUS, REFUSED, UNANSWERED, Extraction, says_no
from faithtune.questions import canonical_number

# Signs: hyphen or U+2212. Not within a word or a longer number: "B12", "1.2.3", "1e3" and "1,2" hold none.
_DIGITS = r"(?:[0-9]{1,3}(?:(?:,|\{,\}|\\,)[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+"
_FRACTION = (  # 3/4   3 1/2   \frac{3}{4}   3\frac{1}{2}; "3 / 4" with its spaces is a sum left unworked
    r"[0-9]{1,9}/[0-9]{1,9}|[0-9]{1,9}\s(?:and\s)?[0-9]{1,9}/[0-9]{1,9}"
    r"|(?:[0-9]{1,9}\s?)?\\[dt]?frac\s?\{[0-9]{1,9}\}\s?\{[0-9]{1,9}\}"
)
NUMBER = re.compile(
    r"(?P<sign>(?<![\w)%}])[-\u2212])?(?:\\?[$€£])?(?P<inner_sign>[-\u2212])?"
    rf"(?<![A-Za-z\d.,])(?:(?<!/)(?P<fraction>{_FRACTION})(?![\d/]|[.,]\d)"
    rf"|(?P<digits>{_DIGITS})(?![.,]?[0-9]|[eE][0-9]))"
    r"(?:\s(?P<scale>thousand|million|billion|trillion)\b)?"
)
_SCALE = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_BEFORE = re.compile(
    r"(?:[\s*_\"'`(~=\u2248]|\\[(\[]|\\(?:boxed|text|mathbf|mathrm)\s?\{|\$(?=\\|\d|-|\$)|(?:US|Rs\.?)(?=\s?[$\d]))*"
)
_OPERATOR = r"(?:[-\u2212\u2013+*/\u00d7÷]|\\(?:times|div|cdot)\b|(?<![A-Za-z])x(?![A-Za-z]))\s*"
# After a number: "… * 2", "… eggs - 3", "…:30", so it is an operand and not yet the answer ("10 cm^2" is one).
_GOES_ON = re.compile(rf"[A-Za-z ]*{_OPERATOR}\\?[$€£(]*[0-9]|\s*\^|[A-Za-z ]*=|:[0-9]")
# Before a number: "39 * ", so the expression was left unworked; or a power, or a step's own number.
_OPERAND_BEFORE = re.compile(rf"[0-9)]\s{{0,9}}(?:{_OPERATOR}|:)?[$€£(]{{0,3}}\Z|\^\{{?\Z|\bstep\s\Z", re.IGNORECASE)
_DENIED = re.compile(r"\bnot\b|n['\u2019]t\b|\bnever\b", re.IGNORECASE)
# "5 to 7", "5 or 7", "5, 7", "5 hours and 30 minutes": one number of several.
_SEVERAL = r"(?:\s?(?:,|;|\bto|\bor|\band|&|,\s?and|,\s?or)\s)"
_SEVERAL_AFTER = re.compile(rf"\s?[%°]?(?:\s?[A-Za-z]+)?{_SEVERAL}\s*\\?[$€£]?[0-9]")
_SEVERAL_BEFORE = re.compile(rf"[0-9]\s?[%°]?(?:\s?[A-Za-z]+)?{_SEVERAL}\s{{0,9}}\\?[$€£]?\Z")
_SENTENCE_END = re.compile(r"\n|[.!?](?=\s)|\Z")
_REACH = 60  # characters before a number that are looked at


def read(text: str, start: int, end: int) -> Extraction:
    """The number that a declaration gives as its answer.

    The number it begins with (" 66", " $66.", " 66 apples") unless that is an operand; then, and where it
    begins with words, the number after the last "=" (" 2 + 3 = 5"); without "=" the last number of the first
    sentence ("She has 66"). An expression left unworked ("39 * 2", "5:30") is no answer, and one number of
    several ("5 to 7", "3 or 4", "May 5, 2023") is ambiguous.
    """
    first = NUMBER.match(text, _BEFORE.match(text, start, end).end(), end)
    if first and not _GOES_ON.match(text, first.end(), end):
        return AMBIGUOUS if _SEVERAL_AFTER.match(text, first.end(), end) else extraction(first)
    sentence_end = _SENTENCE_END.search(text, start, end).start()
    if says_no(text[start:sentence_end]):
        return REFUSED
    equals = max(text.rfind(sign, start, end) for sign in "=\u2248")
    if equals >= 0:
        result = NUMBER.search(text, equals + 1, end)
        return extraction(result) if result and not _GOES_ON.match(text, result.end(), end) else UNANSWERED
    found = list(NUMBER.finditer(text, start, sentence_end))
    if first or not found or is_operand(found[-1]) or _DENIED.search(text, start, found[-1].start()):
        return UNANSWERED
    before = text[max(start, found[-1].start() - _REACH) : found[-1].start()]
    return AMBIGUOUS if _SEVERAL_BEFORE.search(before) else extraction(found[-1])


def read_subject(text: str, start: int, end: int) -> Extraction:
    """The number that a clause ends with, and its unit: "66 apples" before " is the answer"."""
    found = list(NUMBER.finditer(text, start, end))
    if not found or is_operand(found[-1]) or re.search(r"[^\w\s*%°$]", text[found[-1].end() : end]):
        return UNANSWERED
    return extraction(found[-1])


def last(text: str) -> Extraction:
    """The last number of a text that is no operand; the weakest evidence there is."""
    for match in reversed(list(NUMBER.finditer(text))):
        if not is_operand(match) and canonical(match):
            return extraction(match)
    return UNANSWERED


def is_operand(match: re.Match) -> bool:
    """Whether a number belongs to an expression, a time or a date."""
    before = match.string[max(0, match.start() - _REACH) : match.start()]
    return bool(_OPERAND_BEFORE.search(before) or _GOES_ON.match(match.string, match.end()))


def extraction(match: re.Match) -> Extraction:
    answer = canonical(match)
    return Extraction("answered", answer, match.span()) if answer else UNANSWERED


def canonical(match: re.Match) -> str | None:
    """The number's one spelling; None for a division by zero.

    Exact decimals are spelled as `questions.canonical_number` spells them ("3/4" is "0.75", "1.8 billion" is
    "1800000000"); another fraction in lowest terms ("1/3", "-7/3"), which no gold answer equals.
    """
    sign = "-" if match["sign"] or match["inner_sign"] else ""
    if match["digits"] and not match["scale"]:
        return canonical_number(sign + _plain(match["digits"]))
    if match["digits"]:
        value = Fraction(_plain(match["digits"]))
    else:
        *whole, over, under = (int(part) for part in re.findall(r"[0-9]+", match["fraction"]))
        if under == 0:
            return None
        value = sum(whole) + Fraction(over, under)
    value *= _SCALE.get(match["scale"], 1)
    places = value.denominator.bit_length()
    if 10**places % value.denominator:
        return f"{sign}{value}"
    digits = str(int(value * 10**places)).zfill(places + 1)
    return canonical_number(f"{sign}{digits[:-places]}.{digits[-places:]}")


def _plain(digits: str) -> str:
    return re.sub(r"[{}\\,]", "", digits)
