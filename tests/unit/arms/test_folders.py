"""The folders of rows of a set that several jobs share."""

from pathlib import Path

import pytest

from faithtune.arms import folders
from faithtune.arms.folders import StageRun


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(folders, "STORE", tmp_path)
    return tmp_path


def rows_folder(stage: str, shard: str = "") -> Path:
    path = StageRun(stage, "m", "r8-sums-1", "sums", shard).rows_folder("identity")
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.mark.parametrize("stage", ["chains", "mistakes"])
def test_a_job_reads_what_the_set_has_in_whatever_division(stage):
    found = [rows_folder(stage, shard) for shard in ("", ".1of2", ".1of3", ".2of2")]
    for own in found:
        assert folders.sibling_folders(own) == [other for other in found if other != own]


def test_another_set_or_arm_is_no_part_of_it(store):
    own = rows_folder("mistakes", ".1of2")
    (own.parent / "mistakes-m-r8-sums-1_more.1of3").mkdir()
    (own.parent / "sums.1of3").mkdir()
    assert folders.sibling_folders(own) == [own.parent / "mistakes-m-r8-sums-1-sums"]
