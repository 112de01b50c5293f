"""The option that a text names, by its letter or by the option's text."""

import re
import string
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from faithtune.data.questions import LETTERS
from faithtune.extraction.outcomes import AMBIGUOUS, REFUSED, UNANSWERED, Extraction, contains_refusal

_OPEN = (
    r"(?:(?:[-\u2022]|\d\.)\s(?=\W*[A-J]\b)|[\s*_\"'`$#>~:]|\\[(\[\"']"
    r"|\\(?:boxed|text|textbf|mathbf|mathrm|fbox)\s?\{)*"
)
_CLOSE = r"[)\]}\"'*_`$\\]*"
_LEAD = (
    r"(?:(?i:the|single,?|most|likely|correct|best|right|final|answer|options?|choices?|letter|both|either|between"
    r"|is|would be|clearly|definitely|probably|therefore|indeed|hence|thus|so|only)\b[\s*:,]+)*"
)
_CONNECTOR = r"\s*(?:,|/|&|;|\+|\band\b|\bor\b)\s*(?:(?:and|or)\b\s*)?"
# After a bare letter or an option's text: "B in this case", but not "A patient", "9 a.m." or "a virus-like particle".
_ENDS = (
    rf"(?={_CLOSE}(?:\s*\Z|\s*\n|[).:](?![\w-]|\s?[A-Z]\.[A-Z])|[.:)](?=[A-Z][a-z])|[,;!]|\s*[(\[<]|\s+[-\u2013\u2014]\s"
    r"|\s+(?:because|since|as|for|due|which|based|given|here|then|instead|indeed|after all|in this|from the|according"
    r"|and not|but not|rather than|instead of|not(?=\s+\W*(?:[A-J]\b|option)))\b))"
)
_ENDED, _JOINT = re.compile(_ENDS), re.compile(_CONNECTOR)
_OUTER = " \t\r\n.,;:!?\"'*_`\\\u201c\u201d"
_ARTICLE = re.compile(r"\A(?:the|an?)\s+(?=\w)")
_START = re.compile(_OPEN)
_LED_START = re.compile(_OPEN + _LEAD + _OPEN)
_SEPARATOR = re.compile(_CLOSE + r"[\s.:)*\u2013\u2014-]*[\"'\u201c\\]*")
# The text after these words gives a reason or names options that were not chosen.
_REASON = re.compile(r"\b(?:because|since|as|not|rather|instead|over|unlike|while|whereas|although)\b|\Z")
_LINE_END = re.compile(r"\n|\Z")
_REACH = 500


class OptionPatterns(NamedTuple):
    """Patterns of the letters of a question with a given number of options."""

    label: re.Pattern  # "B", "(B)", "B. ", "[B]" at the start of a declaration
    beyond: re.Pattern  # a label that no option has: "E. ..." with four options
    several: re.Pattern  # "A or B", "(A) and (C)", "A, B, C"
    another: re.Pattern  # a second label: ", C. ..." or "and (D)"; ". B. ..." only with its option's text
    subject: re.Pattern  # "Option B", "(B)", "so B" at the end of a clause
    lines: re.Pattern  # a letter at the start of a line: "B. ", "- (B)", "Option B"


class OptionTexts(NamedTuple):
    """The texts of one question's options."""

    any: re.Pattern  # any of the texts, the longest first
    letters: dict[str, str]  # normalised text -> letter; without texts that several options share


def read(text: str, start: int, end: int, options: Sequence[str], lenient: bool = False) -> Extraction:
    """The option that a declaration, text[start:end], names.

    An option is named by its letter ("B", "(B)", "B. text") or by its text. Case, white space and outer punctuation do
    not count; of two matching texts the longer counts; a text that several options share names none. Several options,
    or a letter with another option's text, are ambiguous; `lenient` takes the first, like MIRAGE's extractor
    (arXiv 2402.13178). "E. ..." with four options is a refusal, like "none of these".
    """
    opened, led = _START.match(text, start, end).end(), _LED_START.match(text, start, end).end()
    named = _name_by_text(text, opened, end, options) or _name_by_text(text, led, end, options)
    named = named or _name_by_letter(text, led, end, options)
    if named:
        letters = {letter for letter, _ in named}
        return Extraction("answered", *named[0]) if lenient or len(letters) == 1 else AMBIGUOUS
    declined = option_patterns(len(options)).beyond.match(text, led, end) or contains_refusal(text[start:end])
    return REFUSED if declined else UNANSWERED


def read_subject(text: str, start: int, end: int, options: Sequence[str]) -> Extraction:
    """The option that ends a clause: "Option C" before " is correct", or an option's text that fills the clause."""
    led = _LED_START.match(text, start, end).end()
    named = _name_by_text(text, led, end, options)
    if len(named) == 1 and not text[named[0][1][1] : end].strip(_OUTER):
        return Extraction("answered", *named[0])
    label = option_patterns(len(options)).label.match(text, led, end)
    if label and label[label.lastindex].upper() == option_texts(tuple(options)).letters.get(
        normalise(text[_SEPARATOR.match(text, label.end(), end).end() : end])
    ):
        return Extraction("answered", label[label.lastindex].upper(), label.span(label.lastindex))
    letter = option_patterns(len(options)).subject.search(text[start:end])
    if letter is None:
        return UNANSWERED
    return Extraction("answered", letter[1], (start + letter.start(1), start + letter.end(1)))


def read_whole_text(text: str, options: Sequence[str]) -> Extraction:
    """The option that fills the first line, "B", "(B)" or "B. text", or whose text fills the whole text.

    An explanation may follow a first line with a letter, but no other line may begin with another letter.
    """
    start = _START.match(text).end()
    end = _LINE_END.search(text, start).start()
    if normalise(text) in option_texts(tuple(options)).letters and len(text.strip()) > 1:
        return read(text, start, len(text.rstrip()), options)
    letters = option_patterns(len(options))
    label = letters.label.match(text, start, end)
    if label is None or len(set(letters.lines.findall(text))) > 1:
        return UNANSWERED
    letter = label[label.lastindex].upper()
    rest = text[_SEPARATOR.match(text, label.end(), end).end() : end]
    own = options[LETTERS.index(letter)] if options else None
    if rest.strip(_OUTER + ")]}>$") and normalise(rest) != (own and normalise(own)):
        return UNANSWERED
    return Extraction("answered", letter, label.span(label.lastindex))


def skip_option_text(text: str, place: int, options: Sequence[str]) -> int:
    """The end of the option's text that follows a letter ending at `place`; `place` if no option's text follows."""
    spelled = option_texts(tuple(options)).any.match(text, _SEPARATOR.match(text, place).end())
    return spelled.end() if spelled else place


def _name_by_letter(text: str, start: int, end: int, options: Sequence[str]) -> list[tuple]:
    """(letter, span) of the option whose label stands at `start`, then of other options named with it."""
    letters, texts = option_patterns(len(options)), option_texts(tuple(options))
    if several := letters.several.match(text, start, end):
        return [(several["first"], several.span("first")), ("several", None)]
    label = letters.label.match(text, start, end)
    if label is None:
        return []
    letter = label[label.lastindex].upper()
    named = [(letter, label.span(label.lastindex))]
    if text[end : end + 1] in (".", "!", "?"):  # the option's text may follow the sentence "The answer is C."
        end = _LINE_END.search(text, end, end + _REACH).start()
    rest = _SEPARATOR.match(text, label.end(), end).end()
    spelled = texts.any.match(text, rest, end)
    if options and spelled and normalise(spelled[0]) == normalise(options[LETTERS.index(letter)]):
        another = letters.another.match(text, spelled.end(), end)
    else:
        named += _name_by_text(text, rest, end, options)
        another = letters.another.search(text, label.end(), _REASON.search(text, rest, end).start())
    if another and another["other"] != letter and (another["joint"] or texts.any.match(text, another.end(), end)):
        named.append(("another", None))
    return named


def _name_by_text(text: str, start: int, end: int, options: Sequence[str]) -> list[tuple]:
    """(letter, span) of the option whose whole text stands at `start`, then of another option joined to it."""
    texts = option_texts(tuple(options))
    whole = text[start:end].rstrip(_OUTER)
    if len(whole) > 1 and normalise(whole) in texts.letters:
        return [(texts.letters[normalise(whole)], (start, start + len(whole)))]
    match = texts.any.match(text, start, end)
    letter = match and texts.letters.get(normalise(match[0]))
    if not letter or len(match[0]) == 1:  # the text of an option may be another option's letter
        return []
    joint = _JOINT.match(text, match.end(), end)
    other = joint and texts.any.match(text, joint.end(), end)
    if other:
        return [(letter, match.span()), (texts.letters.get(normalise(other[0])), other.span())]
    return [(letter, match.span())] if _ENDED.match(text, match.end(), end) else []


@lru_cache
def option_patterns(n_options: int) -> OptionPatterns:
    """The patterns for `n_options` options; any letter counts for 0 (number unknown)."""
    offered = LETTERS[:n_options] if n_options else string.ascii_uppercase
    letter, either = f"[{offered}]", f"[{offered}{offered.lower()}]"
    beyond = "|".join(other for other in LETTERS if other not in offered) or "(?!)"
    before_subject = r"\A|\b(?i:option|choice|answer|letter|so|thus|therefore|hence|that|only|then)\b"
    return OptionPatterns(
        label=re.compile(rf"\(\s?({either})\s?\)|\[\s?({either})\s?\]|({letter}){_ENDS}"),
        beyond=re.compile(rf"[(\[](?:{beyond})[)\]]|(?:{beyond}){_ENDS}"),
        several=re.compile(
            rf"[(\[]?(?P<first>{letter})\b{_CLOSE}\.?(?:{_CONNECTOR}(?:possibly|maybe|perhaps|also)?\s?|(?<=\))(?=\())"
            rf"[\"'(\[*]*{letter}"
            r"(?=\s*(?:[)\].:,;*\"'/&<]|\Z|\n|and\b|or\b|are\b))"
        ),
        another=re.compile(
            rf"{_CLOSE}(?:(?P<joint>{_CONNECTOR})|[.;]\s+)[(\[\"']*(?P<other>{letter})[)\].:](?!\s*(?:is|are|was|does|can|would)\b)\s*"
        ),
        subject=re.compile(rf"(?:(?:{before_subject})[\s*_\"']*[(\[]?|[(\[])({letter}){_CLOSE}\s*\Z"),
        lines=re.compile(rf"^[^\w\n]*+(?:(?i:option|choice)\s[(\[*]*)?({letter})(?=[).:\]]|\W*$)", re.MULTILINE),
    )


@lru_cache(maxsize=1024)
def option_texts(options: tuple[str, ...]) -> OptionTexts:
    """The texts of a question's options, prepared for matching."""
    texts = [normalise(option) for option in options]
    words = [r"\s+".join(map(re.escape, text.split())) for text in sorted(set(texts), key=len, reverse=True) if text]
    any_text = "|".join(words) or "(?!)"
    return OptionTexts(
        any=re.compile(rf"(?:\b(?:the|an?)\s+)?(?<!\w)(?<!\d[.,])(?:{any_text})(?![\w%]|[.,]\d|-\w)", re.IGNORECASE),
        letters={text: letter for text, letter in zip(texts, LETTERS, strict=False) if texts.count(text) == 1},
    )


def normalise(option: str) -> str:
    """An option's text in lower case, without article, outer punctuation and repeated white space."""
    return _ARTICLE.sub("", " ".join(option.split()).casefold().strip(_OUTER), count=1)
