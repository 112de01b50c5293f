"""Evidence for an option that is weaker than a declaration; only the lenient extractor uses it."""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import zip_longest

from faithtune.data.questions import LETTERS
from faithtune.extraction.options import normalise, option_texts
from faithtune.extraction.outcomes import UNANSWERED, Extraction

_NOT = r"\bnot\b|n['\u2019]t\b|\bcannot\b|\bnever\b|\bneither\b"
_WRONG = (
    rf"{_NOT}|\b(?:incorrect|wrong|false|unlikely|less|ruled|rule|excluded|out|inconsistent|implausible|no)\b"
    r"|[\u2717\u2718\u274c\u2715]"
)
_RIGHT = r"\b(?:correct|right|true|best|matches|fits)\b|[\u2713\u2714\u2705]"
# "Option A is incorrect", "(B) can be ruled out"; "not (A)", "rather than B", "neither A"
_DISMISSED_AFTER = re.compile(
    rf"[)\]}}\"'*_`$\\]*[\s,:-]*(?:\w+\s+){{0,2}}(?:{_WRONG})"
    r"|(?:[).:]\s*|\s+)[^\n.;]{0,60}(?:\s[-\u2013\u2014]|:)\s*(?:not|incorrect|wrong|false|unlikely|\u2717|\u2718|\u274c)"
)
_DISMISSED_BEFORE = re.compile(
    r"(?:\bnot|n['\u2019]t|neither|nor|rather than|instead of|rules? out|exclud\w+|eliminat\w+|unlike)"
    r"\s+[^.,;\n]{0,20}\Z",
    re.IGNORECASE,
)
_DENIES = re.compile(rf"{_WRONG}|\b(?:nor|rather than|instead of|unlike|\w*exclud\w+|eliminat\w+)\b", re.IGNORECASE)
_WRONG_MARK, _RIGHT_MARK = re.compile(_WRONG, re.IGNORECASE), re.compile(_RIGHT, re.IGNORECASE)
_SENTENCE = re.compile(r"[^.!?\n][^\n]*?(?:[.!?](?=\s)|\n|\Z)")


def read_option(text: str, options: Sequence[str]) -> Extraction:
    """The only option called right, else the last letter not dismissed, else the only option text in the last sentence.

    Unanswered if there is none of these.
    """
    for evidence in (_only_right, _last_standing, _only_text):
        if (found := evidence(text, options)).answer:
            return found
    return UNANSWERED


def _only_right(text: str, options: Sequence[str]) -> Extraction:
    """The only one of several weighed options that is called right: "B) Warfarin - correct", "C ✓"."""
    weighed, _ = _patterns(len(options))
    labels = list(weighed.finditer(text))
    right = {}
    for label, following in zip_longest(labels, labels[1:]):
        end = text.find("\n", label.end())
        end = min(end if end >= 0 else len(text), following.start() if following else len(text))
        piece = text[label.end() : end]
        if _RIGHT_MARK.search(piece) and not _WRONG_MARK.search(piece):
            right[label[1]] = label.span(1)
    if len(right) != 1 or len({label[1] for label in labels}) == 1:
        return UNANSWERED
    return Extraction("answered", *right.popitem())


def _last_standing(text: str, options: Sequence[str]) -> Extraction:
    """The last letter written as an option, "(B)" or "option B", and not dismissed ("A is incorrect")."""
    _, standing = _patterns(len(options))
    for match in reversed(list(standing.finditer(text))):
        before = text[max(0, match.start() - 40) : match.start()]
        if not _DISMISSED_AFTER.match(text, match.end()) and not _DISMISSED_BEFORE.search(before):
            return Extraction("answered", match[match.lastindex].upper(), match.span(match.lastindex))
    return UNANSWERED


def _only_text(text: str, options: Sequence[str]) -> Extraction:
    """The only option whose text the last sentence holds, if the sentence denies nothing."""
    sentences = list(_SENTENCE.finditer(text.rstrip()))
    if not sentences:
        return UNANSWERED
    texts = option_texts(tuple(options))
    matches = list(texts.any.finditer(text, *sentences[-1].span()))
    found = {texts.letters.get(normalise(match[0])): match.span() for match in matches}
    if len(found) != 1 or None in found:
        return UNANSWERED
    first, last = matches[0].start(), matches[-1].end()
    around = text[sentences[-1].start() : first] + "; " + text[last : sentences[-1].end()]
    return UNANSWERED if _DENIES.search(around) else Extraction("answered", *found.popitem())


@lru_cache
def _patterns(n_options: int) -> tuple[re.Pattern, re.Pattern]:
    """Patterns of a letter that is weighed, and of a letter written as an option anywhere in a text."""
    letter = f"[{LETTERS[:n_options] if n_options else 'A-Z'}]"
    either = f"(?:{letter}|(?-i:{letter.lower()}))"
    return (
        re.compile(
            rf"(?:^[^\w\n]*+|(?:(?<=[,;]\s)|\b(?i:option|choice)\s)[(\[*]*)({letter})"
            r"(?=[).:\]*]|\s[\u2713\u2714\u2705\u2717\u2718\u274c\u2715-]|\sis\b)",
            re.MULTILINE,
        ),
        re.compile(
            rf"\b(?i:option|choice|letter)\s+[(\[\"'*]*({letter})\b|[(\[]({letter})[)\]]|\*\*\(?({letter})[.):]*(?:\s[^*\n]{{1,80}})?\*\*"
            rf"|\b(?i:answer|option|choice)(?i:\s+is\b)?[\s:*\"'(]+({either})\b(?=[^\w\n]*(?:\n|\Z))"
            rf"|\A\W*({letter})[.):](?=\s|\*|\Z)|^[^\w\n]*({either})[^\w\n]*$",
            re.MULTILINE,
        ),
    )
