"""The common part of the gates: cleans a rewritten step, and refuses texts that cannot stand as a step.

`paraphrases` and `mistakes` add what each must keep or change.
"""

import re
from collections.abc import Sequence

from faithtune.data.forms import STEPS
from faithtune.extraction.cues import RULES
from faithtune.extraction.mentions import mentioned_letters, mentions_text
from faithtune.extraction.steps import split

# Words, numbers and single marks: the unit in which a step's length is counted.
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
# The operations of an equation, as a sign between numbers or in unambiguous words.
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
    """The rewritten step in a model's text; "" if there is none.

    Removes labels ("Sure! Here is a paraphrase:"), quotation marks around the
    whole, and all text after the first line that is then not empty: a step is
    one line, and small models continue the prompt's pattern after it.
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
    """Why `text` cannot replace `step`, whatever its content, in a few words; None if it can.

    Args:
        step: s_i as the arm wrote it.
        text: as `clean` returned it.
        answers: texts that must not newly appear, for instance the options' texts.
        shortest, longest: bounds on the length of `text` divided by the length of `step`.

    Lengths are counted in words, numbers and single marks. A count of characters
    would refuse equations put in words, which are wanted paraphrases: from
    "78 - 12 = 66." to "Taking 12 away from 78 leaves 66." the ratio is 2.5 in
    characters and 1.3 in pieces. Half to double excludes fragments and elaborations.
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
    if split(STEPS.join([text, "and so on"])) != [text, "and so on"]:
        return "not one step"  # it holds a marker or numbering: the spliced chain would have other steps
    ratio = len(PIECE.findall(text)) / max(1, len(PIECE.findall(step)))
    if ratio < shortest:
        return "too short"
    return "too long" if ratio > longest else None


def is_equation(step: str) -> bool:
    """Whether a step holds an equation: "39 * 2 = 78"."""
    return _EQUATION.search(step) is not None


def operations(text: str) -> set[str]:
    """The operations in `text`, as signs or in words: a subset of plus, minus, times, over."""
    return {name for name, named in _OPERATIONS.items() if named.search(text)}


def alphanumerics(text: str) -> str:
    """The letters and digits of a text in lower case: its wording without its typography."""
    return "".join(character for character in text.casefold() if character.isalnum())
