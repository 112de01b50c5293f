"""The data sets: one small module each, with nothing but what is particular to it.

A module states

* `KIND`: "choice" or "number";
* `RATIONALE`: "native" (worked solutions belong to the data, tuning uses them
  by default), "optional" (some questions have one) or None;
* `questions(records)`: the records of its file as dicts for `questions.frame`;
  or, where nothing is read, `generate(n, seed)`.

Modules are imported one by one, so what is never asked for is never loaded.
"""

import importlib
from types import ModuleType

from faithtune.errors import UserError

_NAMES = ("arithmetic", "asdiv", "cosmosqa", "gsm8k", "medmcqa", "medqa", "siqa")


def names() -> tuple[str, ...]:
    """The data sets there are."""
    return _NAMES


def module(name: str) -> ModuleType:
    """The module of the data set `name`; UserError where there is none."""
    if name not in _NAMES:
        raise UserError(f"data set {name!r} is not known; known are {', '.join(_NAMES)}")
    return importlib.import_module(f"faithtune.data.{name}")
