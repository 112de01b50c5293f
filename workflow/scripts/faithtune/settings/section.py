"""What every section of the configuration is built of: a strict model, and the types of its values.

Nested values of `--config` arrive as text, so numbers and flags may be given as text. A number that is
written as an integer stays one, because settings are part of what identifies an arm.
"""

import contextlib
import difflib
import json
import math
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WrapValidator, model_validator

from faithtune.core.errors import short_repr


class WrongForm(ValueError):
    """A value is not of its form; the argument says what would be."""


class WrongSecret(WrongForm):
    """The same of a value that may be a secret, so that no error quotes it."""


class NotFinite(ValueError):
    """A number is NaN or infinite; the argument is that number."""


class UnknownKey(ValueError):
    """A section has no such key; the arguments are the key and a hint."""


class Section(BaseModel):
    """A section of the configuration: known keys only; the text below a key describes it in the manual."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, given: Any) -> Any:
        for key in given if isinstance(given, dict) else ():
            if key not in cls.model_fields:
                known = sorted(cls.model_fields)
                close = difflib.get_close_matches(str(key), known, n=1)
                hint = f"did you mean {close[0]}?" if close else f"known keys: {', '.join(known)}"
                raise UnknownKey(short_repr(key), hint)
        return given


def _from_text(value: Any) -> Any:
    """A number, a flag or null for the text that spells it; NotFinite."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError, RecursionError):
            read = json.loads(value)
            value = value if isinstance(read, dict | list | str) else read
    if isinstance(value, float) and not math.isfinite(value):
        raise NotFinite(value)
    return value


def _integer(value: Any) -> Any:
    value = _from_text(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _number(value: Any, check: Any) -> Any:
    value = _from_text(value)
    checked = check(value)
    return value if type(value) is int else checked


def _unique(values: list) -> list:
    if any(value in values[:i] for i, value in enumerate(values)):
        raise WrongForm("no item twice")
    return values


def form(pattern: str, words: str, quoted: bool = True) -> tuple:
    """The annotations of a text that matches `pattern` as a whole; `words` say so to the user.

    An error quotes the text, but not where that may be a secret (quoted=False).
    """
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise (WrongForm if quoted else WrongSecret)(words)
        return value

    return AfterValidator(check), Field(json_schema_extra={"form": words})


Integer = Annotated[int, BeforeValidator(_integer)]
OptionalInteger = Annotated[int | None, BeforeValidator(_integer)]
Number = Annotated[float, WrapValidator(_number)]
OptionalNumber = Annotated[float | None, WrapValidator(_number)]
Flag = Annotated[bool, BeforeValidator(_from_text)]
Share = Annotated[float, Field(ge=0, le=1), WrapValidator(_number)]
Unique = AfterValidator(_unique)

# Names stand in file names, and the parts of an arm's name are joined by hyphens.
Name = Annotated[str, *form(r"[a-z0-9_]{1,80}", "at most 80 lower-case letters, digits and underscores")]
ArmName = Annotated[
    str,
    *form(
        r"base|[a-z0-9_]{1,80}-[a-z0-9_]{1,80}-[0-9]{1,9}",
        "base, or TUNING-TRAIN_SET-SEED in lower-case letters, digits and underscores",
    ),
]
NotBlank = Annotated[str, *form(r"(?s).*\S.*", "a text that is not blank")]
Seed = Annotated[int, Field(ge=0), BeforeValidator(_integer)]
TestNames = Annotated[list[str], Field(min_length=1), Unique]
Filler = Annotated[
    str,
    *form(
        r"(?=.*[^\s\x00-\x1f\x7f-\x9f])[^\x00-\x1f\x7f-\x9f]+",
        "a text that is not blank and holds no control character",
    ),
]
