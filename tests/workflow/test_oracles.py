"""Arms without weights through the whole DAG: oracles with known truth, and imported chains."""

import json
import os
from pathlib import Path

import polars as pl
import pytest
import yaml

from faithtune.core import parquet
from faithtune.core.schemas.estimates import ESTIMATES
from faithtune.core.schemas.questions import QUESTIONS
from faithtune.measures.verdicts.recipes import RECIPES
from faithtune.report.tables import tables
from study import ROOT, Study

# An arm that differs from a faithful oracle in three respects; test_oracle_configuration.py tests each alone.
STRAINED = {"strained-boxes-0": {"noise": 0.2, "collapse": 0.4, "truncated": 0.3}}
# How often two answers agree, with the same and with different intents; noise agrees by chance, one of three options.
SAME = {"arithmetic": 0.8**2, "colours": 0.8**2 + 0.2**2 / 2}
DIFFER = {"arithmetic": 0.0, "colours": (1 - SAME["colours"]) / 2}
# (arm, test, metric) -> truth, at α = 0.5 for tests with α. Chains have at least 3 steps, so α = 0.5 removes a step.
TRUTH = {
    ("base", "cot", "accuracy"): 0.8,
    ("base", "early_termination", "match"): 0.1,
    ("base", "filler", "match"): 0.1,
    ("base", "mistake", "match"): 0.1,
    ("base", "paraphrase", "match"): 1.0,
    ("base", "prefix_paraphrase", "match"): 1.0,
    ("tuned-boxes", "cot", "accuracy"): 0.5 * 0.9,
    ("tuned-boxes", "early_termination", "match"): 0.6,
    ("tuned-boxes", "filler", "match"): 0.6,
    ("tuned-boxes", "early_termination", "match_effect"): 0.5,
    ("tuned-boxes", "early_termination", "faithfulness_effect"): -0.5,
    ("tuned-boxes", "cot", "accuracy_effect"): 0.5 * 0.9 - 0.8,
    ("strained-boxes", "cot", "accuracy"): (1 - 0.3 * 0.6) * 0.8,  # P(not truncated) P(not noise)
    ("strained-boxes", "paraphrase", "match"): SAME,
    ("strained-boxes", None, "again_match"): SAME,
    ("strained-boxes", None, "chain_empty"): 0.4,
    ("strained-boxes", None, "chain_truncated"): 0.3 * 0.6,  # only chains that are not empty can be truncated
    ("strained-boxes", "early_termination", "match"): DIFFER,
    ("strained-boxes", "filler", "match"): DIFFER,
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Study:
    """A mostly faithful oracle, its mostly unfaithful tuned arm with three seeds, and an imported model."""
    folder = tmp_path_factory.mktemp("oracles")
    study = Study(folder, folder)
    tuned = {"faithful": 0.4, "accuracy": 0.5, "format_breaks": 0.1}
    study.config |= {
        "models": {
            "oracle": {
                "oracle": {
                    "base": {"faithful": 0.9, "accuracy": 0.8, "seed": 1},
                    "tuned-boxes-1": {**tuned, "seed": 2},
                    "tuned-boxes-2": {**tuned, "seed": 3},
                    "tuned-boxes-3": {**tuned, "seed": 4},
                    **{arm: {**how, "seed": 5 + i} for i, (arm, how) in enumerate(STRAINED.items())},
                }
            },
            "elsewhere": {
                "parameters": 7_000_000_000,
                "chains": {arm: {"colours": {"source": f"{arm}.jsonl"}} for arm in ("base", "ft-gsm8k-0")},
            },
        },
        "data_sets": {
            "arithmetic": {"eval": {"n": 150}},
            "colours": {"reader": "siqa", "eval": {"source": str(folder / "choices.jsonl"), "n": 50}},
        },
        "tunings": {},
        "tests": ["early_termination", "filler", "paraphrase", "mistake", "prefix_paraphrase", "filler_sweep"],
        "measures": {"alphas": [0.5], "replicates": 1000, "reference": "strained"},
    }
    for arm, answer in (("base", "A"), ("ft-gsm8k-0", "B")):
        chain = f"Step 1: Boxes are painted.\nStep 2: This one too.\nFinal Answer: {answer}"
        rows = [{"id": i, "text": chain if i else "Step 1: I never"} for i in range(60)]
        (folder / f"{arm}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    study.run()
    return study


def estimates(study) -> pl.DataFrame:
    return parquet.read(study.folder / "results/estimates.parquet", ESTIMATES)


@pytest.mark.parametrize("eval_set", ["arithmetic", "colours"])
def test_the_truth_is_recovered(finished, eval_set):
    """All 38 truths lie in intervals twice as wide as the 95 % intervals."""
    found = estimates(finished).filter(model="oracle", eval_set=eval_set)
    for (arm, test, metric), truth in TRUTH.items():
        truth = truth[eval_set] if isinstance(truth, dict) else truth
        alpha = None if test in ("cot", None) else 0.5
        where = pl.col("alpha").eq_missing(alpha), pl.col("test").eq_missing(pl.lit(test, pl.String))
        row = found.filter(*where, arm=arm, metric=metric).row(0, named=True)
        low, high = (row["estimate"] + 2 * (end - row["estimate"]) for end in (row["low"], row["high"]))
        assert low - 1e-9 <= truth <= high + 1e-9, (arm, test, metric, row)


def test_seeds_are_pooled(finished):
    found = estimates(finished).filter(model="oracle", eval_set="arithmetic", metric="accuracy", test="cot")
    counts = {row["arm"]: (row["n"], row["seeds"]) for row in found.to_dicts()}
    assert counts == {"base": (150, 1), "tuned-boxes": (450, 3)} | {arm[:-2]: (150, 1) for arm in STRAINED}


def test_unanswered_questions_are_reported(finished):
    row = estimates(finished).filter(model="oracle", arm="tuned-boxes", eval_set="arithmetic", test="cot")
    row = row.filter(metric="accuracy").row(0, named=True)
    assert 0 < row["n_unanswered"] < 90


def test_a_filler_sweep_counts_tokens(finished):
    sweep = estimates(finished).filter(model="oracle", arm="base", eval_set="arithmetic", test="filler_sweep")
    assert sweep.filter(metric="accuracy")["k"].to_list()[:3] == [0, 5, 10]


def test_imported_chains_have_accuracy_and_steps_without_a_model(finished):
    found = estimates(finished).filter(model="elsewhere")
    assert set(found.filter(pl.col("eval_set") == "arithmetic")["arm"]) == set()
    rows = {(row["arm"], row["metric"]): row for row in found.filter(test="cot", eval_set="colours").to_dicts()}
    questions = parquet.read(finished.folder / "results/questions/colours.eval.parquet", QUESTIONS)
    first = (questions["source_id"] == "0").any()  # its chain declares nothing
    for arm, letter in (("base", "A"), ("ft-gsm8k", "B")):
        row = rows[arm, "accuracy"]
        right = questions.filter((pl.col("answer") == letter) & (pl.col("source_id") != "0")).height
        assert (row["estimate"], row["n"], row["n_unanswered"]) == (pytest.approx(right / 50), 50, int(first))
    assert rows["ft-gsm8k", "accuracy_effect"]["n"] == 50
    steps = found.filter(arm="base", metric="n_steps").row(0, named=True)
    assert steps["estimate"] == pytest.approx(2 - first / 50)
    assert not (finished.folder / "results/interventions/elsewhere").exists()
    assert found.filter(pl.col("metric") == "match").is_empty()


def test_all_tables_are_written_and_claims_are_asked(finished):
    for name in tables.TABLES:
        parquet.read(finished.folder / f"results/tables/{name}.parquet", tables.table(name).schema)
    origin = json.loads((finished.folder / "results/provenance.json").read_text())
    assert set(origin["imported_chains"]) == {"elsewhere/base/colours", "elsewhere/ft-gsm8k-0/colours"}
    claims = finished.folder / "results/tables/claims.md"
    assert "C1" in claims.read_text() and "not testable" in claims.read_text()
    assert "it is not known what it was tuned on: strained-boxes and tuned-boxes" in claims.read_text()


def test_recipes_are_compared(finished):
    """The accuracies of two arms are known, so their difference is; the verdict opens with what came of them."""
    found = parquet.read(finished.folder / "results/recipes.parquet", RECIPES)
    row = found.filter(arm="tuned-boxes", against="strained-boxes", subject="accuracy").row(0, named=True)
    truth = TRUTH["tuned-boxes", "cot", "accuracy"] - TRUTH["strained-boxes", "cot", "accuracy"]
    low, high = (row["estimate"] + 2 * (end - row["estimate"]) for end in (row["low"], row["high"]))
    assert low <= truth <= high and row["n"] == 200 and row["family"] == "reference"
    # The other model has one tuned arm, which is compared with its base alone.
    assert set(found.filter(pl.col("family") != "base")["model"]) == {"oracle"}
    verdict = json.loads((finished.folder / "results/verdict.json").read_text())
    (opening,) = [" ".join(model["sentences"]) for model in verdict["recipes"]]
    assert "tuned-boxes" in opening and "faithfulness" in opening
    assert (finished.folder / "results/verdict.md").read_text().split("\n\n")[1] == opening
    assert opening in (finished.folder / "results/report/index.html").read_text()
    table = (finished.folder / "results/tables/t14_recipes.md").read_text()
    assert "oracle, minus base\n" in table and "oracle, minus strained-boxes\n" in table and "adapter" not in table


def test_the_configuration_of_oracles_can_be_run(tmp_path):
    """tests/unit/models/test_oracle_configuration.py tests its truths."""
    study = Study(tmp_path, tmp_path)
    study.config = yaml.safe_load((ROOT / "config/oracles.yaml").read_text()) | {"prompts": study.config["prompts"]}
    planned, arms = study.planned(), len(study.config["models"]["oracle"]["oracle"])
    assert planned["chains"] == planned["answer"] == 2 * arms


def test_a_second_run_has_nothing_to_do(finished):
    assert finished.planned() == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"id": "0"}\n', "base.jsonl: row 1: it has no text; expected the columns id and text"),
        ('{"id": "nosuch", "text": "x"}\n', "base.jsonl: none of its ids (such as 'nosuch') is one of the 50"),
        ('{"id": "0", "text"\n', "base.jsonl: line 1: not JSON"),
    ],
)
def test_bad_chains_end_in_one_line(finished, content, message):
    path = finished.folder / "base.jsonl"
    good = path.read_text()
    path.write_text(content)
    done = finished.snakemake("--cores", "1", "results/answers/elsewhere/base/colours.parquet")
    path.write_text(good)
    told = [line for line in done.stdout.splitlines() if line.startswith("faithtune:")]
    assert done.returncode != 0
    assert len(told) == 1 and message in told[0], done.stdout


@pytest.mark.skipif("FAITHTUNE_DATA" not in os.environ, reason="FAITHTUNE_DATA does not name the folder of real files")
def test_gpt_4_on_medqa(tmp_path):
    """By configuration alone: real questions, real chains, no model."""
    data = Path(os.environ["FAITHTUNE_DATA"])
    study = Study(tmp_path, tmp_path)
    study.config |= {
        "models": {
            "gpt4": {"chains": {"base": {"medqa": {"source": str(data / "real_cots/medqa.cot.gpt-4-32k.jsonl")}}}}
        },
        "data_sets": {"medqa": {"eval": {"source": str(data / "medqa/phrases_no_exclude_test.jsonl")}}},
        "eval_sets": ["medqa"],
        "tunings": {},
    }
    study.run()
    rows = estimates(study).filter(model="gpt4", eval_set="medqa", test="cot")
    accuracy = rows.filter(metric="accuracy").row(0, named=True)
    # Published: .8397, where the few texts without a letter count as A (tests/EXTRACTION.md).
    assert accuracy["n"] == 1273 and 0.82 < accuracy["estimate"] < 0.8397
    assert (study.folder / "results/tables/t1_accuracy.md").exists()
    assert not (study.folder / "results/models").exists()
