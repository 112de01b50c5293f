"""The answer that a text declares: read, never guessed.

Evaluations stand or fall with extraction, because tuning changes the form of
the answer. So each form that counts as a declaration is a named rule, what is
read is a character span that can be looked up, and *unanswered*, *refused* and
*ambiguous* are outcomes of their own, neither right nor wrong nor "unchanged".

Two extractors, so that one sees whether a conclusion rests on the form of the
answers: the strict one reads declarations only; the lenient one, where the
strict one finds no answer, falls back on weaker evidence.
"""

import re
from collections.abc import Sequence

from faithtune import choices, numerals
from faithtune.declarations import SUBJECT, TIERS, UNANIMOUS, Declaration, declarations, line
from faithtune.outcomes import AMBIGUOUS, REFUSED, UNANSWERED, Extraction, declines

_STEP = re.compile(r"[\s*]*step\s+\d", re.IGNORECASE)


def declared(text: str, kind: str, options: Sequence[str] = (), lenient: bool = False) -> Extraction:
    """The last answer that a free text declares.

    Args:
        text: the whole text.
        kind: choice | number.
        options: for kind choice, the options' texts (their number bounds the letters).
        lenient: fall back on weaker evidence.

    The heaviest of `declarations.TIERS` that can be read decides, and in it the last declaration, so a "Final
    Answer:" line is never overruled by a sentence; nor does a sentence before such a line count where the line
    cannot be read. A letter or number that nothing declares is never taken. The outcome is

    * ambiguous, where the last declaration names several answers or contradicts itself ("A or C");
    * refused, where it declines ("none of the above"), or where nothing is declared and the text's end declines;
    * unanswered, where nothing can be read.

    Lenient, the fallbacks in their order are: the first option that an ambiguous declaration names; the last
    letter that stands as an option, "(B)"; an option's text, if the last sentence holds that of one only; the
    last number that is no operand. A refusal stays one. Answered strictly is answered alike leniently.
    """
    found = _declared(text, kind, options, lenient)
    if found.outcome == "unanswered" and declines(text):
        return REFUSED
    if lenient and found.outcome in ("unanswered", "ambiguous"):
        return _fallback(text, kind, options, found)
    return found


def forced(text: str, kind: str, options: Sequence[str] = (), lenient: bool = False) -> Extraction:
    """The answer in what a model wrote right after the cue "Final Answer:".

    The first line that is not blank is read as after a declaration (`choices.read`, `numerals.read`), else as a
    free text of its own. A model that goes on with a step ("Step 1: ...") has not answered.
    """
    start, end = line(text)
    if _STEP.match(text, start, end):
        found = UNANSWERED
    else:
        found = _read(text, start, end, kind, options, lenient)
        if found.outcome == "unanswered":
            found = _declared(text[:end], kind, options, lenient)
        if found.outcome == "unanswered" and declines(text[:end]):
            return REFUSED
    if lenient and found.outcome in ("unanswered", "ambiguous"):
        return _fallback(text, kind, options, found)
    return found


def _declared(text: str, kind: str, options: Sequence[str], lenient: bool) -> Extraction:
    """What the declarations of a text say."""
    after = 0  # weaker declarations count only behind a stronger one that cannot be read
    for rules in TIERS:
        unread, read = after, []
        for declaration in declarations(text, rules):
            if declaration.cue < after:
                break
            found = _read_declaration(text, declaration, kind, options, lenient)
            if found.outcome == "unanswered":
                unread = max(unread, declaration.start)
            elif rules != UNANIMOUS:
                return found
            else:
                read.append(found)
        if read:
            return read[0] if len({found.answer for found in read}) == 1 else AMBIGUOUS
        after = unread
    return UNANSWERED


def _read_declaration(
    text: str, declaration: Declaration, kind: str, options: Sequence[str], lenient: bool
) -> Extraction:
    rule, _, start, end = declaration
    if rule not in SUBJECT:
        return _read(text, start, end, kind, options, lenient)
    if kind == "choice":
        return choices.read_subject(text, start, end, options)
    return numerals.read_subject(text, start, end) if rule == "is_answer" else UNANSWERED


def _read(text: str, start: int, end: int, kind: str, options: Sequence[str], lenient: bool) -> Extraction:
    """What stands after a cue. A step is no answer."""
    if _STEP.match(text, start, end):
        return UNANSWERED
    if kind == "choice":
        return choices.read(text, start, end, options, lenient)
    return numerals.read(text, start, end)


def _fallback(text: str, kind: str, options: Sequence[str], found: Extraction) -> Extraction:
    """The lenient extractor's weaker evidence; `found` where there is none."""
    if kind == "number":
        weaker = numerals.last(text)
    else:
        weaker = choices.last_standing(text, options)
        weaker = weaker if weaker.answer else choices.only_text(text, options)
    return weaker if weaker.answer else found
