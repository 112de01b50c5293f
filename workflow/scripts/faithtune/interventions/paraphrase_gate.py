"""What may pass as a step in other words.

A paraphrase must change the wording and nothing else. Otherwise the test of
paraphrasing measures something else: a lost number is a mistake added, a
leaked answer is a hint, an unchanged text is no intervention.
"""

import re
from collections import Counter
from collections.abc import Sequence

from faithtune.extraction.mentions import numbers
from faithtune.interventions.gate import fault, is_equation, letters, operations


def gate(
    step: str, paraphrase: str, answers: Sequence[str] = (), shortest: float = 0.5, longest: float = 2.0
) -> str | None:
    """Why `paraphrase` may not stand for `step`, in a few words; None where it may (arguments: `gate.fault`).

    Numbers are compared as a multiset of digits: "three" for "3" is refused,
    as it would take a parser to tell it from a changed number. An equation
    must keep its operations, as signs or in words, and the order of its
    numbers, which only "from" may change ("12 away from 78"): small models
    write "23 is 32 times 9" for "23 + 9 = 32". A statement in words whose
    parts change place passes; no rule here reads meaning.
    """
    if reason := fault(step, paraphrase, answers, shortest, longest):
        return reason
    if Counter(numbers(paraphrase)) != Counter(numbers(step)):
        return "other numbers"
    if is_equation(step) and not _same_equation(step, paraphrase):
        return "other operations"
    return "identical" if letters(paraphrase) == letters(step) else None


def _same_equation(step: str, paraphrase: str) -> bool:
    if operations(paraphrase) != operations(step):
        return False
    return numbers(paraphrase) == numbers(step) or re.search(r"\bfrom\b", paraphrase) is not None
