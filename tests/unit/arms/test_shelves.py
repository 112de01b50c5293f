"""The row store's shelves of a set that several jobs share."""

from pathlib import Path

import pytest

from faithtune.arms import cached_arm

NAMES = {"model": "m", "arm": "r8-sums-1", "eval_set": "sums"}


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(cached_arm, "STORE", tmp_path)
    return tmp_path


def shelf(stage: str, shard: str = "") -> Path:
    path = cached_arm.shelf("identity", stage, NAMES | {"shard": shard})
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.mark.parametrize("stage", ["chains", "mistakes"])
def test_a_job_reads_what_the_set_has_in_whatever_division(stage):
    shelves = [shelf(stage), *(shelf(stage, shard) for shard in (".1of2", ".1of3", ".2of2"))]
    for own in shelves:
        assert cached_arm.others(own) == [other for other in shelves if other != own]


def test_another_set_or_arm_is_no_part_of_it(store):
    own = shelf("mistakes", ".1of2")
    (own.parent / "mistakes-m-r8-sums-1_more.1of3").mkdir()
    (own.parent / "sums.1of3").mkdir()
    assert cached_arm.others(own) == [own.parent / "mistakes-m-r8-sums-1-sums"]
