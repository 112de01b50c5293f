"""Small studies, and single rows of ESTIMATES, for the tests of tables."""

from functools import cache

import polars as pl

from faithtune.core.schemas.estimates import ESTIMATES
from faithtune.report.tables.cells import TableContext
from faithtune.report.tables.tables import readable, select
from frames import arm_of, build, inputs, random_answers

STUDY = TableContext()


@cache
def study() -> pl.DataFrame:
    """Base and two tuned arms on two sets, one of them tuned on each."""
    frames = {
        ("m_1", arm, eval_set): random_answers(10 * i + j, groups=15 if j else None)
        for i, arm in enumerate(("base", "sums", "life"))
        for j, eval_set in enumerate(("sums", "blogs"))
    }
    given = inputs(frames, {"base": None})
    given["arms"] += [arm_of("m_1", name, name, ["sums", "blogs"]) for name in ("sums", "life")]
    return build(**given)


def row(**values) -> dict:
    """A row of ESTIMATES of a tuned arm elsewhere, its estimate, interval and n given or plain."""
    known = {"model": "m", "arm": "tuned", "train_set": "s", "eval_set": "o", "test": "cot", "metric": "accuracy"}
    return known | {"estimate": 0.5, "low": 0.4, "high": 0.6, "n": 9} | values


def selected(name: str, *rows: dict, study: TableContext = STUDY) -> pl.DataFrame:
    return select(pl.DataFrame(rows, schema=ESTIMATES), name, study)


def shown(name: str, *rows: dict, study: TableContext = STUDY) -> pl.DataFrame:
    """The rows as the table lays them out."""
    return readable(selected(name, *rows, study=study), name, study)
