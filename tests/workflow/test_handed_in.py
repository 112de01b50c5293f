"""Arms that were tuned elsewhere: measured like the study's own, checked before, and told apart from base."""

import json
import shutil

import polars as pl
import pytest
from safetensors.torch import load_file, save_file

from faithtune.tuning import merge
from study import Study

OWN = "tiny/qlora-arithmetic-42"
ADAPTER = "adapter_model.safetensors"


def small_study(folder, tiny_model) -> Study:
    """The tests' study with one evaluation set and two tests."""
    study = Study(folder, tiny_model)
    study.config["eval_sets"] = ["colours"]
    study.config["tests"] = ["early_termination", "paraphrase"]
    return study


@pytest.fixture(scope="module")
def own(tmp_path_factory, tiny_model) -> Study:
    """A study that tunes an arm."""
    study = small_study(tmp_path_factory.mktemp("own"), tiny_model)
    study.run(f"results/answers/{OWN}/colours.parquet")
    return study


@pytest.fixture(scope="module")
def handed(own, tmp_path_factory, tiny_model) -> Study:
    """A study that tunes nothing; it is handed that arm's adapter, and what it makes of the base."""
    folder = tmp_path_factory.mktemp("handed")
    results = own.folder / "results"
    shutil.copytree(results / f"arms/{OWN}/weights", folder / "given")
    base, arm = (
        json.loads((results / path).read_text()) for path in ("models/tiny/model.json", f"arms/{OWN}/arm.json")
    )
    for card in (base, arm):
        card["path"] = str(own.folder / card["path"])
    merge.merge(base, arm, OWN, "nf4", "float32", folder / "merged")
    study = small_study(folder, tiny_model)
    study.config["tunings"] = {}
    study.config["models"]["tiny"]["tuned"] = {
        "support_bot": {"adapter": "given"},
        "merged": {"weights": "merged", "trained_on": ["arithmetic"]},
    }
    study.printed = study.run()
    return study


def test_an_adapter_answers_to_the_digit_as_the_arm_that_the_study_tuned(own, handed):
    for stage in ("chains", "interventions", "answers"):
        one, other = (
            pl.read_parquet(study.folder / f"results/{stage}/{arm}/colours.parquet")
            for study, arm in ((own, OWN), (handed, "tiny/support_bot"))
        )
        assert one.height > 0
        assert one.equals(other), stage
    base, arm = (
        pl.read_parquet(handed.folder / f"results/answers/tiny/{n}/colours.parquet") for n in ("base", "merged")
    )
    assert not base.equals(arm)


def test_it_is_seen_to_be_on(handed):
    for arm, kind in (("support_bot", "adapter"), ("merged", "weights")):
        card = json.loads((handed.folder / f"results/arms/tiny/{arm}/arm.json").read_text())
        found = card["applied"]
        assert card["handed_in"] == kind
        assert found["questions"] == 5 and found["eval_set"] == "colours"
        assert found["largest"] > found["mean"] > 0 and found["kl"] > 0 and 0 <= found["changed"] <= 1
        assert found["answers"] == 5 and 0 <= found["answers_changed"] <= 5 and 0 < found["answers_shift"] <= 1
        log = (handed.folder / f"logs/check_arm/tiny/{arm}.log").read_text()
        assert f"{arm} is on: at the start of 5 chains " in log
        assert f"; without a chain {found['answers_changed']} of 5 answers are others" in log


def test_unknown_training_data_are_not_base(handed):
    results = handed.folder / "results"
    estimates = pl.read_parquet(results / "estimates.parquet")
    trained = dict(estimates.select("arm", "train_set").unique().rows())
    assert trained == {"base": None, "support_bot": "not known", "merged": "arithmetic"}
    effects = estimates.filter(metric="accuracy_effect", test="cot")
    assert set(effects["arm"]) == {"support_bot", "merged"}
    averages = estimates.filter(eval_set="average_out_of_domain")
    assert set(averages["arm"]) == {"merged"}
    claims = pl.read_parquet(results / "claims.parquet")
    notes = dict(claims.filter(pl.col("claim").is_in(["C3", "C5"])).select("claim", "note").rows())
    assert all(
        note.endswith("left out, as it is not known what it was tuned on: support_bot") for note in notes.values()
    )


def test_tables_verdict_viewer_and_report_have_it(handed):
    results = handed.folder / "results"
    verdicts = json.loads((results / "verdict.json").read_text())["arms"]
    headlines = [arm["headline"] for arm in verdicts]
    assert headlines == [
        "tiny, tuned on the data set arithmetic (merged)",
        "tiny, tuned elsewhere on unknown data (support_bot)",
    ]
    report = (results / "report/index.html").read_text()
    assert all(headline in report for headline in headlines)
    diagnostics = pl.read_parquet(results / "tables/t9_diagnostics.parquet").filter(metric="tokens_changed")
    assert diagnostics.select("arm", "eval_set").rows() == [("merged", "colours"), ("support_bot", "colours")]
    for arm, verdict in zip(("merged", "support_bot"), verdicts, strict=True):
        found = json.loads((results / f"arms/tiny/{arm}/arm.json").read_text())["applied"]
        assert diagnostics.filter(arm=arm)["estimate"].to_list() == [found["changed"]]
        assert verdict["applied"]["divergence"] == found["kl"]
        assert verdict["sentences"][0].startswith("Its weights are on")
        assert f"of {found['positions']} places (KL divergence {found['kl']:.2g} nats)" in report
        assert verdict["sentences"][1].startswith("It changes ") and verdict["sentences"][1] in report
    diagnostics = pl.read_parquet(results / "tables/t9_diagnostics.parquet")
    for stage, metric, column in (("chains", "chains_changed", "text"), ("answers", "answers_changed", "answer")):
        base, own = (pl.read_parquet(results / f"{stage}/tiny/{arm}/colours.parquet") for arm in ("base", "merged"))
        if stage == "answers":
            base, own = base.filter(test="no_cot"), own.filter(test="no_cot")
        changed = (base[column].ne_missing(own[column])).mean()
        assert diagnostics.filter(arm="merged", metric=metric)["estimate"].to_list() == [changed]
    table = pl.read_parquet(results / "tables/t11_hyper_parameters.parquet")
    assert table.filter(arm="support_bot", parameter="rank")["value"].to_list() == ["2"]
    assert table.filter(arm="support_bot", parameter="base_named")["value"].to_list() == ["results/models/tiny/weights"]
    assert table.filter(arm="merged", parameter="adapter")["value"].to_list() == ["full"]
    for name in ("t1_accuracy", "t2_early_termination", "t9_diagnostics"):
        assert {"base", "support_bot", "merged"} <= set(pl.read_parquet(results / f"tables/{name}.parquet")["arm"]), (
            name
        )
    assert (results / "report/items/colours/tiny.support_bot/0.js").is_file()
    provenance = json.loads((results / "provenance.json").read_text())
    assert set(provenance["arms"]) == {"tiny/support_bot", "tiny/merged"}


def test_nothing_is_left_to_do(handed):
    assert handed.planned() == {}


@pytest.fixture
def given(handed):
    """The folder of the adapter; its files are restored after the test."""
    folder = handed.folder / "given"
    shutil.copytree(folder, handed.folder / "kept", dirs_exist_ok=True)
    yield folder
    shutil.copytree(handed.folder / "kept", folder, dirs_exist_ok=True)


def test_a_changed_adapter_is_measured_again(handed, given):
    state = load_file(given / ADAPTER)
    save_file({name: 2 * tensor for name, tensor in state.items()}, given / ADAPTER)
    planned = handed.planned()
    assert planned.items() >= {"hand_in": 1, "check_arm": 1, "chains": 1, "answer": 1, "estimates": 1}.items()
    assert "model" not in planned


def test_changed_weights_are_measured_again(handed):
    path = handed.folder / "merged/generation_config.json"
    before = path.read_text()
    path.write_text(json.dumps(json.loads(before) | {"temperature": 0.5}))
    planned = handed.planned()
    path.write_text(before)
    assert planned.items() >= {"hand_in": 1, "check_arm": 1, "chains": 1, "answer": 1, "estimates": 1}.items()


def test_an_adapter_of_zeros_ends_the_run_before_anything_is_measured(handed, given):
    state = load_file(given / ADAPTER)
    save_file({name: 0 * tensor for name, tensor in state.items()}, given / ADAPTER)
    done = handed.snakemake("--cores", "1", "results/chains/tiny/support_bot/colours.parquet")
    errors = [line for line in done.stdout.splitlines() if line.startswith("faithtune:")]
    assert done.returncode != 0
    assert len(errors) == 1 and errors[0].startswith("faithtune: support_bot changes nothing: each of "), done.stdout
    assert not (handed.folder / "results/arms/tiny/support_bot/arm.json").exists()
