"""Two tunings, the second of what the first made: what runs, what the results say of it, and what a change reruns."""

import json

import polars as pl
import pytest

from study import Study

TAUGHT, TUNED = "tiny/teach-arithmetic+colours-42", "taught/qlora-colours-42"
T11 = "results/tables/t11_hyper_parameters.parquet"
# What is made: enough to see the chain of training, without the stages that hold for every arm.
CHAINS = [f"results/chains/{arm}/colours.parquet" for arm in ("taught/base", TUNED)]
MADE = [*CHAINS, T11]


@pytest.fixture(scope="module")
def chained(tmp_path_factory, tiny_model) -> Study:
    """A model that is taught two sets at once, and not measured; what that made is tuned and measured."""
    study = Study(tmp_path_factory.mktemp("chained"), tiny_model)
    study.config["models"]["tiny"]["measured"] = False
    study.config["models"]["taught"] = {"source": f"arm:{TAUGHT}"}
    recipe = study.config["tunings"].pop("qlora")
    both = {"train_sets": ["arithmetic+colours"], "target": "answer_only"}
    study.config["tunings"] = {"teach": recipe | both, "qlora": recipe | {"train_sets": ["colours"]}}
    study.config["data_sets"]["colours"]["eval"]["n"] = 2
    study.config |= {"eval_sets": ["colours"], "tests": ["early_termination", "paraphrase"]}
    study.fresh, study.fetched = study.planned(), study.planned("fetch")
    study.run(*MADE)
    return study


def test_the_plan_has_both_trainings_and_asks_measured_arms_alone(chained):
    asked = dict.fromkeys(("chains", "paraphrase", "answer"), 2)
    expected = {"model": 1, "tune": 2, "merge": 1, "precision": 1, "questions": 3, "items": 1, **asked}
    assert chained.fresh.items() >= expected.items()
    assert chained.fetched == {"model": 1, "questions": 3, "fetch": 1}
    assert not (chained.folder / "results/chains/tiny").exists()


def test_an_arm_is_tuned_on_all_its_data_sets(chained):
    results = chained.folder / "results"
    sizes = [pl.read_parquet(results / f"questions/{name}.train.parquet").height for name in ("arithmetic", "colours")]
    assert json.loads((results / f"arms/{TAUGHT}/arm.json").read_text())["examples"] == sum(sizes)


def test_model_provenance_and_table_have_the_chain_of_training(chained):
    results = chained.folder / "results"
    paths = f"arms/{TAUGHT}/arm.json", "models/taught/model.json"
    arm, card = (json.loads((results / path).read_text()) for path in paths)
    assert card["lineage"] == [{"arm": TAUGHT, "weights_sha256": arm["weights_sha256"]}]
    provenance = json.loads((results / "provenance.json").read_text())
    assert provenance["models"]["taught"] == {key: value for key, value in card.items() if key != "path"}
    assert set(provenance["arms"]) == {TAUGHT, TUNED}
    table = pl.read_parquet(chained.folder / T11)
    assert table.filter(parameter="starts_from").select("model", "arm", "value").rows() == [
        ("taught", "qlora-colours", TAUGHT)
    ]
    assert set(table["model"]) == {"tiny", "taught"}


@pytest.fixture
def again(chained):
    """The study after a change of one tuning: change(NAME, KEY=VALUE) returns the jobs that are planned."""
    before = {name: dict(settings) for name, settings in chained.config["tunings"].items()}

    def change(name: str, **settings) -> dict[str, int]:
        chained.config["tunings"][name] |= settings
        return chained.planned(*MADE)

    yield change
    chained.config["tunings"] = before


def test_nothing_is_left_to_do(chained):
    assert chained.planned(*MADE) == {}


def test_another_first_training_reruns_all_that_rests_on_it(again):
    reported = {"provenance": 1, "table": 1}
    assert again("teach", learning_rate=0.002) == {"tune": 2, "merge": 1, "chains": 2, **reported}


def test_another_second_training_leaves_the_first_alone(again):
    assert again("qlora", learning_rate=0.002) == {"tune": 1, "chains": 1, "provenance": 1, "table": 1}


def test_another_first_training_makes_other_rows(chained, tmp_path):
    """The rows' keys rest on the merged weights: none of the earlier rows is used."""
    study, model = chained.copied(tmp_path), "results/models/taught/model.json"
    study.config["tunings"]["teach"]["learning_rate"] = 0.002
    study.run(CHAINS[0])
    before, after = (json.loads((one.folder / model).read_text()) for one in (chained, study))
    assert before["weights_sha256"] != after["weights_sha256"]
    assert "2 rows, 2 computed" in (tmp_path / "logs/chains/taught/base/colours.log").read_text()
