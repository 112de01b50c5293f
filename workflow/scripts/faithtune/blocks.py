"""The questions of a set in blocks: what is computed together never crosses one.

Blocks are cut by place, every `size` questions, so they are the same however many jobs share a set; a shard is a
run of whole blocks. Which texts are computed side by side decides a result's last digits: therefore the results of
any number of shards are equal.
"""

import math
from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Block:
    """Questions that stand together in their set; start: the place of the first, from 0."""

    start: int
    questions: pl.DataFrame

    def rows(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows of a frame with the column `id` that belong to these questions, in their order."""
        return frame.filter(pl.col("id").is_in(self.questions["id"].to_list()))


def cut(questions: pl.DataFrame, size: int | None, shard: str = "") -> list[Block]:
    """The blocks of a shard (`.2of3`; of the whole set where it is empty), one at least, if an empty one.

    size: questions a block; None where it does not matter what is asked together: then a shard is one block.
    """
    unit = size or 1
    i, n = map(int, shard.removeprefix(".").split("of")) if shard else (1, 1)
    units = math.ceil(questions.height / unit)
    first, end = ((place * units // n) * unit for place in (i - 1, i))
    step = size or max(1, end - first)
    found = [Block(start, questions.slice(start, step)) for start in range(first, end, step)]
    return found or [Block(first, questions.clear())]


def names(n: int) -> list[str]:
    """The shards of a set that is divided over `n` jobs."""
    return [f".{i}of{n}" for i in range(1, n + 1)]
