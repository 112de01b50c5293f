"""The diffs of config/ADDING.md apply to a copy of the repository and do what the page says."""

import re
import shutil
import subprocess
import sys
from itertools import product

import pytest
import yaml

from faithtune.core import parquet
from faithtune.core.schemas.estimates import ESTIMATES
from faithtune.core.schemas.questions import QUESTIONS
from faithtune.report.ablations import ablated
from faithtune.study import compared, config
from study import ROOT, Study

TITLES = ("A model", "A data set", "A tuning", "A test")


def diff(title: str) -> str:
    """The diff under a heading of ADDING.md."""
    text = (ROOT / "config/ADDING.md").read_text()
    return re.search(rf"^## {title}\n.*?```diff\n(.*?)```", text, re.MULTILINE | re.DOTALL)[1]


@pytest.fixture
def copy(tmp_path):
    """A copy of the workflow and its tests, and a function that applies a diff to the copy."""
    root = tmp_path / "copy"
    for name in ("workflow", "resources", "profiles", "envs", "config", "tests"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "pyproject.toml"):
        shutil.copy(ROOT / name, root)

    def apply(title: str):
        command = ["git", "apply", "--verbose", "-"]
        done = subprocess.run(command, input=diff(title), cwd=root, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
        return root

    return apply


def of_file(root, tmp_path) -> Study:
    """The embedded study, run by the copy."""
    study = Study(tmp_path, tmp_path)
    study.root = root
    study.config = yaml.safe_load((root / "config/config.yaml").read_text())
    study.config["prompts"] = str(root / study.config["prompts"])
    return study


@pytest.fixture(scope="module")
def before(tmp_path_factory) -> dict[str, int]:
    """The jobs of the embedded study."""
    return of_file(ROOT, tmp_path_factory.mktemp("before")).planned()


def test_a_model(copy, before, tmp_path, tiny_model):
    study = of_file(copy("A model"), tmp_path)
    study.config["models"]["mine"]["source"] = str(tiny_model)
    after = study.planned()
    added = {"model": 1, **dict.fromkeys(("chains", "paraphrase", "answer"), 3), "probe": 2}  # base on each set
    assert {rule: after[rule] - before[rule] for rule in before if after[rule] != before[rule]} == added


def test_a_data_set(copy, tmp_path):
    study = of_file(copy("A data set"), tmp_path)
    study.run("results/questions/openbookqa.eval.parquet")
    questions = parquet.read(tmp_path / "results/questions/openbookqa.eval.parquet", QUESTIONS)
    assert questions.height == 500
    assert set(questions["kind"]) == {"choice"} and set(questions["options"].list.len()) == {4}
    assert set(questions["answer"]) == set("ABCD")
    assert study.planned()["chains"] == 4 * 4


def test_a_tuning(copy, before, tmp_path):
    grown = of_file(copy("A tuning"), tmp_path)
    after = grown.planned()
    arms = compared.table_arms(config.load(grown.config))
    assert [arm["arm"] for arm in ablated(arms)] == ["bare-hours", "bare_r4-hours"]
    added = {"tune": 1, **dict.fromkeys(("chains", "paraphrase", "answer"), 3), "probe": 2, "dose": 2, "weights": 1}
    assert {rule: after[rule] - before[rule] for rule in before if after[rule] != before[rule]} == added


def test_a_test(copy, study, finished, tmp_path):
    grown = finished.copied(tmp_path)
    grown.root = copy("A test")
    grown.config |= {"tests": ["early_termination", "filler", "paraphrase", "shuffle"], "eval_sets": ["arithmetic"]}
    planned = grown.planned()
    assert planned["answer"] == 2 and not {"tune", "chains", "paraphrase"} & set(planned)
    unit = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit/interventions/test_build.py"]
    done = subprocess.run(unit, cwd=grown.root, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout


def test_an_added_test_recovers_the_truth_of_oracles(copy, tmp_path):
    """The claim of ADDING.md about `order_sensitive` holds within the intervals; seeds are fixed."""
    study = Study(tmp_path, tmp_path)
    study.root = copy("A test")
    sensitive = {"faithful": 0.75, "order_sensitive": 0.4}
    study.config |= {
        "models": {"oracle": {"oracle": {"base": {"seed": 1}, "tuned-boxes-1": {**sensitive, "seed": 2}}}},
        "data_sets": {
            "arithmetic": {"eval": {"n": 150}},
            "colours": {"reader": "siqa", "eval": {"source": str(tmp_path / "choices.jsonl"), "n": 50}},
        },
        "tunings": {},
        "tests": ["shuffle"],
        "measures": {"alphas": [0.25, 1.0], "replicates": 200},
    }
    study.run("--", "results/tables/lanham.md")
    found = parquet.read(tmp_path / "results/estimates.parquet", ESTIMATES).filter(test="shuffle", seeds=1)
    # Of at least three steps a quarter is kept, so at least two are shuffled.
    truth = {("base", "match"): 1.0, ("tuned-boxes", "match"): 0.7, ("tuned-boxes", "match_effect"): -0.3}
    for eval_set, (arm, metric) in product(("arithmetic", "colours"), truth):
        row = found.filter(eval_set=eval_set, arm=arm, metric=metric, alpha=0.25).row(0, named=True)
        assert row["low"] <= truth[arm, metric] <= row["high"], row
    assert found.filter(arm="base", metric="match", alpha=0.25)["estimate"].to_list() == [1.0, 1.0]
    # All steps are kept: nothing is shuffled, and only the match as published counts it.
    assert set(found.filter(metric="match", alpha=1.0)["estimate"]) == {None}
    assert set(found.filter(metric="match_published", alpha=1.0)["estimate"]) == {1.0}
    assert "Shuffled Steps" in (tmp_path / "results/tables/lanham.md").read_text()


@pytest.mark.parametrize("title", TITLES)
def test_every_addition_is_shown(title):
    assert diff(title).startswith("--- ")
