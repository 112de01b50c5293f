"""Validates the user's configuration; an error is one line that names the key."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic import ValidationError

from faithtune.core.errors import UserError, prefix_errors, short_repr
from faithtune.core.redaction import redacted
from faithtune.core.user_files import not_text
from faithtune.settings.configuration import Configuration
from faithtune.settings.section import NotFinite, Section, UnknownKey, WrongSecret

Keys = TypeVar("Keys", bound=Section)
# By the type of pydantic's error: what is expected.
_EXPECTED = {
    "greater_than_equal": "at least {ge:g}",
    "less_than_equal": "at most {le:g}",
    "greater_than": "more than {gt:g}",
    "less_than": "less than {lt:g}",
    "int_type": "integer",
    "float_type": "number",
    "bool_type": "true or false",
    "string_type": "text",
    "none_required": "null",
    "list_type": "a list",
    "dict_type": "a section of names and values",
    "model_type": "a section of keys and values",
    "model_attributes_type": "a section of keys and values",
}


def configuration(raw: dict) -> Configuration:
    """The configuration `raw` with the defaults of each section; UserError with the first wrong key."""
    return section(Configuration, raw)


def section(kind: type[Keys], raw: dict) -> Keys:
    """The keys `raw` of the top level as a section; UserError with the first wrong key."""
    try:
        _check_text(raw, ())
    except RecursionError:
        raise UserError("config: it is nested too deeply; expected the sections that config/README.md shows") from None
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise UserError(redacted(_message(error.errors(include_url=False)[0]))) from None


def _check_text(value: Any, where: tuple) -> None:
    """UserError if a key or a value is a string that is not valid text."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for text in value if isinstance(value, dict) else [value]:
        if isinstance(text, str) and (fault := not_text(text)):
            raise UserError(f"config: {_place(where)} {fault}")
    for key, part in parts:
        _check_text(part, (*where, key))


def _place(where: tuple) -> str:
    return ".".join(map(str, where)) or "the top level"


def _message(error: dict) -> str:
    where = error["loc"]
    match error.get("ctx", {}).get("error"):
        case UnknownKey(args=(key, hint)):
            return f"config: unknown key {key} in {_place(where)}; {hint}"
        case WrongSecret(args=(words,)):
            return f"config: {_place(where)}: expected {words}"
        case NotFinite(args=(value,)):
            return f"config: {_place(where)} is {value}; expected a finite number"
    if error["type"] == "missing":
        return f"config: {_place(where[:-1])} lacks the key {where[-1]!r}"
    if where[-1:] == ("[key]",):
        return f"config: {_place(where[:-2])} names {short_repr(where[-2])}; expected {_expected(error)}"
    return f"config: {_place(where)} is {short_repr(error['input'])}; expected {_expected(error)}"


def _expected(error: dict) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", context["expected"])
        return f"one of {', '.join(choices)}" if len(choices) > 1 else choices[0]
    if kind in ("too_short", "too_long"):
        least, most = context.get("min_length"), context.get("max_length")
        return f"at least {least} item(s)" if kind == "too_short" else f"at most {most} item(s)"
    return str(context["error"]) if kind == "value_error" else _EXPECTED[kind].format(**context)


@contextlib.contextmanager
def prefix_key(where: str) -> Iterator[None]:
    """Prefix each error of the block with the key that it comes from."""
    try:
        with prefix_errors(f"config: {where}"):
            yield
    except OSError as error:  # the name is too long, or the folder not readable
        raise UserError(f"config: {where}: {short_repr(error.filename)}: {error.strerror}") from None
