"""A study fetched on one machine and run on another that has no network, nor the first one's caches."""

import shutil

import pytest
from study import Study

COMMIT = "0123456789abcdef" * 2 + "01234567"


@pytest.fixture
def fetched(tmp_path, tiny_model, monkeypatch) -> Study:
    """A study of a model on the hub, of which everything is fetched: the hub is its library's cache here."""
    repository = tmp_path / "cache/hub/models--some--tiny"
    shutil.copytree(tiny_model, repository / "snapshots" / COMMIT)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "here").mkdir()
    study = Study(tmp_path / "here", tiny_model)
    study.config["models"]["tiny"]["source"] = f"hub:some/tiny@{COMMIT}"
    study.run("fetch")
    return study


def test_a_fetched_study_runs_where_nothing_can_be_fetched(fetched, tmp_path):
    """Copied as cp -rL does it: links are followed, times are not kept."""
    shutil.copytree(fetched.folder, tmp_path / "there", copy_function=shutil.copyfile)
    (tmp_path / "cache").rename(tmp_path / "gone")
    fetched.folder = tmp_path / "there"
    planned = fetched.planned()
    assert planned["chains"] == 4
    assert not {"download", "model", "questions"} & planned.keys()
    fetched.run("results/chains/tiny/base/colours.parquet")


def test_a_model_that_was_left_behind_is_told_in_one_line(fetched, tmp_path):
    (tmp_path / "cache").rename(tmp_path / "gone")
    told = fetched.snakemake("-n").stdout
    assert "faithtune: results/models/tiny/weights is a link to" in told
    assert "Traceback" not in told and "WorkflowError" not in told
