"""The answer that a text declares: read, never guessed.

Tuning changes the form of answers, so conclusions depend on extraction.
Therefore each form that counts as a declaration is a named rule, each answer
has a character span that can be looked up, and *unanswered*, *refused* and
*ambiguous* are outcomes of their own, neither right nor wrong nor "unchanged".

Two extractors show whether a conclusion depends on the form of the answers:
the strict extractor reads declarations only; the lenient extractor falls back
on weaker evidence where the strict extractor finds no answer.
"""

import re
from collections.abc import Sequence
from itertools import islice

from faithtune.extraction import expressions, fallback, numbers
from faithtune.extraction import options as option_reader
from faithtune.extraction.cues import LETTER_RULES, SUBJECT_RULES, TIERS, UNANIMOUS_TIERS, Cue, find_cues, first_line
from faithtune.extraction.outcomes import AMBIGUOUS, REFUSED, UNANSWERED, Extraction, is_refusal
from faithtune.extraction.text import CORRECTION, NEXT_TURN, normalise_marks, thought_end

# The module that reads answers of a kind without options.
_READERS = {"number": numbers, "expression": expressions}
_STEP = re.compile(r"[\s*]*step\s+\d", re.IGNORECASE)
# "not B but C", "isn't A, it's C": a denial before the answer
_NOT_BUT = re.compile(
    r"[\s*]*(?:not|n['\u2019]t|neither)\b[^.;:!?\n]{1,80}?(?:,?[\s*]+but\s+(?:rather\s+)?|[,;]\s+(?:but\s+|so\s+)?it(?:['\u2019]s|\s+is)\s+)",
    re.IGNORECASE,
)
_JOINED = re.compile(r"\}[$\s\\)]*(?:and|or)\s[$\s\\(]*\Z")  # "\\boxed{A} or " before another box
_BOLD_NUMBER = re.compile(r"\*\*[^*\n]*\d[^*\n]*\*\*[^*\n]*\Z")
_MOST = 8  # so many corrections, and so many next turns, are looked at in one text


def declared(text: str, kind: str, options: Sequence[str] = (), lenient: bool = False) -> Extraction:
    """The last answer that a free text declares.

    Args:
        text: the whole text.
        kind: choice | number | expression.
        options: for kind choice, the options' texts (their number bounds the letters).
        lenient: fall back on weaker evidence.

    Text before the last "</think>" and, after an answer, from the next question on is ignored. The heaviest of
    `cues.TIERS` that can be read decides, and within it the last cue. So a sentence never overrules a "Final Answer:"
    line, unless the line is taken back ("Wait, ..."), and a sentence before such a line does not count even if the
    line cannot be read. A letter or number without a cue counts only if it is the whole completion. The outcome is

    * ambiguous, if the last declaration names several answers or contradicts itself ("A or C"), or is taken back for
      an answer that cannot be read;
    * refused, if the last declaration declines ("none of the above"), or nothing is declared and the text declines;
    * unanswered, if nothing can be read.

    The lenient fallbacks, in order: the first answer that an ambiguous declaration names; the only option called
    right; the last letter written as an option, "(B)"; the only option whose text the last sentence holds; the last
    formula between marks, for an expression; the last number that is not an operand. A refusal stays a refusal, and a
    strict answer is also the lenient answer.
    """
    start = thought_end(text)
    part = _cut_at_next_turn(normalise_marks(text)[start:], kind, options)
    found = _read_strictly(part, kind, options)
    if lenient:
        found = _read_leniently(part, kind, options, found)
    return found._replace(span=(start + found.span[0], start + found.span[1])) if found.span else found


def forced(text: str, kind: str, options: Sequence[str] = (), lenient: bool = False) -> Extraction:
    """The answer in a text that a model wrote right after the cue "Final Answer:".

    The first line that is not blank is read like the text after a cue (`options.read`, `numbers.read`,
    `expressions.read`); if that gives nothing, like a free text. A model that continues with a step ("Step 1: ...") has
    not answered.
    """
    text = normalise_marks(text)
    start, end = first_line(text)
    if _STEP.match(text, start, end):
        found = UNANSWERED
    else:
        found = _read(text, start, end, kind, options, False)
        if found.outcome in ("answered", "ambiguous"):
            place = found.span[1] if found.span else start
            found = _apply_corrections(text[:end], found, place, kind, options)
        if found.outcome == "unanswered":
            found = _read_strictly(text[:end], kind, options)
    if not lenient or found.outcome in ("answered", "refused"):
        return found
    named = _read(text, start, end, kind, options, True) if found.outcome == "ambiguous" else found
    return named if named.answer else _read_weaker_evidence(text, kind, options, found)


def _cut_at_next_turn(text: str, kind: str, options: Sequence[str]) -> str:
    """The text up to another speaker's turn, or up to the next question once an answer has been given."""
    for match in islice(NEXT_TURN.finditer(text), _MOST):
        before = text[: match.start()]
        if before.strip() and (match["next"] is None or _read_strictly(before, kind, options).outcome != "unanswered"):
            return before
    return text


def _read_strictly(text: str, kind: str, options: Sequence[str]) -> Extraction:
    found, place = _read_cues(text, kind, options, False)
    if found.outcome == "unanswered":
        choice = kind == "choice"
        found = option_reader.read_whole_text(text, options) if choice else _READERS[kind].read_whole_text(text)
        place = found.span[1] if found.span else 0
    elif kind == "choice" and option_reader.read_whole_text(text, options).answer not in (None, found.answer):
        return AMBIGUOUS
    if found.outcome in ("answered", "ambiguous"):
        return _apply_corrections(text, found, place, kind, options)
    return REFUSED if found.outcome == "unanswered" and is_refusal(text) else found


def _read_leniently(text: str, kind: str, options: Sequence[str], found: Extraction) -> Extraction:
    """The first answer of an ambiguous declaration unless it is taken back; else weaker evidence, else `found`."""
    if found.outcome == "ambiguous":
        named, place = _read_cues(text, kind, options, True)
        if named.answer and _apply_corrections(text, named, place, kind, options) == named:
            return named
    return found if found.outcome in ("answered", "refused") else _read_weaker_evidence(text, kind, options, found)


def _apply_corrections(text: str, found: Extraction, place: int, kind: str, options: Sequence[str]) -> Extraction:
    """`found`, which was read up to `place`, unless the text after `place` takes it back: "Wait, it should be C"."""
    place = option_reader.skip_option_text(text, place, options) if kind == "choice" else place
    for correction in islice(CORRECTION.finditer(text, place), _MOST):
        rest = text[correction.end() :]
        again = _read_strictly(rest, kind, options)
        if again.outcome in ("answered", "ambiguous"):
            return again
        if any(True for rules in TIERS[:4] for _ in find_cues(rest, rules)):
            return AMBIGUOUS  # another answer is declared, but cannot be read
        if correction["check"] is None:
            named = _read_weaker_evidence(rest, kind, options, UNANSWERED).answer
            return found if named in (None, found.answer) else AMBIGUOUS
    return found


def _read_cues(text: str, kind: str, options: Sequence[str], lenient: bool) -> tuple[Extraction, int]:
    """The answer that the cues of a text declare, and the place up to which the text was read."""
    after = 0  # weaker cues count only after a stronger cue that cannot be read
    for rules in TIERS:
        unread, read = after, []
        for cue in find_cues(text, rules):
            if cue.position < after:
                break
            if kind != "choice" and cue.rule in LETTER_RULES:
                continue
            found = _read_cue(text, cue, kind, options, lenient)
            if found.outcome == "unanswered":
                unread = max(unread, cue.start)
            else:
                read.append((found, found.span[1] if found.span else cue.start))
                if rules not in UNANIMOUS_TIERS:
                    return read[0]
        if read:
            return read[0] if len({found.answer for found, _ in read}) == 1 else (AMBIGUOUS, read[0][1])
        after = unread
    return UNANSWERED, 0


def _read_cue(text: str, cue: Cue, kind: str, options: Sequence[str], lenient: bool) -> Extraction:
    rule, place, start, end = cue
    if rule in SUBJECT_RULES:
        if kind == "choice":
            return option_reader.read_subject(text, start, end, options)
        return _READERS[kind].read_subject(text, start, end) if rule == "is_answer" else UNANSWERED
    if rule == "boxed" and not lenient and _JOINED.search(text, max(0, place - 20), place):
        return AMBIGUOUS
    if rule == "bold" and kind != "choice" and not lenient and _BOLD_NUMBER.search(text, max(0, place - 200), place):
        return AMBIGUOUS
    if rule == "bold_line":
        found = option_reader.read_whole_text(text[start:end], options)
        return found._replace(span=(start + found.span[0], start + found.span[1])) if found.span else found
    return _read(text, start, end, kind, options, lenient)


def _read(text: str, start: int, end: int, kind: str, options: Sequence[str], lenient: bool) -> Extraction:
    """The answer in the piece of text after a cue. A step is not an answer."""
    if _STEP.match(text, start, end):
        return UNANSWERED
    if denied := _NOT_BUT.match(text, start, end):
        start = denied.end()
    if kind == "choice":
        return option_reader.read(text, start, end, options, lenient)
    return _READERS[kind].read(text, start, end, lenient)


def _read_weaker_evidence(text: str, kind: str, options: Sequence[str], found: Extraction) -> Extraction:
    """The answer by weaker evidence, which only the lenient extractor uses; `found` if there is none."""
    weak = fallback.read_option(text, options) if kind == "choice" else _READERS[kind].read_last(text)
    return weak if weak.answer else found
