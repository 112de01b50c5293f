"""Blocks and shards: every question once, in order, and never in another block for another number of jobs."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faithtune.arms import blocks
from faithtune.arms.cached_arm import CachedArm
from faithtune.arms.row_store import MemoryStore
from faithtune.core.errors import UserError

sizes = st.integers(0, 50)


def asked(n: int) -> pl.DataFrame:
    return pl.DataFrame({"id": [f"q{i}" for i in range(n)]}, schema={"id": pl.String})


def ids(found: list[blocks.Block]) -> list[list[str]]:
    return [block.questions["id"].to_list() for block in found if block.questions.height]


@given(sizes, st.integers(1, 9), st.integers(1, 9))
def test_shards_are_runs_of_the_same_blocks(n, size, jobs):
    whole = ids(blocks.cut(asked(n), size))
    shared = [ids(blocks.cut(asked(n), size, shard)) for shard in blocks.names(jobs)]
    assert [block for shard in shared for block in shard] == whole
    assert [name for block in whole for name in block] == asked(n)["id"].to_list()
    assert all(len(block) <= size for block in whole)
    counts = [len(shard) for shard in shared]
    assert max(counts) - min(counts) <= 1


@given(sizes, st.integers(1, 9), st.integers(1, 9))
def test_a_block_knows_where_it_starts(n, size, jobs):
    for shard in ("", *blocks.names(jobs)):
        for block in blocks.cut(asked(n), size, shard):
            assert block.questions.equals(asked(n).slice(block.start, block.questions.height))


def test_a_shard_without_questions_is_an_empty_block():
    (block,) = blocks.cut(asked(2), 2, ".1of2")
    assert block.questions.schema == asked(2).schema and block.questions.is_empty()
    (block,) = blocks.cut(asked(0), 2)
    assert block.questions.is_empty()


def test_rows_of_a_block_keep_their_order():
    frame = pl.DataFrame({"id": ["q3", "q1", "q2", "q1"], "k": [0, 1, 2, 3]})
    (_, second) = blocks.cut(asked(4), 2)
    assert second.rows(frame)["k"].to_list() == [0, 2]


def test_each_block_has_rows_of_its_own():
    """Prompts that two blocks have in common are asked in both: in shards neither could see the other's."""
    first, second = blocks.cut(asked(4), 2)
    arm = CachedArm(None, MemoryStore(), "arm")
    scoped = [arm.scoped_to(block) for block in (first, second)]
    assert [one.identity for one in scoped] == ["arm", "arm@2"]
    assert all(one.rows is arm.rows for one in scoped)


def test_shards_that_were_cut_otherwise_are_not_joined():
    def shard(size, name):
        return pl.concat(block.questions for block in blocks.cut(asked(10), size, name))

    whole = [shard(3, name) for name in blocks.names(2)]
    assert blocks.joined(whole, asked(10), every=True).equals(asked(10))
    assert blocks.joined(whole[1:], asked(10), every=False).height == 4
    with pytest.raises(UserError, match="4 questions are in no shard, 0 in two"):
        blocks.joined(whole[:1], asked(10), every=True)
    with pytest.raises(UserError, match="0 questions are in no shard, 1 in two"):
        blocks.joined([shard(3, ".1of2"), shard(5, ".2of2")], asked(10), every=True)
