"""Parquet files appear whole, with their schema, or not at all."""

import polars as pl
import pytest

from faithtune.core import parquet
from faithtune.core.errors import UserError

SCHEMA = pl.Schema({"a": pl.Int32, "b": pl.String})


def test_a_written_frame_reads_back_with_the_schema(tmp_path):
    path = tmp_path / "new/x.parquet"
    parquet.write(pl.DataFrame({"b": ["x"], "a": [1], "c": [2.0]}), path, SCHEMA)
    assert parquet.read(path, SCHEMA).rows() == [(1, "x")]
    assert [p.name for p in path.parent.iterdir()] == ["x.parquet"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "x.parquet"
    parquet.write(pl.DataFrame({"a": [1], "b": ["x"]}), path, SCHEMA)
    with pytest.raises(RuntimeError), parquet.atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert parquet.read(path, SCHEMA).height == 1
    assert [p.name for p in tmp_path.iterdir()] == ["x.parquet"]


def test_a_truncated_file_is_reported(tmp_path):
    path = tmp_path / "x.parquet"
    parquet.write(pl.DataFrame({"a": [1], "b": ["x"]}), path, SCHEMA)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UserError, match=f"{path}: not a readable Parquet file"):
        parquet.read(path, SCHEMA)


def test_another_schema_is_refused(tmp_path):
    path = tmp_path / "x.parquet"
    parquet.write(pl.DataFrame({"a": [1]}), path, pl.Schema({"a": pl.Int64}))
    with pytest.raises(UserError, match="columns"):
        parquet.read(path, SCHEMA)
