"""Questions in another form: what is asked stays the same, and so does its id."""

import polars as pl

from faithtune.core.errors import UserError
from faithtune.core.schemas.questions import QUESTIONS
from faithtune.data import option_order


def with_shuffled_options(questions: pl.DataFrame, name: str) -> pl.DataFrame:
    """QUESTIONS with their options in another order, without those whose options cannot change places.

    name: of the shift. Ids and groups stay those of the questions as they were. UserError if no question is left.
    """
    orders = [(row, option_order.order(row)) for row in questions.iter_rows(named=True)]
    moved = [option_order.shuffled(row, places) for row, places in orders if places]
    if not moved:
        raise UserError(f"config: shifts.{name}.options: no question has options that can change places; remove it")
    return pl.DataFrame(moved, schema=QUESTIONS)
