"""Questions in one schema, with ids derived from their content alone.

Readers return plain dicts; `frame` checks them and makes the QUESTIONS table that every later stage reads.
"""

import hashlib
import json
import re
from decimal import Decimal

import polars as pl

from faithtune.core.errors import UserError
from faithtune.core.schemas.questions import QUESTIONS
from faithtune.core.user_files import not_text
from faithtune.data.expressions import canonical_expression

LETTERS = "ABCDEFGHIJ"

_NUMBER = re.compile(r"[+-]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)", re.ASCII)


def canonical_number(text: str) -> str | None:
    """The one spelling of a number: "1,234.50" -> "1234.5", "-0" -> "0".

    Accepts an optional sign, digits with or without thousands commas, and an optional decimal part; returns None for
    anything else ("$3", "5%", "1e3", "1,2"). Exact: no float is involved.
    """
    text = text.strip()
    if not _NUMBER.fullmatch(text):
        return None
    number = Decimal(text.replace(",", ""))
    if number == 0:
        return "0"
    plain = f"{number:f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


# How an answer without options becomes canonical, and what is right as one.
CANONICAL = {
    "number": (canonical_number, "a plain number such as 1234.5"),
    "expression": (canonical_expression, r"an expression that math-verify can read, such as \frac{1}{2}"),
}


def digest(*parts: object) -> str:
    """16 hex digits of the sha256 of `parts` as JSON."""
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def question_id(context: str | None, question: str, options: list[str]) -> str:
    """The id of a question: 16 hex digits, a hash of what it asks.

    File, split and answer do not count, so a question in both a training and an evaluation file has one id. White
    space counts as a single space, because copies of a data set differ in it.
    """
    return digest(_spaces(context or ""), _spaces(question), [_spaces(option) for option in options])


def choice(
    question: str, options: list[str], answer: str, context: str | None = None, rationale: str | None = None
) -> dict:
    """A multiple-choice question as a dict for `frame`; answer: a letter."""
    return {
        "kind": "choice",
        "context": context,
        "question": question,
        "options": options,
        "answer": answer,
        "rationale": rationale,
    }


def number(question: str, answer: str, context: str | None = None, rationale: str | None = None) -> dict:
    """A question with a number as its answer, as a dict for `frame`."""
    return {**choice(question, [], answer, context, rationale), "kind": "number"}


def expression(question: str, answer: str, context: str | None = None, rationale: str | None = None) -> dict:
    """A question with an expression as its answer, as a dict for `frame`."""
    return {**choice(question, [], answer, context, rationale), "kind": "expression"}


def frame(rows: list[dict | None], data_set: str, split: str, records: list[dict] | None = None) -> pl.DataFrame:
    """A QUESTIONS table of `rows` (dicts with the keys of `choice`), in their order, without those that are None.

    records: the rows of the file, if there is one; a question's source_id is its record's `id`, else its index. Outer
    white space is stripped, an empty context or rationale becomes null, and numbers and expressions become canonical.
    A question's group is its context, because questions about one passage are not independent; without a context, the
    question is its own group. Of questions with one id, which real files have, the first is kept.

    Raises UserError if there are no rows, a question is empty, an answer is not a number, no expression that can be
    read or not among the options, or there are fewer than 2 or more than 10 options.
    """
    known = [(place, row) for place, row in enumerate(rows) if row is not None]
    if not known:
        raise UserError(f"{data_set}: no question found; expected a file with at least one")
    names = {place: str(row["id"]) for place, row in enumerate(records or []) if row.get("id") is not None}
    for place, name in names.items():
        if fault := not_text(name):
            raise UserError(f"{data_set}: row {place + 1}: id {fault}")
    checked = [
        _checked(row, f"{data_set}: question {place + 1}")
        | {"source_id": names.get(place, str(place)), "data_set": data_set, "split": split}
        for place, row in known
    ]
    return pl.DataFrame(checked, schema=QUESTIONS).unique("id", keep="first", maintain_order=True)


# How options are marked, shown by the first.
MARKER = "A."


def question_block(row: dict, marker: str = MARKER) -> str:
    """The text of a question as a model sees it: context, question, options, separated by empty lines.

    Each option is a line "A. text", or with another marker; line breaks within an option become spaces.
    """
    marked = zip(LETTERS, row["options"], strict=False)
    options = [f"{marker.replace('A', letter)} {_spaces(option)}" for letter, option in marked]
    return "\n\n".join(part for part in (row["context"], row["question"], "\n".join(options)) if part)


def _spaces(text: str) -> str:
    return " ".join(text.split())


def _checked(row: dict, place: str) -> dict:
    context, question, rationale = ((row[key] or "").strip() or None for key in ("context", "question", "rationale"))
    options = [option.strip() for option in row["options"]]
    answer = row["answer"].strip()
    if question is None:
        raise UserError(f"{place}: it is empty; expected a text")
    if row["kind"] == "choice":
        if not 2 <= len(options) <= len(LETTERS):
            raise UserError(f"{place}: it has {len(options)} options; expected 2 to {len(LETTERS)}")
        if answer not in list(LETTERS[: len(options)]):
            raise UserError(f"{place}: its answer {answer!r} is no letter from A to {LETTERS[len(options) - 1]}")
    elif row["kind"] in CANONICAL:
        canonical, right = CANONICAL[row["kind"]]
        if options:
            raise UserError(f"{place}: its kind is {row['kind']} but it has options; expected none")
        if (known := canonical(answer)) is None:
            raise UserError(f"{place}: its answer {answer!r} is not {right}")
        answer = known
    else:
        raise UserError(f"{place}: its kind is {row['kind']!r}; expected choice, number or expression")
    identity = question_id(context, question, options)
    return {
        "id": identity,
        "kind": row["kind"],
        "context": context,
        "question": question,
        "options": options,
        "answer": answer,
        "rationale": rationale,
        "group": digest("context", _spaces(context)) if context else identity,
    }
