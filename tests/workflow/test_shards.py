"""A set shared by several jobs: the same tables, and nothing asked twice when their number changes."""

import shutil

import pytest
from study import Study

from faithtune import interventions

SHARDS = {"arithmetic": 3, "colours": 2}
# What all other tables and figures are made from too.
FILES = (
    "results/estimates.parquet",
    "results/changes.parquet",
    "results/tables/t9_diagnostics.csv",
    *(f"results/interventions/tiny/base/{name}.parquet" for name in SHARDS),
)
ASKED = ("chains", "paraphrases", "mistakes", "regenerations", "interventions", "answers")


@pytest.fixture(scope="module")
def whole(finished, tmp_path_factory) -> Study:
    """The finished study's base model in all tests, its questions two by two."""
    study = finished.copied(tmp_path_factory.mktemp("whole"))
    study.config["tunings"] = {}
    study.config["tests"] = list(interventions.TESTS)
    assert study.config["compute"]["block_size"] == 2
    study.run("--", *FILES)
    return study


def test_tables_are_equal_for_any_number_of_jobs(whole, tmp_path):
    shared = whole.copied(tmp_path)
    for made in (tmp_path / "results").iterdir():
        if made.name not in ("models", "questions"):
            shutil.rmtree(made) if made.is_dir() else made.unlink()
    shared.config["compute"]["shards"] = SHARDS
    shared.run("--", *FILES)
    assert (tmp_path / "results/answers/tiny/base/arithmetic.3of3.parquet").is_file()
    compared = [whole.folder / path for path in FILES]
    compared += [whole.folder / f"results/{stage}/tiny/base/{name}.parquet" for stage in ASKED for name in SHARDS]
    for path in compared:
        assert (tmp_path / path.relative_to(whole.folder)).read_bytes() == path.read_bytes(), path
    shared.config["compute"]["block_size"] = 3  # the shards are cut in other places
    assert shared.planned()["chains"] == sum(SHARDS.values())


def test_another_number_of_jobs_asks_nothing_again(whole):
    whole.config["compute"]["shards"] = {"arithmetic": 2}
    files = [f"results/{stage}/tiny/base/arithmetic.2of2.parquet" for stage in ("chains", "paraphrases", "answers")]
    whole.run(*files)
    for stage in ("chains", "paraphrase", "answer"):
        log = (whole.folder / f"logs/{stage}/tiny/base/arithmetic.2of2.log").read_text()
        assert " 0 computed" in log and "row store: 0 rows" not in log
