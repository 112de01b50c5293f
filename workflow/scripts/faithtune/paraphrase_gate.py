"""A step in other words: what a paraphraser wrote is cleaned, then let through a gate.

A paraphrase must change the wording and nothing else. Otherwise the test of
paraphrasing measures something else: a lost number is a mistake added, a
leaked answer is a hint, an unchanged text is no intervention.
"""

import re
from collections import Counter
from collections.abc import Sequence

from faithtune.declarations import RULES
from faithtune.questions import canonical_number
from faithtune.steps import join, split

_ABOUT_ITSELF = r"(?:paraphras|rephras|reword|rewrit)\w*"
_POLITE = r"(?:sure|certainly|of course|okay)\b[\s,.!:]*"
_INTRODUCTION = (
    rf"(?:here(?:['\u2019]s| is)\b[^:]*\b(?:{_ABOUT_ITSELF}|version|sentence)[^:]*:|in other words\s*[:,]"
    rf"|(?:the |a )?{_ABOUT_ITSELF}[^:]{{0,30}}:)"
)
_LABEL = re.compile(rf"[\"'*]*(?:{_POLITE}{_INTRODUCTION}|{_POLITE}|{_INTRODUCTION})[\s*]*", re.IGNORECASE)
_CHATTER = re.compile(rf"{_POLITE}|.*\b{_ABOUT_ITSELF}", re.IGNORECASE)
_QUOTES = {'"': '"', "'": "'", "`": "`", "*": "*", "\u201c": "\u201d", "\u2018": "\u2019"}
_NUMBER = re.compile(r"[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?|\.[0-9]+")
_OPTION = re.compile(r"[(\[]([A-H])[)\]]|\b(?i:option|choice|answer)\s+([A-H])\b")
# An equation's operations, as a sign between numbers or in words that mean nothing else.
_EQUATION = re.compile(r"[0-9)]\s*[-\u2212+*/\u00d7÷x]\s*[$€£(]*[0-9].*=")
_OPERATIONS = {
    "plus": re.compile(r"(?<=[0-9)])\s*\+|\b(?:plus|add|adds|added|adding|sum|together)\b", re.IGNORECASE),
    "minus": re.compile(
        r"(?<=[0-9)])\s*[-\u2212](?=\s*[$€£(]*[0-9])|\b(?:minus|subtract\w*|less|away|takes?|taken|taking)\b",
        re.IGNORECASE,
    ),
    "times": re.compile(r"(?<=[0-9)])\s*[*\u00d7x](?=\s*[$€£(]*[0-9])|\b(?:times|multipl\w+|product)\b", re.IGNORECASE),
    "over": re.compile(r"(?<=[0-9)])\s*[/÷]|\b(?:divid\w+|quotient)\b", re.IGNORECASE),
}
_PIECE = re.compile(r"[0-9][0-9.,]*|\w+|[^\w\s]")


def clean(text: str) -> str:
    """The paraphrase in what a paraphraser wrote; "" where it wrote none.

    Takes away labels ("Sure! Here is a paraphrase:"), quotation marks around
    the whole, and all after the first line that then holds something: a step
    is one line, and small models go on with a pattern after it.
    """
    for line in text.splitlines():
        line = line.strip()
        if label := _LABEL.match(line):
            line = line[label.end() :].strip()
        while len(line) > 1 and _QUOTES.get(line[0]) == line[-1]:
            line = line[1:-1].strip()
        if line:
            return " ".join(line.split())
    return ""


def gate(
    step: str, paraphrase: str, answers: Sequence[str] = (), shortest: float = 0.5, longest: float = 2.0
) -> str | None:
    """Why `paraphrase` may not stand for `step`, in a few words; None where it may.

    Args:
        step: s_i as the arm wrote it.
        paraphrase: as `clean` returned it.
        answers: what must not newly appear, for instance the texts of the gold option and of the arm's own;
            letters and numbers need not be listed, other rules keep them out.
        shortest, longest: bounds on the paraphrase's length over the step's.

    Numbers are compared as a multiset of digits: "three" for "3" is refused,
    as it would take a parser to tell it from a changed number. An equation
    must keep its operations, as signs or in words, and the order of its
    numbers, which only "from" may change ("12 away from 78"): small models
    write "23 is 32 times 9" for "23 + 9 = 32". A statement in words whose
    parts change places passes; no rule here reads meaning.

    Lengths are counted in words, numbers and single marks. Characters would
    refuse sums put in words, which are the paraphrases wanted: "78 - 12 = 66."
    to "Taking 12 away from 78 leaves 66." is a ratio of 2.5 in characters and
    of 1.3 in pieces. Half to double leaves out fragments and elaborations.
    """
    if not paraphrase:
        return "empty"
    if len(paraphrase.splitlines()) > 1:
        return "more than one line"
    if _CHATTER.match(paraphrase) and not _CHATTER.match(step):
        return "chatter"
    if any(cue.search(paraphrase) and not cue.search(step) for cue in RULES.values()):
        return "declares an answer"
    if _options(paraphrase) - _options(step):
        return "names an option"
    if any(_mentions(paraphrase, answer) and not _mentions(step, answer) for answer in answers):
        return "leaks the answer"
    if split(join([paraphrase, "and so on"])) != [paraphrase, "and so on"]:
        return "not one step"  # a marker or numbering in it: the spliced chain would have other steps
    if Counter(_numbers(paraphrase)) != Counter(_numbers(step)):
        return "other numbers"
    if _EQUATION.search(step) and not _same_equation(step, paraphrase):
        return "other operations"
    if _letters(paraphrase) == _letters(step):
        return "identical"
    ratio = len(_PIECE.findall(paraphrase)) / max(1, len(_PIECE.findall(step)))
    if ratio < shortest:
        return "too short"
    if ratio > longest:
        return "too long"
    return None


def _options(text: str) -> set[str]:
    return {bracketed or named for bracketed, named in _OPTION.findall(text)}


def _mentions(text: str, answer: str) -> bool:
    """Whether `answer` stands in `text` as whole words; a letter alone is `_options`' matter."""
    answer = answer.strip().rstrip(".")
    return len(answer) > 1 and bool(re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", text, re.IGNORECASE))


def _numbers(text: str) -> list[str | None]:
    return [canonical_number(number) for number in _NUMBER.findall(text)]


def _same_equation(step: str, paraphrase: str) -> bool:
    if any(bool(named.search(paraphrase)) != bool(named.search(step)) for named in _OPERATIONS.values()):
        return False
    return _numbers(paraphrase) == _numbers(step) or re.search(r"\bfrom\b", paraphrase) is not None


def _letters(text: str) -> str:
    """Letters and digits only: what is left of a text whose wording, not its typography, counts."""
    return "".join(character for character in text.casefold() if character.isalnum())
