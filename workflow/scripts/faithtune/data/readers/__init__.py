"""Readers: a small module for each data set.

A module defines

* `KIND`: "choice", "number" or "expression";
* `RATIONALE`: "native" (the data consists of worked solutions, which tuning uses by default), "optional" (some
  questions have one) or None;
* `DOMAIN`, if the questions have one: sets of one domain are near to each other (`measures.generalisation.domains`);
* `LICENCE`, if publishers state one: {part of a source's text: licence}, because a reader also reads other sources;
* `questions(records)`: for each record of a file a dict for `questions.frame`, or None for a record that is not
  usable; a reader that generates its questions has `generate(n, seed)` instead.

`table` reads rows of any columns: all this depends on the data set's settings, so there it is functions of them.

A module is imported when its data set is first used.
"""

import difflib
import functools
import importlib
import pkgutil
from types import ModuleType

from faithtune.core.errors import UserError
from faithtune.settings.data import DataSetSettings


@functools.cache  # planning a study of many arms asks thousands of times
def names() -> tuple[str, ...]:
    """The names of the readers: all modules here but `layouts`, which they share."""
    return tuple(sorted(info.name for info in pkgutil.iter_modules(__path__) if info.name != "layouts"))


def module(name: str) -> ModuleType:
    """The reader `name`; UserError if there is none."""
    if name not in names():
        close = difflib.get_close_matches(name, names(), n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(names())}; or give columns"
        raise UserError(f"there is no reader {name!r}; {hint}")
    return importlib.import_module(f"faithtune.data.readers.{name}")


def kind(data_set: DataSetSettings) -> str:
    """The kind of a data set's questions: choice, number or expression."""
    chosen = module(data_set.reader)
    return chosen.kind(data_set) if data_set.reader == "table" else chosen.KIND


def rationale(data_set: DataSetSettings) -> str | None:
    """How a data set's questions come with worked solutions: native, optional or None."""
    chosen = module(data_set.reader)
    return chosen.rationale(data_set) if data_set.reader == "table" else chosen.RATIONALE


def domain(data_set: DataSetSettings) -> str | None:
    """What a data set's questions are about: by its settings, else by its reader; None if neither says it."""
    return data_set.domain or getattr(module(data_set.reader), "DOMAIN", None)


def licence(name: str, source: str | None) -> str | None:
    """The licence of a source that a reader reads (None: generated); None if unknown, as for local files."""
    if source is None:
        return "none: generated"
    known = getattr(module(name), "LICENCE", {}) if source.startswith(("wheel:", "url:", "hub:")) else {}
    return next((text for part, text in known.items() if part in source), None)
