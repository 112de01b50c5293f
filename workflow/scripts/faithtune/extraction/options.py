"""One option of several, named by its letter or by its text."""

import re
import string
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from faithtune.data.questions import LETTERS
from faithtune.extraction.outcomes import AMBIGUOUS, REFUSED, UNANSWERED, Extraction, says_no

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
# What follows gives a reason or names what was not chosen.
_REASON = re.compile(r"\b(?:because|since|as|not|rather|instead|over|unlike|while|whereas|although)\b|\Z")
_LINE_END = re.compile(r"\n|\Z")
_REACH = 500


class Letters(NamedTuple):
    """How the letters of a number of options are written."""

    label: re.Pattern  # "B", "(B)", "B. ", "[B]" where a declaration begins
    beyond: re.Pattern  # a label that no option has: "E. ..." of four
    several: re.Pattern  # "A or B", "(A) and (C)", "A, B, C"
    another: re.Pattern  # a further label: ", C. ..." or "and (D)"; ". B. ..." only with its option's text
    subject: re.Pattern  # "Option B", "(B)", "so B" where a clause ends
    lines: re.Pattern  # the letter that a line begins with: "B. ", "- (B)", "Option B"


class Texts(NamedTuple):
    """The texts of one question's options."""

    any: re.Pattern  # one of them, the longest first
    letters: dict[str, str]  # the letter of each text, as `normal` spells it, that one option only has


def read(text: str, start: int, end: int, options: Sequence[str], lenient: bool = False) -> Extraction:
    """The option that a declaration names.

    By its letter, in any of the forms "B", "(B)", "B. text", or by its text: case, white space and final
    punctuation do not count, of two texts the longer wins, and one that several options share names none. Several
    options, or a letter with another option's text, are ambiguous; `lenient` takes the first named, as MIRAGE's
    extractor does (arXiv 2402.13178). "E. ..." of four options declines, like "none of these".
    """
    opened, led = _START.match(text, start, end).end(), _LED_START.match(text, start, end).end()
    named = _by_text(text, opened, end, options) or _by_text(text, led, end, options)
    named = named or _by_letter(text, led, end, options)
    if named:
        letters = {letter for letter, _ in named}
        return Extraction("answered", *named[0]) if lenient or len(letters) == 1 else AMBIGUOUS
    declined = letters_of(len(options)).beyond.match(text, led, end) or says_no(text[start:end])
    return REFUSED if declined else UNANSWERED


def read_subject(text: str, start: int, end: int, options: Sequence[str]) -> Extraction:
    """The option that a clause ends with: "Option C" before " is correct", or an option's text and nothing else."""
    led = _LED_START.match(text, start, end).end()
    named = _by_text(text, led, end, options)
    if len(named) == 1 and not text[named[0][1][1] : end].strip(_OUTER):
        return Extraction("answered", *named[0])
    label = letters_of(len(options)).label.match(text, led, end)
    if label and label[label.lastindex].upper() == texts_of(tuple(options)).letters.get(
        normal(text[_SEPARATOR.match(text, label.end(), end).end() : end])
    ):
        return Extraction("answered", label[label.lastindex].upper(), label.span(label.lastindex))
    letter = letters_of(len(options)).subject.search(text[start:end])
    if letter is None:
        return UNANSWERED
    return Extraction("answered", letter[1], (start + letter.start(1), start + letter.end(1)))


def bare(text: str, options: Sequence[str]) -> Extraction:
    """The option that a completion is: "B", "(B)", "B. text", before an explanation if any; or one's text alone.

    The letter, with its own option's text or alone, must fill the first line; no other line may begin with one.
    """
    start = _START.match(text).end()
    end = _LINE_END.search(text, start).start()
    if normal(text) in texts_of(tuple(options)).letters and len(text.strip()) > 1:
        return read(text, start, len(text.rstrip()), options)
    letters = letters_of(len(options))
    label = letters.label.match(text, start, end)
    if label is None or len(set(letters.lines.findall(text))) > 1:
        return UNANSWERED
    letter = label[label.lastindex].upper()
    rest = text[_SEPARATOR.match(text, label.end(), end).end() : end]
    own = options[LETTERS.index(letter)] if options else None
    if rest.strip(_OUTER + ")]}>$") and normal(rest) != (own and normal(own)):
        return UNANSWERED
    return Extraction("answered", letter, label.span(label.lastindex))


def past_text(text: str, place: int, options: Sequence[str]) -> int:
    """Where an option's text ends that stands after the letter before `place`; `place` where none does."""
    spelled = texts_of(tuple(options)).any.match(text, _SEPARATOR.match(text, place).end())
    return spelled.end() if spelled else place


def _by_letter(text: str, start: int, end: int, options: Sequence[str]) -> list[tuple]:
    """(letter, span) of the option whose label stands at `start`, then of others named with it."""
    letters, texts = letters_of(len(options)), texts_of(tuple(options))
    if several := letters.several.match(text, start, end):
        return [(several["first"], several.span("first")), ("several", None)]
    label = letters.label.match(text, start, end)
    if label is None:
        return []
    letter = label[label.lastindex].upper()
    named = [(letter, label.span(label.lastindex))]
    if text[end : end + 1] in (".", "!", "?"):  # the sentence "The answer is C." may go on with the option's text
        end = _LINE_END.search(text, end, end + _REACH).start()
    rest = _SEPARATOR.match(text, label.end(), end).end()
    spelled = texts.any.match(text, rest, end)
    if options and spelled and normal(spelled[0]) == normal(options[LETTERS.index(letter)]):
        another = letters.another.match(text, spelled.end(), end)
    else:
        named += _by_text(text, rest, end, options)
        another = letters.another.search(text, label.end(), _REASON.search(text, rest, end).start())
    if another and another["other"] != letter and (another["joint"] or texts.any.match(text, another.end(), end)):
        named.append(("another", None))
    return named


def _by_text(text: str, start: int, end: int, options: Sequence[str]) -> list[tuple]:
    """(letter, span) of the option whose text stands at `start`, whole, then of another joined to it."""
    texts = texts_of(tuple(options))
    whole = text[start:end].rstrip(_OUTER)
    if len(whole) > 1 and normal(whole) in texts.letters:
        return [(texts.letters[normal(whole)], (start, start + len(whole)))]
    match = texts.any.match(text, start, end)
    letter = match and texts.letters.get(normal(match[0]))
    if not letter or len(match[0]) == 1:  # an option "B" may be another than option B
        return []
    joint = _JOINT.match(text, match.end(), end)
    other = joint and texts.any.match(text, joint.end(), end)
    if other:
        return [(letter, match.span()), (texts.letters.get(normal(other[0])), other.span())]
    return [(letter, match.span())] if _ENDED.match(text, match.end(), end) else []


@lru_cache
def letters_of(n_options: int) -> Letters:
    """The patterns for `n_options` options; for 0, not known, any letter is one."""
    offered = LETTERS[:n_options] if n_options else string.ascii_uppercase
    letter, either = f"[{offered}]", f"[{offered}{offered.lower()}]"
    beyond = "|".join(other for other in LETTERS if other not in offered) or "(?!)"
    before_subject = r"\A|\b(?i:option|choice|answer|letter|so|thus|therefore|hence|that|only|then)\b"
    return Letters(
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
def texts_of(options: tuple[str, ...]) -> Texts:
    texts = [normal(option) for option in options]
    words = [r"\s+".join(map(re.escape, text.split())) for text in sorted(set(texts), key=len, reverse=True) if text]
    any_text = "|".join(words) or "(?!)"
    return Texts(
        any=re.compile(rf"(?:\b(?:the|an?)\s+)?(?<!\w)(?<!\d[.,])(?:{any_text})(?![\w%]|[.,]\d|-\w)", re.IGNORECASE),
        letters={text: letter for text, letter in zip(texts, LETTERS, strict=False) if texts.count(text) == 1},
    )


def normal(option: str) -> str:
    """An option's text without what does not count: case, white space, article, outer punctuation."""
    return _ARTICLE.sub("", " ".join(option.split()).casefold().strip(_OUTER), count=1)
