"""The data sets: one small module each, with nothing but what is particular to it.

A module states

* `KIND`: "choice" or "number";
* `RATIONALE`: "native" (worked solutions belong to the data, tuning uses them
  by default), "optional" (some questions have one) or None;
* `LICENCE`, where publishers state one: {part of a source's text: licence}, as a reader
  reads other people's files too;
* `questions(records)`: a dict for `questions.frame` for each record of its file, None
  where the record is of no use; or, where nothing is read, `generate(n, seed)`.

Modules are imported one by one, so what is never asked for is never loaded.
"""

import difflib
import importlib
import pkgutil
from types import ModuleType

from faithtune.core.errors import UserError


def names() -> list[str]:
    """The data sets there are: each module here but `layouts`, which they share."""
    return sorted(info.name for info in pkgutil.iter_modules(__path__) if info.name != "layouts")


def module(name: str) -> ModuleType:
    """The module of the data set `name`; UserError where there is none of that name."""
    if name not in names():
        close = difflib.get_close_matches(name, names(), n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(names())}"
        raise UserError(f"there is no reader {name!r}; {hint}")
    return importlib.import_module(f"faithtune.data.readers.{name}")


def licence(name: str, source: str | None) -> str | None:
    """The licence that is known of a source of the data set (None: generated); None for a local or unknown file."""
    if source is None:
        return "none: generated"
    known = getattr(module(name), "LICENCE", {}) if source.startswith(("wheel:", "url:", "hub:")) else {}
    return next((text for part, text in known.items() if part in source), None)
