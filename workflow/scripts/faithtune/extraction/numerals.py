r"""Numbers in running text: found, told from what only begins like one, and brought to one spelling.

What touches a number may go on with it: "12 345", "10²", "7!", "2\pi", "5k". Such a number has not ended, and what
was found of it is no number of the text.
"""

import re
import unicodedata
from fractions import Fraction

from faithtune.data.questions import canonical_number

# Thousands: 1,234   1{,}234   1\,234   1\!\,234   1'234   and no-break, thin or narrow spaces. A plain space
# may part two numbers, so "12 345" is none.
_GROUP = r"(?:\\!)?(?:,|\{,\}|\\,|['\u2019\u00a0\u2009\u202f])(?:\\!)?"
# Not within a word or a longer number: "B12", "covid-19", "1.2.3", "1e3" and "1,2" hold none.
_DIGITS = rf"(?:[0-9]{{1,3}}(?:{_GROUP}[0-9]{{3}})+|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+"
_VULGAR = "\u00bc-\u00be\u2150-\u215e"
_FRACTION = (  # 3/4   3 1/2   3½   \frac{3}{4}   \frac{-1}{2}   3\frac12; "3 / 4" is a sum left unworked
    r"[0-9]{1,9}/[0-9]{1,9}|[0-9]{1,9}\s(?:and\s)?[0-9]{1,9}/[0-9]{1,9}"
    r"|(?:[0-9]{1,9}\s?)?\\[dt]?frac\s?(?:\{\s?[-\u2212]?[0-9]{1,9}\s?\}|[0-9])\s?(?:\{\s?[0-9]{1,9}\s?\}|[0-9])"
    rf"|(?:[0-9]{{1,9}}\s?)?[{_VULGAR}]"
)
# Signs: hyphen, U+2212 and the en dash, where they touch.
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
# A command that leaves a number as it is: a unit in \text{}, degrees, space.
TYPOGRAPHY = r"(?:boxed|fbox|text|math|mbox|circ|degree|quad|qquad|hspace|left|right|approx)"
_GOES_ON = re.compile(
    rf"[A-Za-z ]*{_OPERATOR}\\?[$€£(]*[0-9]"  # … * 2     … eggs - 3     (an operand, and not yet the answer)
    r"|[A-Za-z ]*=|:[0-9]"  # … eggs =     …:30
    r"|\s*\^(?!\s?\{?\s?\\?circ)|[\u00b2\u00b3\u00b9\u2070-\u2079]|_\{?[0-9]"  # 10^2, 10², 12_{10}; 45^\circ is one
    r"|\s[0-9]{3}(?![0-9])|['\u2019]\s?[0-9]|(?:\\[,;:! ])+[0-9]"  # 12 345     5'6"
    rf"|(?:\\[,;:! ]|[.\s])*\\(?!{TYPOGRAPHY})[A-Za-z]"  # 2\pi     2\sqrt{3}     0.\overline{3}
    r"|[kKMBxyzni\u03c0\u221a](?![A-Za-z])|(?:st|nd|rd|th)\b|\+"  # 5k     3x     5th     5+
    r"|\s?(?:remainder|R)\s?[0-9]|\s?\\?%?\s+of\s+\\?[$€£]?[0-9]"  # 8 R 2     1/2 of 60
    r"|\s(?:[a-z]+\s)?and\s(?:a|one|two|three)[ -](?:half|third|quarter|fourth)"  # 3 and a half
)
# Before a number: "39 * " or "x + ", so the expression was left unworked; a power, a root, ±; a step's own number.
_OPERAND_BEFORE = re.compile(
    rf"[0-9)]\s{{0,9}}(?:{_OPERATOR}|:)?[$€£(]{{0,3}}\Z|[A-Za-z]\s?[+/\u00d7÷]\s?\Z|(?:\S\s?-|[\u2212\u2013])\s\Z"
    rf"|[\^_]\{{?\Z|[0-9]['\u2019]\s?\Z|[\u00b1\u221a]\s?\Z|(?<![A-Za-z/<])[A-Za-z]\s?[<>\u2264\u2265]\s?\Z"
    rf"|\\(?!{TYPOGRAPHY})[A-Za-z]+\s?[\[{{]?\Z|\b(?:step|minus|plus|times|negative)\s\Z",
    re.IGNORECASE,
)
_REACH = 60  # characters before a number that are looked at
_UNITS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_WORDS = {word: value for value, word in enumerate(f"{_UNITS} seventeen eighteen nineteen".split())}
_WORDS |= {word: 10 * tens for tens, word in enumerate(_TENS.split(), start=2)}
_WORD = re.compile(
    rf"\b({'|'.join(sorted(_WORDS, key=len, reverse=True))})"
    r"(?:[- ](one|two|three|four|five|six|seven|eight|nine))?\b",
    re.IGNORECASE,
)


def goes_on(match: re.Match, end: int) -> bool:
    """Whether what follows a number goes on with it: an operator, a power, further digits."""
    endless = "." in match[0] and re.compile(r"\.\.|\u2026").match(match.string, match.end(), end)
    factorial = match.string.startswith("!", match.end())  # also where it ends a sentence: "7!" may be either
    return bool(factorial or endless or _GOES_ON.match(match.string, match.end(), end))


def is_operand(match: re.Match) -> bool:
    """Whether a number belongs to an expression, a longer number, a time or a date."""
    before = match.string[max(0, match.start() - _REACH) : match.start()]
    return bool(_OPERAND_BEFORE.search(before)) or goes_on(match, len(match.string))


def canonical(match: re.Match) -> str | None:
    """The number's one spelling; None for a division by zero.

    Exact decimals are spelled as `questions.canonical_number` spells them ("3/4" is "0.75", "1.8 billion" is
    "1800000000"); another fraction in lowest terms ("1/3", "-7/3"), which no gold answer equals.
    """
    sign = "-" if match["sign"] or match["inner_sign"] else ""
    if match["digits"] and not match["scale"]:
        return canonical_number(sign + _plain(match["digits"]))
    value = Fraction(_plain(match["digits"])) if match["digits"] else _fraction(match["fraction"])
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


def in_words(text: str) -> set[str]:
    """The numbers that stand in words: "seven", "twenty-five"."""
    return {str(_WORDS[first.lower()] + _WORDS.get(second.lower(), 0)) for first, second in _WORD.findall(text)}


def _fraction(text: str) -> Fraction | None:
    if vulgar := re.search(rf"[{_VULGAR}]", text):
        return int(text[: vulgar.start()] or 0) + Fraction(unicodedata.numeric(vulgar[0])).limit_denominator(10)
    whole, command, parts = text.partition("\\")
    if command:
        over, under = (int(part.strip("{} ").replace("\u2212", "-")) for part in re.findall(r"\{[^}]*\}|[0-9]", parts))
        wholes = [int(whole)] if whole.strip() else []
    else:
        *wholes, over, under = (int(part) for part in re.findall(r"[0-9]+", text))
    return sum(wholes) + Fraction(over, under) if under else None


def _plain(digits: str) -> str:
    return re.sub(r"[^0-9.]", "", digits)
