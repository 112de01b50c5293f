"""The questions of a set in blocks; what is computed together is in one block.

Blocks are cut by place, every `size` questions, so they are the same however many jobs share a set; a shard is a
run of whole blocks. Which texts are computed in one batch decides a result's last digits, so the results are equal for
any number of shards.
"""

import math
from dataclasses import dataclass

import polars as pl

from faithtune.core.errors import UserError


@dataclass(frozen=True)
class Block:
    """Consecutive questions of a set; start: the place of the first, from 0."""

    start: int
    questions: pl.DataFrame

    def rows(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows of a frame with the column `id` that belong to these questions, in their order."""
        return frame.filter(pl.col("id").is_in(self.questions["id"].to_list()))


def cut(questions: pl.DataFrame, size: int, shard: str = "") -> list[Block]:
    """The blocks, of `size` questions, of a shard (`.2of3`; of the whole set where it is empty).

    One at least: an empty one where there are fewer blocks than shards.
    """
    i, n = map(int, shard.removeprefix(".").split("of")) if shard else (1, 1)
    count = math.ceil(questions.height / size)
    first, end = ((place * count // n) * size for place in (i - 1, i))
    found = [Block(start, questions.slice(start, size)) for start in range(first, end, size)]
    return found or [Block(first, questions.clear())]


def names(n: int) -> list[str]:
    """The shards of a set that is divided over `n` jobs."""
    return [f".{i}of{n}" for i in range(1, n + 1)]


def joined(shards: list[pl.DataFrame], questions: pl.DataFrame, every: bool) -> pl.DataFrame:
    """The rows of all shards; UserError where a question is in two of them, or in none though `every` one has rows."""
    found = [name for shard in shards for name in shard["id"].unique(maintain_order=True)]
    lost = set(questions["id"]) - set(found) if every else set()
    if lost or len(set(found)) < len(found):
        raise UserError(
            f"{len(lost)} questions are in no shard, {len(found) - len(set(found))} in two; delete the shards"
        )
    return pl.concat(shards)
