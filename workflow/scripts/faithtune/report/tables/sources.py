"""What tables are made from: the files that a source needs, and how its rows are read from them.

The rule `table` gives each table the files of its source, and its script reads them here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl
import pyarrow.parquet

from faithtune.core import parquet
from faithtune.core.schemas.estimates import ESTIMATES
from faithtune.core.schemas.probes import CORRELATIONS, INSIDE
from faithtune.core.schemas.questions import QUESTIONS
from faithtune.core.schemas.spend import SPEND
from faithtune.data import prompts
from faithtune.hosts.spend import summary
from faithtune.jobs import job
from faithtune.measures import claims
from faithtune.measures.generalisation.crossing import CROSSING
from faithtune.measures.generalisation.domains import GENERALISATION
from faithtune.measures.generalisation.shifts import SHIFTS
from faithtune.measures.long_term.forgetting import FORGETTING
from faithtune.measures.verdicts.recipes import RECIPES
from faithtune.report.tables import published, recipes, setup
from faithtune.report.tables.layouts import inside

Files = Mapping[str, Sequence[str]]  # by the names of `Source.inputs`


@dataclass(frozen=True)
class Source:
    """What a table is made from."""

    schema: pl.Schema  # of the rows
    inputs: tuple[str, ...]  # the files that the rule gives, by their names in REPORT_FILES (rules)
    read: Callable[[Files, Mapping], pl.DataFrame]  # the rows, from these files and the script's settings


def _estimates(files: Files) -> pl.DataFrame:
    return parquet.read(files["estimates"][0], ESTIMATES)


def _data(files: Files, settings: Mapping) -> pl.DataFrame:
    frames = [parquet.read(path, QUESTIONS) for path in files["questions"]]
    skipped = [_skipped(path) for path in files["questions"]]
    parts = [part | {"skipped": count} for part, count in zip(settings["data"], skipped, strict=True)]
    return setup.data(parts, frames)


def _skipped(path: str) -> int | None:
    """The number of rows that the script `questions.py` left out; None where it wrote none."""
    count = (pyarrow.parquet.read_metadata(path).metadata or {}).get(b"skipped")
    return count and int(count)


def _hyper_parameters(files: Files, settings: Mapping) -> pl.DataFrame:
    return setup.hyper_parameters(settings["tuned"], [job.read_json(path) for path in files["arms"]])


def _recipes(files: Files, settings: Mapping) -> pl.DataFrame:
    found, cards = parquet.read(files["recipes"][0], RECIPES), [job.read_json(path) for path in files["arms"]]
    return recipes.compared(found, _estimates(files), settings["tuned"], cards)


def _prompts(files: Files, settings: Mapping) -> pl.DataFrame:
    fixed = {"chain start": prompts.CHAIN_START, "answer cue": prompts.CUE, "filler": settings["filler"]}
    cards = dict(zip(settings["models"], map(job.read_json, files["models"]), strict=True))
    return setup.prompts(settings["templates"] | fixed | setup.conversation_texts(cards))


def _where_measured(name: str, schema: pl.Schema, measures: Sequence[str] = ()) -> Source:
    """The rows of one file, which only some studies have; of these measures alone, if any are named."""

    def read(files: Files, settings: Mapping) -> pl.DataFrame:
        rows = pl.concat([pl.DataFrame(schema=schema), *(parquet.read(path, schema) for path in files[name])])
        return rows.filter(pl.col("measure").is_in(measures)) if measures else rows

    return Source(schema, (name,), read)


# Of ESTIMATED `models` is for the sizes of the models, which layouts show.
ESTIMATED = Source(ESTIMATES, ("estimates", "models"), lambda files, settings: _estimates(files))
PUBLISHED = Source(
    published.COMPARISON,
    ("estimates",),
    lambda files, settings: published.compare(_estimates(files), settings["published"], settings["arms"]),
)
CLAIMS = Source(claims.CLAIMS, ("claims",), lambda files, settings: parquet.read(files["claims"][0], claims.CLAIMS))
DATA = Source(setup.DATA, ("questions", "sources"), _data)
HYPER_PARAMETERS = Source(setup.HYPER_PARAMETERS, ("arms",), _hyper_parameters)
RECIPES_COMPARED = Source(recipes.COMPARISON, ("recipes", "estimates", "arms"), _recipes)
FORGOTTEN = _where_measured("forgetting", FORGETTING)
SHIFTED = _where_measured("shifts", SHIFTS)
CROSSED = _where_measured("crossing", CROSSING)
NEEDED = _where_measured("inside", INSIDE, inside.NEEDED)
MOVED = _where_measured("inside", INSIDE, inside.MOVED)
CORRELATED = _where_measured("inside_correlations", CORRELATIONS)
GENERALISED = _where_measured("generalisation", GENERALISATION)
PROMPTS = Source(setup.PROMPTS, ("models",), _prompts)
SPENT = Source(
    summary.SUMMARY,
    ("spend",),
    lambda files, settings: summary.with_totals([parquet.read(path, SPEND) for path in files["spend"]]),
)
