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
from itertools import islice

from faithtune.extraction import fallback, numbers
from faithtune.extraction import options as choices
from faithtune.extraction.cues import OF_LETTERS, SUBJECT, TIERS, UNANIMOUS, Declaration, declarations, line
from faithtune.extraction.outcomes import AMBIGUOUS, REFUSED, UNANSWERED, Extraction, declines
from faithtune.extraction.text import CORRECTION, NEXT, after_thought, plain

_STEP = re.compile(r"[\s*]*step\s+\d", re.IGNORECASE)
# "not B but C", "isn't A, it's C": what is denied before the answer
_NOT_BUT = re.compile(
    r"[\s*]*(?:not|n['\u2019]t|neither)\b[^.;:!?\n]{1,80}?(?:,?[\s*]+but\s+(?:rather\s+)?|[,;]\s+(?:but\s+|so\s+)?it(?:['\u2019]s|\s+is)\s+)",
    re.IGNORECASE,
)
_JOINED = re.compile(r"\}[$\s\\)]*(?:and|or)\s[$\s\\(]*\Z")  # "\\boxed{A} or " before a further box
_BOLD_NUMBER = re.compile(r"\*\*[^*\n]*\d[^*\n]*\*\*[^*\n]*\Z")
_MOST = 8  # corrections, and turns of others, in one text that are looked at


def declared(text: str, kind: str, options: Sequence[str] = (), lenient: bool = False) -> Extraction:
    """The last answer that a free text declares.

    Args:
        text: the whole text.
        kind: choice | number.
        options: for kind choice, the options' texts (their number bounds the letters).
        lenient: fall back on weaker evidence.

    Not read are what stands before the last "</think>", and what follows an answer from the next question on. The
    heaviest of `cues.TIERS` that can be read decides, and in it the last declaration, so a "Final Answer:"
    line is never overruled by a sentence, unless it is taken back ("Wait, ..."); nor does a sentence before such a
    line count where the line cannot be read. A letter or number that nothing declares is only taken where the
    completion is nothing else. The outcome is

    * ambiguous, where the last declaration names several answers or contradicts itself ("A or C"), or is taken back
      for one that cannot be read;
    * refused, where it declines ("none of the above"), or where nothing is declared and the text's end declines;
    * unanswered, where nothing can be read.

    Lenient, the fallbacks in their order are: the first that an ambiguous declaration names; the only option that is
    called right; the last letter that stands as an option, "(B)"; an option's text, if the last sentence holds that of
    one only; the last number that is no operand. A refusal stays one. Answered strictly is answered alike leniently.
    """
    start = after_thought(text)
    part = _before_next(plain(text)[start:], kind, options)
    found = _strict(part, kind, options)
    if lenient:
        found = _lenient(part, kind, options, found)
    return found._replace(span=(start + found.span[0], start + found.span[1])) if found.span else found


def forced(text: str, kind: str, options: Sequence[str] = (), lenient: bool = False) -> Extraction:
    """The answer in what a model wrote right after the cue "Final Answer:".

    The first line that is not blank is read as after a declaration (`options.read`, `numbers.read`), else as a
    free text of its own. A model that goes on with a step ("Step 1: ...") has not answered.
    """
    text = plain(text)
    start, end = line(text)
    if _STEP.match(text, start, end):
        found = UNANSWERED
    else:
        found = _read(text, start, end, kind, options, False)
        if found.outcome in ("answered", "ambiguous"):
            place = found.span[1] if found.span else start
            found = _corrected(text[:end], found, place, kind, options)
        if found.outcome == "unanswered":
            found = _strict(text[:end], kind, options)
    if not lenient or found.outcome in ("answered", "refused"):
        return found
    named = _read(text, start, end, kind, options, True) if found.outcome == "ambiguous" else found
    return named if named.answer else _weaker(text, kind, options, found)


def _before_next(text: str, kind: str, options: Sequence[str]) -> str:
    """The text up to where, its answer given, somebody else's turn or another question begins."""
    for match in islice(NEXT.finditer(text), _MOST):
        before = text[: match.start()]
        if before.strip() and (match["next"] is None or _strict(before, kind, options).outcome != "unanswered"):
            return before
    return text


def _strict(text: str, kind: str, options: Sequence[str]) -> Extraction:
    found, place = _declared(text, kind, options, False)
    if found.outcome == "unanswered":
        found = choices.bare(text, options) if kind == "choice" else numbers.bare(text)
        place = found.span[1] if found.span else 0
    elif kind == "choice" and choices.bare(text, options).answer not in (None, found.answer):
        return AMBIGUOUS
    if found.outcome in ("answered", "ambiguous"):
        return _corrected(text, found, place, kind, options)
    return REFUSED if found.outcome == "unanswered" and declines(text) else found


def _lenient(text: str, kind: str, options: Sequence[str], found: Extraction) -> Extraction:
    """The first answer of an ambiguous declaration that nothing takes back; else weaker evidence, or `found`."""
    if found.outcome == "ambiguous":
        named, place = _declared(text, kind, options, True)
        if named.answer and _corrected(text, named, place, kind, options) == named:
            return named
    return found if found.outcome in ("answered", "refused") else _weaker(text, kind, options, found)


def _corrected(text: str, found: Extraction, place: int, kind: str, options: Sequence[str]) -> Extraction:
    """What was read up to `place`, unless the text behind it takes that back: "Wait, it should be C"."""
    place = choices.past_text(text, place, options) if kind == "choice" else place
    for correction in islice(CORRECTION.finditer(text, place), _MOST):
        rest = text[correction.end() :]
        again = _strict(rest, kind, options)
        if again.outcome in ("answered", "ambiguous"):
            return again
        if any(True for rules in TIERS[:4] for _ in declarations(rest, rules)):
            return AMBIGUOUS  # something else is declared, whatever it is
        if correction["check"] is None:
            named = _weaker(rest, kind, options, UNANSWERED).answer
            return found if named in (None, found.answer) else AMBIGUOUS
    return found


def _declared(text: str, kind: str, options: Sequence[str], lenient: bool) -> tuple[Extraction, int]:
    """What the declarations of a text say, and the place up to which it was read."""
    after = 0  # weaker declarations count only behind a stronger one that cannot be read
    for rules in TIERS:
        unread, read = after, []
        for declaration in declarations(text, rules):
            if declaration.cue < after:
                break
            if kind == "number" and declaration.rule in OF_LETTERS:
                continue
            found = _read_declaration(text, declaration, kind, options, lenient)
            if found.outcome == "unanswered":
                unread = max(unread, declaration.start)
            else:
                read.append((found, found.span[1] if found.span else declaration.start))
                if rules not in UNANIMOUS:
                    return read[0]
        if read:
            return read[0] if len({found.answer for found, _ in read}) == 1 else (AMBIGUOUS, read[0][1])
        after = unread
    return UNANSWERED, 0


def _read_declaration(
    text: str, declaration: Declaration, kind: str, options: Sequence[str], lenient: bool
) -> Extraction:
    rule, cue, start, end = declaration
    if rule in SUBJECT:
        if kind == "choice":
            return choices.read_subject(text, start, end, options)
        return numbers.read_subject(text, start, end) if rule == "is_answer" else UNANSWERED
    if rule == "boxed" and not lenient and _JOINED.search(text, max(0, cue - 20), cue):
        return AMBIGUOUS
    if rule == "bold" and kind == "number" and not lenient and _BOLD_NUMBER.search(text, max(0, cue - 200), cue):
        return AMBIGUOUS
    if rule == "bold_line":
        found = choices.bare(text[start:end], options)
        return found._replace(span=(start + found.span[0], start + found.span[1])) if found.span else found
    return _read(text, start, end, kind, options, lenient)


def _read(text: str, start: int, end: int, kind: str, options: Sequence[str], lenient: bool) -> Extraction:
    """What stands after a cue. A step is no answer."""
    if _STEP.match(text, start, end):
        return UNANSWERED
    if denied := _NOT_BUT.match(text, start, end):
        start = denied.end()
    if kind == "choice":
        return choices.read(text, start, end, options, lenient)
    return numbers.read(text, start, end, lenient)


def _weaker(text: str, kind: str, options: Sequence[str], found: Extraction) -> Extraction:
    """The lenient extractor's weaker evidence; `found` where there is none."""
    weak = numbers.last(text) if kind == "number" else fallback.option(text, options)
    return weak if weak.answer else found
