"""The base class of all sections of the configuration, and the types of their values.

Nested values of `--config` arrive as text, so numbers and flags may be text. A number written as an integer stays an
integer, because settings are part of an arm's identity.
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
    """A value has the wrong form; the argument says what is expected."""


class WrongSecret(WrongForm):
    """A value that may be a secret has the wrong form; no error quotes it."""


class NotFinite(ValueError):
    """A number is NaN or infinite; the argument is the number."""


class UnknownKey(ValueError):
    """A section has no such key; the arguments are the key and a hint."""


class Section(BaseModel):
    """A section of the configuration: known keys only. The docstring of a key describes it in the manual."""

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


def from_text(value: Any) -> Any:
    """Convert the text of a number, a flag or null to its value; NotFinite for a number that is not finite."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError, RecursionError):
            read = json.loads(value)
            value = value if isinstance(read, dict | list | str) else read
    if isinstance(value, float) and not math.isfinite(value):
        raise NotFinite(value)
    return value


def _integer(value: Any) -> Any:
    value = from_text(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _number(value: Any, check: Any) -> Any:
    value = from_text(value)
    checked = check(value)
    return value if type(value) is int else checked


def _unique(values: list) -> list:
    if any(value in values[:i] for i, value in enumerate(values)):
        raise WrongForm("no item twice")
    return values


def form(pattern: str, words: str, quoted: bool = True) -> tuple:
    """The annotations of a text that `pattern` matches as a whole; words: describe the pattern to the user.

    quoted: whether an error may quote the text; False if it may be a secret.
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
Flag = Annotated[bool, BeforeValidator(from_text)]
Share = Annotated[float, Field(ge=0, le=1), WrapValidator(_number)]
Unique = AfterValidator(_unique)

# Names are parts of file names, and hyphens join the parts of an arm's name.
Name = Annotated[str, *form(r"[a-z0-9_]{1,80}", "at most 80 lower-case letters, digits and underscores")]
ArmName = Annotated[
    str,
    *form(
        r"base|[a-z0-9_]{1,80}-[a-z0-9_+]{1,80}-[0-9]{1,9}(@[1-9][0-9]{0,8})?",
        "base, or TUNING-TRAIN_SET-SEED in lower-case letters, digits and underscores, of a checkpoint with @STEP",
    ),
]
HandedName = Annotated[
    str,
    *form(
        r"(?!(?:base|all)\Z)[a-z0-9_]{1,80}",
        "a name of at most 80 lower-case letters, digits and underscores, other than base and all",
    ),
]
TrainSet = Annotated[
    str,
    *form(r"(?=.{1,80}\Z)[a-z0-9_]+(\+[a-z0-9_]+)*", "a data set, or several joined by +, at most 80 characters"),
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
