"""Questions in other forms through the whole DAG, asked of oracles, which see through any form."""

import json

import polars as pl
import pytest

from faithtune.core import parquet
from faithtune.core.schemas.chains import CHAINS
from faithtune.core.schemas.questions import QUESTIONS
from faithtune.measures.generalisation.shifts import SHIFTS
from study import ROOT, Study

FORMS = ("colours_shuffled", "colours_marked", "colours_asked")


@pytest.fixture(scope="module")
def asked(tmp_path_factory) -> Study:
    folder = tmp_path_factory.mktemp("forms")
    study = Study(folder, folder)
    del study.config["tunings"], study.config["paraphraser"], study.config["data_sets"]["arithmetic"]
    study.config |= {
        "models": {"oracle": {"oracle": {"base": {}, "tuned-boxes-1": {"faithful": 0.5, "accuracy": 0.5}}}},
        "eval_sets": ["colours"],
        "tests": ["early_termination", "filler"],
        "shifts": {
            "colours_shuffled": {"of": "colours", "options": "shuffled"},
            "colours_marked": {"of": "colours", "marker": "(A)"},
            "colours_asked": {"of": "colours", "prompts": str(ROOT / "resources/prompts/zero_shot")},
        },
    }
    study.config["data_sets"]["colours"]["eval"]["n"] = 24
    study.run("results/verdict.json", "results/tables/t17_shifts.md", "results/estimates.parquet")
    return study


def test_what_sees_through_every_form_is_found_to_be_the_same_in_all(asked):
    found = parquet.read(asked.folder / "results/shifts.parquet", SHIFTS)
    assert set(found.select("arm", "shift", "eval_set").rows()) == {("tuned-boxes", name, "colours") for name in FORMS}
    changes = found.filter(pl.col("quantity").is_in(["change in base", "change in tuned", "difference"]))
    assert changes.height and set(changes["estimate"]) == {0.0}
    levels = found.filter(subject="accuracy", quantity="tuned shifted")
    assert all(0.2 < value < 0.8 for value in levels["estimate"])


def test_the_forms_are_others_than_the_questions_own(asked):
    own, moved = (
        parquet.read(asked.folder / f"results/questions/{name}.eval.parquet", QUESTIONS).sort("id")
        for name in ("colours", "colours_shuffled")
    )
    assert own["id"].to_list() == moved["id"].to_list()
    options = zip(own["options"].to_list(), moved["options"].to_list(), strict=True)
    assert all(one != other and sorted(one) == sorted(other) for one, other in options)
    texts = [
        parquet.read(asked.folder / f"results/chains/oracle/base/{name}.parquet", CHAINS)["free_answer"].to_list()
        for name in ("colours", "colours_shuffled")
    ]
    assert texts == [own["answer"].to_list(), moved["answer"].to_list()]  # letters of the order shown


def test_another_prompt_of_a_form_asks_that_form_again_and_nothing_else(asked, monkeypatch):
    changed = asked.config["shifts"] | {
        "colours_asked": {"of": "colours", "prompts": str(ROOT / "resources/prompts/one_shot")},
        "colours_marked": {"of": "colours", "marker": "A)"},
    }
    monkeypatch.setitem(asked.config, "shifts", changed)
    assert asked.planned("results/shifts.parquet") == {"chains": 4, "answer": 4, "shifts": 1}


def test_they_stand_in_no_other_table_and_the_verdict_says_that_they_change_nothing(asked):
    estimates = pl.read_parquet(asked.folder / "results/estimates.parquet")
    assert set(estimates["eval_set"]) == {"colours", "average", "average_out_of_domain"}
    (arm,) = json.loads((asked.folder / "results/verdict.json").read_text())["arms"]
    assert len(arm["shifts"]["differences"]) == 6 and " more than that of base" not in arm["shifts"]["sentence"]
    assert "colours_marked" in (asked.folder / "results/tables/t17_shifts.md").read_text()
