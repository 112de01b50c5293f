"""The training questions of an arm, from the questions of its data sets.

Questions are taken in the order of their ids, which are hashes: a random sample, which a larger one contains. A mixture
orders the questions of all its data sets by

    (questions before it in its data set + 1/2) / share of its data set

or by the same with tokens in place of questions. The beginning of this order, however long, has the shares that were
asked for, up to half a question of each data set.
"""

from collections.abc import Callable, Iterable

import polars as pl

from faithtune.core.errors import UserError
from faithtune.settings.data import TrainingData
from faithtune.tuning import examples


def training_questions(
    parts: Iterable[pl.DataFrame], data: TrainingData, count_tokens: Callable[[dict], int] | None = None
) -> pl.DataFrame:
    """QUESTIONS with `target`, what each teaches, in the order of their ids.

    parts: QUESTIONS of the data sets, in the order of `data.targets`; of a question that several have, the first is
    kept. count_tokens: tokens of the example of a question, where shares are of tokens. UserError if there are fewer
    examples than asked for.
    """
    usable = [
        examples.select_usable(part, target).with_columns(part=pl.lit(name))
        for part, (name, target) in zip(parts, data.targets.items(), strict=True)
    ]
    questions = pl.concat(usable).unique("id", keep="first", maintain_order=True).sort("id")
    if data.shares:
        questions = _in_shares(questions, data, count_tokens)
    if data.n is not None and questions.height < data.n:
        at_shares = " at these shares" if data.shares else ""
        sizes = ", ".join(f"{name} {number}" for name, number in _numbers(questions, data).items())
        raise UserError(
            f"tuning: n is {data.n}, but there are only {questions.height} examples{at_shares} ({sizes});"
            " expected a smaller n"
        )
    return questions.head(data.n if data.n is not None else questions.height).sort("id").drop("part")


def describe(questions: pl.DataFrame, data: TrainingData) -> dict:
    """What an arm's card says of a training set of several data sets, under the key `data`; {} for a single one.

    questions: of `training_questions`.
    """
    if len(data.targets) == 1:
        return {}
    found = {"examples_of": _numbers(questions.with_columns(part="data_set"), data)}
    if data.shares:
        shares = {name: round(share, 4) for name, share in data.shares.items()}
        found |= {"shares": shares, "equal": data.equal}
    return {"data": found}


def _in_shares(questions: pl.DataFrame, data: TrainingData, count_tokens: Callable[[dict], int] | None) -> pl.DataFrame:
    """The questions in the order in which a mixture takes them, up to the end of the first data set that ends."""
    sizes = [1] * questions.height
    if data.equal == "tokens":
        sizes = [count_tokens(question) for question in questions.to_dicts()]
    shares = pl.col("part").replace_strict(data.shares, return_dtype=pl.Float64)
    until = pl.col("size").cum_sum().over("part")
    placed = questions.with_columns(size=pl.Series(sizes, dtype=pl.Int64)).with_columns(
        place=(until - pl.col("size") / 2) / shares, end=until / shares
    )
    ends = placed.group_by("part").agg(pl.col("end").max())["end"]
    return placed.filter(pl.col("place") < ends.min()).sort("place", "id").drop("size", "place", "end")


def _numbers(questions: pl.DataFrame, data: TrainingData) -> dict[str, int]:
    """The number of questions of each data set."""
    return {name: questions.filter(part=name).height for name in data.targets}
