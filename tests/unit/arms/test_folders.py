"""The folders of rows of a set that several jobs share."""

from pathlib import Path

import pytest

from faithtune.arms import folders
from faithtune.arms.folders import StageRun


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(folders, "STORE", tmp_path)
    return tmp_path


def run(stage: str, shard: str = "", writer: str = "") -> StageRun:
    found = StageRun(stage, "m", "r8-sums-1", "sums", shard, writer)
    found.rows_folder("identity").mkdir(parents=True, exist_ok=True)
    return found


@pytest.mark.parametrize("stage", ["chains", "mistakes"])
def test_a_job_reads_what_the_set_has_in_whatever_division(stage):
    runs = [run(stage, shard) for shard in ("", ".1of2", ".1of3", ".2of2")]
    found = [one.rows_folder("identity") for one in runs]
    for one, own in zip(runs, found, strict=True):
        assert one.sibling_folders("identity") == [other for other in found if other != own]


def test_another_set_or_arm_is_no_part_of_it(store):
    one = run("mistakes", ".1of2")
    own = one.rows_folder("identity")
    (own.parent / "mistakes-m-r8-sums-1_more.1of3").mkdir()
    (own.parent / "sums.1of3").mkdir()
    assert one.sibling_folders("identity") == [own.parent / "mistakes-m-r8-sums-1-sums"]


def test_what_an_arm_reads_of_others_finds_the_rows_of_its_own_chains():
    """Equal chains are one prompt. Jobs that read other writers run at the same time, so they stay apart."""
    own = [run("answers", shard).rows_folder("identity") for shard in ("", ".1of2")]
    one, other = (run("crossed", writer=name) for name in ("base", "r16-sums-1"))
    assert one.rows_folder("identity") not in (other.rows_folder("identity"), *own)
    assert one.sibling_folders("identity") == own
