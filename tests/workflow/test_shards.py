"""A set shared by several jobs: the same tables, and nothing asked twice when their number changes."""

import shutil
from pathlib import Path

import pytest

from faithtune.interventions.registry import BY_STEPS
from study import Study

# What all other tables and figures are made from too.
FILES = ("results/estimates.parquet", "results/changes.parquet", "results/tables/t9_diagnostics.csv")
ASKED = ("chains", "paraphrases", "mistakes", "regenerations", "interventions", "answers")


@pytest.fixture(
    scope="module",
    params=[{"arithmetic": 3}, pytest.param({"arithmetic": 3, "colours": 2}, marks=pytest.mark.nightly)],
    ids=["one set", "both sets"],
)
def shards(request) -> dict[str, int]:
    """The evaluation sets, and over how many jobs each is divided."""
    return request.param


@pytest.fixture(scope="module")
def whole(finished, shards, tmp_path_factory) -> Study:
    """The finished study's base model in all tests, its questions two by two."""
    study = emptied(finished, tmp_path_factory.mktemp("whole"))
    study.config |= {"tunings": {}, "tests": list(BY_STEPS), "eval_sets": list(shards)}
    assert study.config["compute"]["block_size"] == 2
    study.run("--", *FILES, *interventions_of(shards))
    return study


def interventions_of(shards: dict[str, int]) -> list[str]:
    """The files of the base model's interventions."""
    return [f"results/interventions/tiny/base/{name}.parquet" for name in shards]


def emptied(study: Study, folder: Path) -> Study:
    """A copy that has its questions and the model, and whose other results are to be made."""
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
    shared.config["compute"]["block_size"] = 3  # the shards are cut in other places
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
