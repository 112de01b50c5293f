r"""The expression that a declaration gives as its answer.

An expression is a formula between marks ("$\frac{1}{2}$", "\(x = 3\)", \boxed{...}), or a text that is a formula as a
whole, a single word, or either with a unit: "3/4", "(1, 2]", "Evelyn", "2\sqrt{3} cm". In a sentence without marks it
is read as a number is ("She has 66"), because words look like products of variables.
"""

import re
from itertools import pairwise

from faithtune.data.expressions import BOX, canonical_expression, plain
from faithtune.extraction import numbers
from faithtune.extraction.outcomes import AMBIGUOUS, REFUSED, UNANSWERED, Extraction, contains_refusal

# As in Pandoc: no white space within the dollar signs, no digit after them ("$5 and $6").
_MARKED = re.compile(
    r"\$\$(?P<display>[^$]+)\$\$|(?<!\\)\$(?P<inline>(?!\s)(?:\\\$|[^$\n])+(?<!\s))\$(?!\d)"
    rf"|\\\((?P<round>.+?)\\\)|\\\[(?P<square>.+?)\\\]|{BOX}"
)
# "$3$ and $4$", "$3$, $4$": one answer of several parts; "$x = 3$ or $x = 4$"
_JOINT = re.compile(r"[\s*]*(?:,?\s*\b(?:and|or)\b|[,;])[\s*]*")
_COMMAND = re.compile(r"\\[A-Za-z]+(?:\s?\{[A-Za-z .:]*\})?")  # \sqrt, \text{Evelyn}, \begin{pmatrix}
_FUNCTION = re.compile(r"(?<![A-Za-z])(?:sqrt|sin|cos|tan|log|ln|pi|infty|and|or)(?![A-Za-z])")
_PROSE = re.compile(r"[A-Za-z]{2,}")
_AND = re.compile(r",?\s+(?:and|or)\s+")
_ONE_WORD = re.compile(r"[A-Za-z]{2,}")
_NO_ANSWER = re.compile(r"(?:unclear|unknown|none|nothing|no|sorry|the|an?|answer|is|it|so|step)", re.IGNORECASE)
# What follows gives a reason or says what the letters are: "$3$ since $y = 2$", "$2k$ where $k$ is whole"
_REASON = re.compile(r"[\s,]*\b(?:because|since|as|where|which|given|when)\b")
_UNIT = re.compile(r"(?<=[\d})])(?:\s+[A-Za-z]+){1,3}\Z")
_OUTER = " \t\r\n*_`"


def read(text: str, start: int, end: int, lenient: bool = False) -> Extraction:
    """The expression that a declaration, text[start:end], gives.

    Formulas between marks that are joined ("$3$ and $4$") are one answer of several parts. Other formulas in one
    declaration are ambiguous; `lenient` takes the first. A number before the first formula, or what stands before a
    reason ("because"), is read alone. What math-verify cannot read is unanswered.
    """
    bare = _MARKED.sub(lambda formula: "$" * len(formula[0]), text[start:end])
    reason = _REASON.search(bare)
    if reason and bare[: reason.start()].strip():
        end = start + reason.start()
    formulas = list(_MARKED.finditer(text, start, end))
    if formulas and not re.search(r"\d", text[start : formulas[0].start()]):
        return _read_marked(text, formulas, lenient)
    whole = _read_plain(text, start, end)
    if whole.answer:
        return whole
    if contains_refusal(text[start:end]):
        return REFUSED
    found = numbers.read(text, start, end, lenient)
    return _canonical(found) if found.answer else found


def read_subject(text: str, start: int, end: int) -> Extraction:
    """The only formula between marks, or the only number, of a clause before " is the answer"."""
    formulas = list(_MARKED.finditer(text, start, end))
    if formulas:
        return _as_extraction(formulas[0]) if len(formulas) == 1 else UNANSWERED
    return _canonical(numbers.read_subject(text, start, end))


def read_whole_text(text: str) -> Extraction:
    """The expression that fills the whole text, which is one line."""
    start, end = len(text) - len(text.lstrip()), len(text.rstrip())
    if "\n" in text[start:end]:
        return UNANSWERED
    marked = _MARKED.fullmatch(text, start, len(text[:end].rstrip(".")))
    return _as_extraction(marked) if marked else _read_plain(text, start, end)


def read_last(text: str) -> Extraction:
    """The last formula between marks that can be read, else the last number: the weakest evidence."""
    for match in reversed(list(_MARKED.finditer(text))):
        if (found := _as_extraction(match)).answer:
            return found
    return _canonical(numbers.read_last(text))


def _read_marked(text: str, formulas: list[re.Match], lenient: bool) -> Extraction:
    first, last = formulas[0], formulas[-1]
    between = [text[one.end() : two.start()] for one, two in pairwise(formulas)]
    if len(formulas) == 1 or lenient:
        return _as_extraction(first)
    if not all(_JOINT.fullmatch(piece) for piece in between):
        same = {plain(match[match.lastgroup]) for match in formulas}
        return _as_extraction(first) if len(same) == 1 else AMBIGUOUS
    answer = canonical_expression(", ".join(match[match.lastgroup] for match in formulas))
    return Extraction("answered", answer, (first.start(), last.end())) if answer else UNANSWERED


def _read_plain(text: str, start: int, end: int) -> Extraction:
    """The expression without marks that fills text[start:end]; unanswered if there are words beside it."""
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip(_OUTER))
    piece = piece.strip(_OUTER).rstrip(".").rstrip(_OUTER)
    if _ONE_WORD.fullmatch(piece):
        formula = "" if _NO_ANSWER.fullmatch(piece) else rf"\text{{{piece}}}"
    else:
        formula = piece if not _has_words(piece) else _UNIT.sub("", piece)
        formula = "" if _has_words(formula) or formula.endswith("=") else _AND.sub(", ", formula)
    answer = canonical_expression(formula) if formula else None
    return Extraction("answered", answer, (start, start + len(piece))) if answer else UNANSWERED


def _has_words(text: str) -> bool:
    return bool(_PROSE.search(_FUNCTION.sub(" ", _COMMAND.sub(" ", text))))


def _as_extraction(match: re.Match) -> Extraction:
    answer = canonical_expression(match[match.lastgroup])
    return Extraction("answered", answer, match.span(match.lastgroup)) if answer else UNANSWERED


def _canonical(found: Extraction) -> Extraction:
    answer = found.answer and canonical_expression(found.answer)
    return found._replace(answer=answer) if answer else UNANSWERED
