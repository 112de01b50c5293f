"""Cells of a row by their path, and the texts in them."""

import difflib
from collections.abc import Iterable, Mapping

from faithtune.core.errors import UserError, short_repr
from faithtune.core.user_files import not_text
from faithtune.settings.data import plain_text

# What a row has at a path that it lacks.
MISSING = object()


class BadRow(Exception):
    """A row does not fit; the message says how, and what would be right."""


def cell(row: dict, path: str) -> object:
    """The value at a path: a column, or a value inside a column by dots; MISSING if there is none.

    >>> cell({"question": {"stem": "Why?"}}, "question.stem")
    'Why?'
    >>> cell({"messages": [{"content": "Why?"}]}, "messages.0.content")
    'Why?'
    """
    if path in row:  # a name may have dots itself
        return row[path]
    value = row
    for key in path.split("."):
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return MISSING
    return value


def check(records: Iterable[dict], paths: Mapping[str, str]) -> None:
    """UserError with the first of `paths` (key of the settings -> path) that no record has."""
    for key, path in paths.items():
        if all(cell(row, path) is MISSING for row in records):
            there = list(dict.fromkeys(str(name) for row in records for name in row))
            close = difflib.get_close_matches(path, there, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise UserError(f"there is no column {path!r}, which {key} names; {hint}its columns are {', '.join(there)}")


def text(row: dict, path: str) -> str | None:
    """The text at a path without outer white space; None if it is missing, null or empty. BadRow if it is no text."""
    value = cell(row, path)
    if value is MISSING or value is None:
        return None
    if fault := not_text(value):
        raise BadRow(f"{path} {fault}")
    return value.strip() or None


def lines(row: dict, path: str) -> str | None:
    """The text at a path, or its list of texts, one a line; None if it is missing, null or empty."""
    value = cell(row, path)
    if not isinstance(value, list):
        return text(row, path)
    texts = [text({path: part}, path) for part in value]
    return "\n".join(part for part in texts if part) or None


def single(row: dict, path: str) -> str:
    """The text, number or truth value at a path as text; BadRow if it is anything else."""
    value = cell(row, path)
    found = None if value is MISSING else plain_text(value)
    if found is None:
        fault = "is missing" if value is MISSING else f"is {short_repr(value)}"
        raise BadRow(f"{path} {fault}; expected a text or a number (a split without answers cannot be used)")
    if isinstance(value, str) and (fault := not_text(value)):
        raise BadRow(f"{path} {fault}")
    return found.strip()
