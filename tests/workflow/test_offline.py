"""A study fetched on one machine and run on another without network and without the first machine's caches."""

import copy
import shutil
import subprocess
from pathlib import Path

import pytest

from study import Study

COMMIT = "0123456789abcdef" * 2 + "01234567"


def copy_of(study: Study, folder: Path) -> Study:
    """A copy of the study by the manual's command, which follows links and keeps times."""
    subprocess.run(["cp", "-aL", study.folder, folder], check=True)
    copied = copy.copy(study)
    copied.folder = folder
    return copied


@pytest.fixture(scope="module")
def fetched(tmp_path_factory, tiny_model) -> Study:
    """A fetched study of a model on the hub; the hub is pretended by its library's cache, which is then removed.

    `there` is a copy made before that.
    """
    top = tmp_path_factory.mktemp("offline")
    repository = top / "cache/hub/models--some--tiny"
    shutil.copytree(tiny_model, repository / "snapshots" / COMMIT)
    (top / "here").mkdir()
    study = Study(top / "here", tiny_model)
    study.config["models"]["tiny"]["source"] = f"hub:some/tiny@{COMMIT}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HOME", str(top / "cache"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        study.run("fetch")
        study.there = copy_of(study, top / "there")
        (top / "cache").rename(top / "gone")
        yield study


def test_a_fetched_study_runs_where_nothing_can_be_fetched(fetched):
    # A machine that fetches a hub's model does not choose the dtype for others.
    assert not (fetched.there.folder / "results/precision.json").exists()
    planned = fetched.there.planned()
    assert (planned["chains"], planned["precision"]) == (4, 1)
    assert not {"download", "model", "questions"} & planned.keys()
    fetched.there.run("results/chains/tiny/base/colours.parquet")


def test_a_copy_of_a_study_with_a_trained_arm_has_nothing_to_do(finished, tmp_path):
    """Snakemake compares folders of weights by time, so a newer copy of the base would make the arm stale."""
    there = copy_of(finished, tmp_path / "there")
    assert (there.folder / "results/arms/tiny/qlora-arithmetic-42/weights").is_dir()
    assert not (there.folder / "results/models/tiny/weights").is_symlink()
    assert there.planned() == {}


def test_a_model_that_was_left_behind_is_told_in_one_line(fetched):
    told = fetched.snakemake("-n").stdout
    assert "faithtune: results/models/tiny/weights is a link to" in told
    assert "Traceback" not in told and "WorkflowError" not in told
