"""Damage is found, reported and set aside; leftovers of killed jobs are removed."""

import os
import time

import polars as pl
import pytest
import torch
from safetensors.torch import save_file

from faithtune.core import damage, parquet
from faithtune.core.errors import UserError
from faithtune.jobs import job
from faithtune.models import weights

SCHEMA = pl.Schema({"a": pl.Int32})


@pytest.fixture
def results(tmp_path):
    """A result of each kind."""
    parquet.write(pl.DataFrame({"a": range(1000)}), tmp_path / "x.parquet", SCHEMA)
    job.write_json({"a": 1}, tmp_path / "x.json")
    (tmp_path / "x.csv").write_text("a\n1\n")
    (tmp_path / "weights").mkdir()
    save_file({"a": torch.zeros(100)}, tmp_path / "weights/model.safetensors")
    (tmp_path / "weights/config.json").write_text("{}")
    return [tmp_path / name for name in ("x.parquet", "x.json", "x.csv", "weights")]


def cut(path, size):
    os.truncate(path, size)


@pytest.mark.parametrize("name", ["x.parquet", "x.json", "x.csv"])
@pytest.mark.parametrize("dry_run", [False, True])
def test_an_empty_result_is_named_and_set_aside(tmp_path, results, name, dry_run):
    """Figures and tables have no reader that would find it."""
    hurt = tmp_path / name
    cut(hurt, 0)
    [line] = damage.check_results([tmp_path], [*results, tmp_path / "nosuch.parquet"], dry_run)
    assert line.startswith(f"{hurt}: damaged (it is empty); ")
    assert hurt.exists() == dry_run
    assert hurt.with_name(f"{name}.damaged").exists() != dry_run
    assert all(path.exists() for path in results if path != hurt)


def test_undamaged_results_stay(tmp_path, results):
    assert list(damage.check_results([tmp_path], results, False)) == []
    assert all(path.exists() for path in results)


def test_a_link_is_set_aside_and_its_target_stays(tmp_path, results):
    (tmp_path / "link").symlink_to(tmp_path / "weights")
    damage.set_aside(tmp_path / "link")
    assert (tmp_path / "link.damaged").is_symlink()
    assert (tmp_path / "weights").is_dir() and not (tmp_path / "link").exists()


def test_set_aside_again_takes_the_earlier_ones_place(tmp_path, results):
    for content in ("one", "two"):
        (tmp_path / "weights").mkdir(exist_ok=True)
        (tmp_path / "weights/x").write_text(content)
        aside = damage.set_aside(tmp_path / "weights")
    assert damage.set_aside(tmp_path / "weights") == aside  # a second job finds nothing there
    assert (aside / "x").read_text() == "two"


def test_set_aside_whatever_was_set_aside_before(tmp_path, results):
    """A model's folder may have been a link once, and a link a folder."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "weights.damaged").symlink_to(tmp_path / "mine")
    assert (damage.set_aside(tmp_path / "weights") / "config.json").is_file()
    (tmp_path / "weights").symlink_to(tmp_path / "mine")
    assert damage.set_aside(tmp_path / "weights").is_symlink()
    assert (tmp_path / "mine").is_dir()


def test_a_failed_rename_is_reported(tmp_path, results, monkeypatch):
    cut(tmp_path / "x.parquet", 0)
    monkeypatch.setattr(damage.os, "replace", lambda *_: (_ for _ in ()).throw(OSError(30, "Read-only file system")))
    [line] = damage.check_results([tmp_path], results, False)
    assert line.endswith("it could not be renamed (Read-only file system), delete it")
    with pytest.raises(UserError, match=r"; it could not be renamed .Read-only file system., delete it: run again"):
        parquet.read(tmp_path / "x.parquet", SCHEMA)


@pytest.mark.parametrize("size", [0, 3, 500])
def test_a_truncated_result_is_found_by_its_reader(tmp_path, results, size):
    cut(tmp_path / "x.parquet", size)
    with pytest.raises(UserError, match=r"not a readable Parquet file .* it is now .*x\.parquet\.damaged: run again"):
        parquet.read(tmp_path / "x.parquet", SCHEMA)


def test_a_byte_of_a_result_is_found_by_its_reader(tmp_path, results):
    path = tmp_path / "x.parquet"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"{path}: not a readable Parquet file .* it is now {path}.damaged: run again"):
        parquet.read(path, SCHEMA)
    assert (tmp_path / "x.parquet.damaged").read_bytes() == content
    with pytest.raises(UserError, match=f"{path}: not read .No such file or directory.; run again"):
        parquet.read(path, SCHEMA)


def test_invalid_json_is_set_aside(tmp_path, results):
    cut(tmp_path / "x.json", 5)
    with pytest.raises(UserError, match=r"x\.json: not a readable JSON file .* it is now .*x\.json\.damaged"):
        job.read_json(tmp_path / "x.json")
    assert (tmp_path / "x.json.damaged").exists()
    with pytest.raises(UserError, match="No such file"):
        job.read_json(tmp_path / "x.json")


def test_a_missing_permission_is_no_damage(tmp_path, results, monkeypatch):
    path = tmp_path / "x.parquet"
    refused = PermissionError(13, "Permission denied")
    monkeypatch.setattr(parquet.pyarrow.parquet, "ParquetFile", lambda *_, **__: (_ for _ in ()).throw(refused))
    with pytest.raises(UserError, match="Permission denied"):
        parquet.read(path, SCHEMA)
    assert path.exists()


@pytest.mark.parametrize("days", [0, 2])
def test_leftovers_are_removed_a_day_later(tmp_path, results, days):
    """Leftovers with the names that the library gives."""
    left = []
    with pytest.raises(KeyboardInterrupt), parquet.atomic_path(tmp_path / "rows/part-1.parquet") as temporary:
        left.append(temporary.with_name(temporary.name))
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt), weights.atomic_folder(tmp_path / "arm/weights") as temporary:
        left.append(temporary)
        raise KeyboardInterrupt
    left[0].write_text("half")
    left[1].mkdir()
    (left[1] / "model.safetensors").write_text("half")
    others = [tmp_path / "weights/.snakemake_timestamp", tmp_path / "rows/.hidden"]
    for path in others:
        path.write_text("")
    for path in (*left, *others):
        os.utime(path, (time.time() - days * 86400,) * 2)
    list(damage.check_results([tmp_path], results, True))
    assert all(path.exists() for path in left)
    list(damage.check_results([tmp_path], results, False))
    assert [path.exists() for path in left] == [days == 0] * 2
    assert all(path.exists() for path in (*others, *results))
