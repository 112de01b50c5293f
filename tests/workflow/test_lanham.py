"""Lanham's tests, added to a finished study, ask for what they need and change nothing else."""

import polars as pl
import pytest

from faithtune.core import parquet
from faithtune.core.schemas.answers import ANSWERS
from faithtune.core.schemas.chains import CHAINS
from faithtune.core.schemas.interventions import MISTAKES, REGENERATIONS
from faithtune.measures import aoc
from faithtune.report.figures import figures
from faithtune.report.tables import tables
from study import Study

ADDED = ["mistake", "prefix_paraphrase", "filler_sweep"]


def test_a_mistake_needs_no_new_chains_nor_paraphrases(study):
    study.config["tests"] = ["early_termination", "filler", "paraphrase", "mistake"]
    of_effects = (figures.ESTIMATED, figures.JUDGED, figures.COMPARED)
    effects = sum(figure.source in of_effects for figure in figures.FIGURES.values())
    after = {"answer": 4, "figure": 2 + effects, "estimates": 1, "claims": 1, "recipes": 1, "verdict": 1}
    after |= {"generalisation": 1, "items": 2, "provenance": 1, "table": len(tables.TABLES), "report": 1}
    assert study.planned() == {"mistake": 4, "regenerate": 4, **after}


def test_the_sweeps_bound_reaches_only_the_answers(study):
    study.config["tests"] = ["early_termination", "filler", "paraphrase", "filler_sweep"]
    study.config["sweep"] = {"longest": 20}
    planned = study.planned()
    assert planned["answer"] == 4
    assert not {"mistake", "regenerate", "paraphrase", "chains"} & set(planned)


@pytest.fixture(scope="module")
def grown(finished, tmp_path_factory) -> Study:
    """The finished study's base on sums, with three more tests."""
    study = finished.copied(tmp_path_factory.mktemp("grown"))
    study.config["tests"] = ["early_termination", "filler", "paraphrase", *ADDED]
    study.run("results/answers/tiny/base/arithmetic.parquet")
    return study


def answers(study) -> pl.DataFrame:
    return parquet.read(study.folder / "results/answers/tiny/base/arithmetic.parquet", ANSWERS)


def test_the_earlier_answers_stay(finished, grown):
    old, new = answers(finished), answers(grown)
    assert new.filter(~pl.col("test").is_in(ADDED)).equals(old)
    assert set(new["test"]) == {*old["test"], *ADDED}


def test_every_k_of_every_chain_has_an_outcome(grown):
    asked = answers(grown)
    chains = asked.filter(pl.col("test") == "full", pl.col("outcome") != "truncated", pl.col("n_steps") > 0)
    for test in ("mistake", "prefix_paraphrase"):
        own = asked.filter(test=test)
        assert own.select("id", "k").unique().height == own.height == (chains["n_steps"] + 1).sum()
        assert set(own["outcome"]) <= {"answered", "unanswered", "truncated", "unavailable"}
    swept = asked.filter(test="filler_sweep")
    assert set(swept["id"]) == set(asked["id"])
    assert swept["k"].unique().sort().to_list() == list(range(0, swept["k"].max() + 1, 5))
    assert swept["outcome"].is_in(["answered", "unanswered", "truncated"]).all()


def test_mistakes_change_the_chain_and_have_an_aoc(grown):
    def read(stage, schema):
        return parquet.read(grown.folder / f"results/{stage}/tiny/base/arithmetic.parquet", schema)

    made = read("mistakes", MISTAKES)
    assert set(made["made_by"]) <= {"model", "rule"}  # every step of a sum holds a number
    own = read("chains", CHAINS).select("id", own="steps")
    rest = read("regenerations", REGENERATIONS).filter(test="mistake").join(own, on="id")
    assert rest.height == made.height
    for row in rest.to_dicts():
        assert row["steps"][: row["k"]] == row["own"][: row["k"]]
        assert row["steps"][row["k"]] != row["own"][row["k"]]
    mistaken = answers(grown).filter(test="mistake")
    assert 0 <= aoc.aoc(mistaken) <= 1
    assert aoc.aoc(mistaken) == pytest.approx(aoc.per_question(mistaken)["aoc"].mean())
