"""A set shared by several jobs: the same tables, and nothing asked twice when their number changes."""

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


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tiny_model) -> Study:
    study = small(tmp_path_factory.mktemp("whole"), tiny_model)
    study.run(*FILES)
    return study


def small(folder, model) -> Study:
    """The base model in all tests, its questions two by two."""
    study = Study(folder, model)
    study.config["tunings"] = {}
    study.config["tests"] = list(interventions.TESTS)
    study.config["compute"]["block_size"] = 2
    return study


def test_tables_are_equal_for_any_number_of_jobs(whole, tmp_path):
    shared = small(tmp_path, whole.config["models"]["tiny"]["source"])
    shared.config["compute"]["shards"] = SHARDS
    shared.run(*FILES)
    assert (tmp_path / "results/answers/tiny/base/arithmetic.3of3.parquet").is_file()
    compared = [path for path in sorted((whole.folder / "results").rglob("*")) if path.is_file()]
    compared = [path for path in compared if not {"store", "models"} & {*path.relative_to(whole.folder).parts}]
    assert len(compared) > 20
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
