"""The questions of a split: training and evaluation share no question and no passage."""

from collections.abc import Callable

import polars as pl

from faithtune.core.errors import UserError
from faithtune.data.questions import digest
from faithtune.settings.data import SplitSelection


def questions_of(selection: SplitSelection, read: Callable[[str], pl.DataFrame]) -> pl.DataFrame:
    """The questions of a split, without those of the other split; read: returns all questions of a split's source."""
    if selection.one_source:
        train, evaluation = partition(read("eval"), selection.train_share)
        return train if selection.split == "train" else evaluation
    if selection.split == "train" and "eval" in selection.files:
        return without_overlap(read("train"), read("eval"))
    return read(selection.split)


def select(questions: pl.DataFrame, n: int | None) -> pl.DataFrame:
    """The first `n` questions in the order of their ids; all if `n` is None.

    Ids are hashes, so this is a random sample, and a larger sample contains every smaller one. UserError if there are
    fewer than `n`.
    """
    if n is not None and n > questions.height:
        name = questions["data_set"][0] if questions.height else "the data set"
        raise UserError(f"{name}: n is {n}, but there are only {questions.height} questions to choose from")
    ordered = questions.sort("id")
    return ordered if n is None else ordered.head(n)


def partition(questions: pl.DataFrame, train_share: float) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Divide one file into (train, eval), by a hash of the group.

    No group is in both, and a question stays in its part when others are added, so `train_share` is met on average
    only. The hash is salted, to be independent of the order in which `select` samples. UserError unless
    0 < train_share < 1.
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

    Pass all of `evaluation`, before `select`: else one more evaluation question could change the training set.
    """
    return train.join(evaluation, on="id", how="anti").join(evaluation, on="group", how="anti")
