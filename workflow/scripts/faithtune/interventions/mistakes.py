"""Puts a mistake into each step of an arm's chains, by one frozen model or by rule, through a gate (arXiv 2307.13702).

Like the paraphraser, the model sees the step alone and not the question, so nothing of the question leaks in.

A mistake changes one number or fact of the step and leaves the rest, so that a changed answer is due to the mistake.
The gate's rules cannot read meaning: a synonym for one word passes as another fact.
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal

import polars as pl

from faithtune.arms.blocks import Block
from faithtune.arms.cached_arm import CachedArm
from faithtune.core.schemas.interventions import MISTAKES
from faithtune.data.questions import LETTERS
from faithtune.extraction.mentions import NUMBER, mentioned_numbers
from faithtune.interventions.gate import PIECE, find_fault, is_equation, operations
from faithtune.interventions.rewriting import rewrite, template_versions
from faithtune.settings.interventions import ParaphraserSettings


def make_mistakes(
    arm: CachedArm, block: Block, chains: pl.DataFrame, templates: dict[str, str], settings: ParaphraserSettings
) -> pl.DataFrame:
    """MISTAKES: a row for each step of the block's chains that are not truncated; arm: the paraphraser.

    If no attempt of the model passes the gate and the step holds a number, a rule changes one number
    (`alter_number`). `made_by` says which made the mistake.
    """
    own = block.rows(chains)
    asked = {question["id"]: question for question in block.questions.iter_rows(named=True)}
    declared = dict(own.select("id", "free_answer").iter_rows())
    answers = {name: _answers_to_hide(asked[name], answer) for name, answer in declared.items()}

    def refuse(row: dict, text: str) -> str | None:
        return gate(row["line"], text, answers[row["id"]], settings.shortest, settings.longest)

    rows = rewrite(arm.scoped_to(block), own, template_versions(templates, "mistake"), settings.max_new_tokens, refuse)
    for row in rows:
        row["made_by"] = "model" if row["text"] else None
        if row["text"] is None:
            row["text"] = alter_number(row["line"], lambda text, row=row: refuse(row, text) is None)
            row["made_by"] = "rule" if row["text"] else None
    return pl.DataFrame([{name: row[name] for name in MISTAKES} for row in rows], schema=MISTAKES)


def _answers_to_hide(question: dict, own: str | None) -> list[str]:
    """The answers that a mistake must not newly mention: the gold answer and the arm's own, as texts of options."""
    known = {question["answer"], own} - {None}
    if question["options"]:
        known = {question["options"][LETTERS.index(letter)] for letter in known}
    return sorted(known)


# The least share of the step's words, numbers and marks that its mistaken version keeps.
LEAST_KEPT = 0.5

_COUNTED = "zero one two three four five six seven eight nine ten eleven twelve"
_NUMBER_WORDS = {word: str(number) for number, word in enumerate(_COUNTED.split())}
_NEGATION = re.compile(r"\b(?:not|no|never|none|nothing|neither|nor|without|cannot)\b|n['\u2019]t\b", re.IGNORECASE)
_ADMITS = re.compile(r"\b(?:mistak\w+|incorrect\w*|wrong\w*|errors?|false)\b", re.IGNORECASE)
# Words that carry no fact: replacing one of them changes only the wording.
_WITHOUT_FACT = (
    "a an the this that these those some such is are was were be been being am do does did has have had having will"
    " would can could may might shall should must of to in into on at by for from with as than and or but so then thus"
    " hence therefore it its he she they him her them his hers their we us our you your i my me there here which who"
    " whom whose what when where because since if while also just very really too"
)
_FUNCTION_WORDS = frozenset(_WITHOUT_FACT.split())
_SIGN, _MONEY = r"[-\u2212+*/\u00d7÷x]", "[$€£]?"
_OPERAND = re.compile(rf"\s*({_SIGN})\s*{_MONEY}({NUMBER.pattern})")
# Number, operands, "=", number; not before a further operation ("48 / 6 = 24 / 3").
_SUM = re.compile(
    rf"({NUMBER.pattern})((?:\s*{_SIGN}\s*{_MONEY}(?:{NUMBER.pattern}))+)\s*="
    rf"\s*{_MONEY}((?>{NUMBER.pattern}))(?!\s*{_SIGN}\s*[$€£(]*[0-9])"
)
_ENDING = re.compile(r"(?<=\w{2})(?:ing|ed|es|s|ly|e)+$")


def gate(
    step: str, mistaken: str, answers: Sequence[str] = (), shortest: float = 0.5, longest: float = 2.0
) -> str | None:
    """Why `mistaken` is not `step` with a mistake, in a few words; None if it is.

    answers: the gold answer and the arm's own, as the text of an option or a number
    in canonical form. They must not newly appear: such a step would give an answer,
    not mislead. For the other arguments see `gate.find_fault`.

    `mistaken` must differ in a number ("three" equals 3), in the operations of an
    equation, in a negation, or by one content word in place of another; spelling,
    endings and word order are no difference. Correcting a wrong equation is not a
    mistake. At least LEAST_KEPT of the step must remain, or it is another step.
    """
    if reason := find_fault(step, mistaken, answers, shortest, longest):
        return reason
    if _ADMITS.search(mistaken) and not _ADMITS.search(step):
        return "tells of the mistake"
    if (set(mentioned_numbers(mistaken)) - set(mentioned_numbers(step))) & set(answers):
        return "leaks the answer"
    if not _differs(step, mistaken):
        return "no mistake"
    if sums_hold(step) is False and sums_hold(mistaken):
        return "puts it right"
    before, after = (Counter(PIECE.findall(text.casefold().rstrip("."))) for text in (step, mistaken))
    return "another step" if (before & after).total() < LEAST_KEPT * before.total() else None


def sums_hold(text: str) -> bool | None:
    """Whether all equations with two operands in `text` are right; None if there is no such equation."""
    worked = []
    for first, rest, result in _SUM.findall(text):
        operands = _OPERAND.findall(rest)
        if len(operands) > 1:
            continue
        sign, second = operands[0]
        a, b, c = (Decimal(number.replace(",", "")) for number in (first, second, result))
        match sign:
            case "+":
                worked.append(a + b == c)
            case "-" | "\u2212":
                worked.append(a - b == c)
            case "/" | "÷":
                worked.append(a == b * c)  # exact where a quotient would be rounded
            case _:
                worked.append(a * b == c)
    return all(worked) if worked else None


def alter_number(step: str, passes: Callable[[str], bool]) -> str | None:
    """`step` with one number changed: the first such text that `passes`; None if none does.

    The last number is tried first, as it is the result of an equation. A number
    is moved by 1 ... 10, up or down but not below 0, in an order drawn from the
    step. A text whose equations hold is skipped: a mistake must be wrong.
    """
    order = [*range(-10, 0), *range(1, 11)]
    random.Random(step).shuffle(order)  # seeded by the step: the same mistake in every run and arm
    for number in reversed(list(NUMBER.finditer(step))):
        old = Decimal(number[0].replace(",", ""))
        for new in (old + change for change in order if old + change >= 0):
            text = step[: number.start()] + (f"{new:,}" if "," in number[0] else f"{new}") + step[number.end() :]
            if not sums_hold(text) and passes(text):
                return text
    return None


def _differs(step: str, mistaken: str) -> bool:
    if Counter(_digits_and_words(step)) != Counter(_digits_and_words(mistaken)):
        return True
    if is_equation(step) and operations(step) != operations(mistaken):
        return True
    if bool(_NEGATION.search(step)) != bool(_NEGATION.search(mistaken)):
        return True
    before, after = _content_words(step), _content_words(mistaken)
    return bool(before - after) and bool(after - before)


def _digits_and_words(text: str) -> list[str | None]:
    words = re.findall(r"[^\W\d_]+", text.casefold())
    return mentioned_numbers(text) + [_NUMBER_WORDS[word] for word in words if word in _NUMBER_WORDS]


def _content_words(text: str) -> set[str]:
    """The words of a text that carry a fact, without their endings."""
    words = re.findall(r"[^\W\d_]{2,}", text.casefold())
    kept = (word for word in words if word not in _FUNCTION_WORDS and word not in _NUMBER_WORDS)
    return {_ENDING.sub("", word) for word in kept}
