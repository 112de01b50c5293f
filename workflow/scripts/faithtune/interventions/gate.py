"""A step rewritten: what a model wrote is cleaned, and refused where no step could look like it.

What a paraphrase and a mistake have in common; what each must keep or change is
asked in `paraphrases` and `mistakes`.
"""

import re
from collections.abc import Sequence

from faithtune.extraction.cues import RULES
from faithtune.extraction.mentions import mentioned_letters, mentions_text
from faithtune.extraction.steps import join, split

# A step's words, numbers and single marks: its length is counted in them.
PIECE = re.compile(r"[0-9][0-9.,]*|\w+|[^\w\s]")

_ABOUT_ITSELF = r"(?:paraphras|rephras|reword|rewrit)\w*"
_POLITE = r"(?:sure|certainly|of course|okay)\b[\s,.!:]*"
_INTRODUCTION = (
    rf"(?:here(?:['\u2019]s| is)\b[^:]*\b(?:{_ABOUT_ITSELF}|version|sentence)[^:]*:|in other words\s*[:,]"
    rf"|(?:the |a )?{_ABOUT_ITSELF}[^:]{{0,30}}:)"
)
_LABEL = re.compile(rf"[\"'*]*(?:{_POLITE}{_INTRODUCTION}|{_POLITE}|{_INTRODUCTION})[\s*]*", re.IGNORECASE)
_CHATTER = re.compile(rf"{_POLITE}|.*\b{_ABOUT_ITSELF}", re.IGNORECASE)
_QUOTES = {'"': '"', "'": "'", "`": "`", "*": "*", "\u201c": "\u201d", "\u2018": "\u2019"}
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


def clean(text: str) -> str:
    """The step in what a model wrote; "" where it wrote none.

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


def find_fault(
    step: str, text: str, answers: Sequence[str] = (), shortest: float = 0.5, longest: float = 2.0
) -> str | None:
    """Why `text` may not stand in the place of `step`, whatever it says, in a few words; None where it may.

    Args:
        step: s_i as the arm wrote it.
        text: as `clean` returned it.
        answers: texts that must not newly appear, for instance those of the options.
        shortest, longest: bounds on the length of `text` over the step's.

    Lengths are counted in words, numbers and single marks. Characters would
    refuse sums put in words, which are the paraphrases wanted: "78 - 12 = 66."
    to "Taking 12 away from 78 leaves 66." is a ratio of 2.5 in characters and
    of 1.3 in pieces. Half to double leaves out fragments and elaborations.
    """
    if not text:
        return "empty"
    if len(text.splitlines()) > 1:
        return "more than one line"
    if _CHATTER.match(text) and not _CHATTER.match(step):
        return "chatter"
    if any(cue.search(text) and not cue.search(step) for cue in RULES.values()):
        return "declares an answer"
    if mentioned_letters(text) - mentioned_letters(step):
        return "names an option"
    if any(mentions_text(text, answer) and not mentions_text(step, answer) for answer in answers):
        return "leaks the answer"
    if split(join([text, "and so on"])) != [text, "and so on"]:
        return "not one step"  # a marker or numbering in it: the spliced chain would have other steps
    ratio = len(PIECE.findall(text)) / max(1, len(PIECE.findall(step)))
    if ratio < shortest:
        return "too short"
    return "too long" if ratio > longest else None


def is_equation(step: str) -> bool:
    """Whether numbers are worked in it: "39 * 2 = 78"."""
    return _EQUATION.search(step) is not None


def operations(text: str) -> set[str]:
    """Of plus, minus, times, over: those that stand in `text`, as signs or in words."""
    return {name for name, named in _OPERATIONS.items() if named.search(text)}


def alphanumerics(text: str) -> str:
    """Letters and digits only: what is left of a text whose wording, not its typography, counts."""
    return "".join(character for character in text.casefold() if character.isalnum())
