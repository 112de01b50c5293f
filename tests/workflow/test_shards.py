"""A set divided over several jobs has the same tables, and changing their number asks nothing again."""

import shutil
from pathlib import Path

import pytest

from faithtune.interventions.registry import BY_STEPS
from study import Study

# All other tables and figures are made from these files.
FILES = ("results/estimates.parquet", "results/changes.parquet", "results/tables/t9_diagnostics.csv")
ASKED = ("chains", "paraphrases", "mistakes", "regenerations", "interventions", "answers")


@pytest.fixture(
    scope="module",
    params=[{"arithmetic": 3}, pytest.param({"arithmetic": 3, "colours": 2}, marks=pytest.mark.nightly)],
    ids=["one set", "both sets"],
)
def shards(request) -> dict[str, int]:
    """Evaluation set -> number of jobs."""
    return request.param


@pytest.fixture(scope="module")
def whole(finished, shards, tmp_path_factory) -> Study:
    """The finished study's base model in all tests, with blocks of two questions."""
    study = emptied(finished, tmp_path_factory.mktemp("whole"))
    study.config |= {"tunings": {}, "tests": list(BY_STEPS), "eval_sets": list(shards)}
    assert study.config["compute"]["block_size"] == 2
    study.run("--", *FILES, *interventions_of(shards))
    return study


def interventions_of(shards: dict[str, int]) -> list[str]:
    """The files with the base model's interventions."""
    return [f"results/interventions/tiny/base/{name}.parquet" for name in shards]


def emptied(study: Study, folder: Path) -> Study:
    """A copy of the study with its questions and model and no other results."""
    copy = study.copied(folder)
    for made in (folder / "results").iterdir():
        if made.name not in ("models", "questions"):
            shutil.rmtree(made) if made.is_dir() else made.unlink()
    return copy


def test_tables_are_equal_for_any_number_of_jobs(whole, shards, tmp_path):
    shared = emptied(whole, tmp_path)
    shared.config["compute"]["shards"] = shards
    shared.run("--", *FILES, *interventions_of(shards))
    assert (tmp_path / f"results/answers/tiny/base/{next(iter(shards))}.3of3.parquet").is_file()
    compared = [*FILES, *(f"results/{stage}/tiny/base/{name}.parquet" for stage in ASKED for name in shards)]
    for path in compared:
        assert (tmp_path / path).read_bytes() == (whole.folder / path).read_bytes(), path
    shared.config["compute"]["block_size"] = 3  # the shards divide the set at other places
    assert shared.planned()["chains"] == sum(shards.values())


def test_another_number_of_jobs_asks_nothing_again(whole, shards):
    name = next(iter(shards))
    whole.config["compute"]["shards"] = {name: 2}
    whole.config["tests"] = ["early_termination", "filler", "paraphrase"]
    files = [f"results/{stage}/tiny/base/{name}.2of2.parquet" for stage in ("chains", "paraphrases", "answers")]
    whole.run(*files)
    for stage in ("chains", "paraphrase", "answer"):
        log = (whole.folder / f"logs/{stage}/tiny/base/{name}.2of2.log").read_text()
        assert " 0 computed" in log and "row store: 0 rows" not in log
