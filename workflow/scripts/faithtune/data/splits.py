"""Which questions of a source belong to a split: training and evaluation never share one, nor a passage."""

from collections.abc import Callable

import polars as pl

from faithtune.core.errors import UserError
from faithtune.data.questions import digest
from faithtune.settings.data import SplitSelection


def questions_of(asked: SplitSelection, read: Callable[[str], pl.DataFrame]) -> pl.DataFrame:
    """The questions of a split, none of which is in the other one; `read` gives all questions of a split's source."""
    if asked.one_source:
        train, evaluation = partition(read("eval"), asked.train_share)
        return train if asked.split == "train" else evaluation
    if asked.split == "train" and "eval" in asked.files:
        return without_overlap(read("train"), read("eval"))
    return read(asked.split)


def select(questions: pl.DataFrame, n: int | None) -> pl.DataFrame:
    """The first `n` questions in the order of their ids; all where `n` is None.

    Ids are hashes, so this is a random sample, and a larger one contains every
    smaller one: asking for more questions keeps the earlier ones.
    """
    if n is not None and n > questions.height:
        name = questions["data_set"][0] if questions.height else "the data set"
        raise UserError(f"{name}: n is {n}, but there are only {questions.height} questions to choose from")
    ordered = questions.sort("id")
    return ordered if n is None else ordered.head(n)


def partition(questions: pl.DataFrame, train_share: float) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Cut one file into (train, eval), by a hash of the group.

    No group straddles the cut, and a question stays on its side when others
    are added, so the share is only met on average. The hash is salted: it must
    not be the order by which `select` samples.

    Raises UserError unless 0 < train_share < 1.
    """
    if not 0 < train_share < 1:
        raise UserError(f"train_share is {train_share}; it must lie between 0 and 1")
    groups = questions["group"].unique()
    in_train = [group for group in groups if int(digest("partition", group), 16) < train_share * 2**64]
    train = pl.col("group").is_in(pl.Series(in_train, dtype=pl.String).implode())
    return (
        questions.filter(train).with_columns(split=pl.lit("train")),
        questions.filter(~train).with_columns(split=pl.lit("eval")),
    )


def without_overlap(train: pl.DataFrame, evaluation: pl.DataFrame) -> pl.DataFrame:
    """`train` without the questions whose id or group is in `evaluation`.

    Give it all of `evaluation`, before `select`: otherwise one more evaluation
    question could change the training set.
    """
    return train.join(evaluation, on="id", how="anti").join(evaluation, on="group", how="anti")
