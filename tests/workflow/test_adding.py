"""What config/ADDING.md says to do, done: its diffs applied to a copy of the repository."""

import re
import shutil
import subprocess

import polars as pl
import pytest
import yaml

from faithtune.core import parquet
from faithtune.core.schemas.chains import CHAINS
from faithtune.core.schemas.estimates import ESTIMATES
from faithtune.core.schemas.interventions import INTERVENTIONS
from faithtune.core.schemas.questions import QUESTIONS
from faithtune.report.tables import rows
from faithtune.study import config
from faithtune.study import plan as studies
from study import ROOT, Study

TITLES = ("A model", "A data set", "A tuning", "A test")


def diff(title: str) -> str:
    """The diff under a heading of ADDING.md."""
    text = (ROOT / "config/ADDING.md").read_text()
    return re.search(rf"^## {title}\n.*?```diff\n(.*?)```", text, re.MULTILINE | re.DOTALL)[1]


@pytest.fixture
def copy(tmp_path):
    """A copy of what the workflow is, and what applies a diff to it."""
    root = tmp_path / "copy"
    for name in ("workflow", "resources", "profiles", "envs", "config"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", root)

    def apply(title: str):
        command = ["git", "apply", "--verbose", "-"]
        done = subprocess.run(command, input=diff(title), cwd=root, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
        return root

    return apply


def of_file(root, tmp_path) -> Study:
    """The embedded study as the copy has it."""
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
    arms = 3  # base and the recipe on its two training sets
    added = {"model": 1, "tune": arms - 1, **dict.fromkeys(("chains", "paraphrase", "answer"), arms * 4)}
    assert {rule: after[rule] - before[rule] for rule in before if after[rule] != before[rule]} == added


def test_a_data_set(copy, tmp_path):
    study = of_file(copy("A data set"), tmp_path)
    study.run("results/questions/openbookqa.eval.parquet")
    questions = parquet.read(tmp_path / "results/questions/openbookqa.eval.parquet", QUESTIONS)
    assert questions.height == 500
    assert set(questions["kind"]) == {"choice"} and set(questions["options"].list.len()) == {4}
    assert set(questions["answer"]) == set("ABCD")
    assert study.planned()["chains"] == 3 * 5


def test_a_tuning(copy, before, tmp_path):
    grown = of_file(copy("A tuning"), tmp_path)
    after = grown.planned()
    arms = studies.table_arms(config.load(grown.config))
    assert [arm["arm"] for arm in rows.ablated(arms)] == ["qlora-arithmetic", "qlora_r4-arithmetic"]
    added = {"tune": 1, **dict.fromkeys(("chains", "paraphrase", "answer"), 4)}
    assert {rule: after[rule] - before[rule] for rule in before if after[rule] != before[rule]} == added


def test_a_test(copy, study, finished, tmp_path):
    grown = finished.copied(tmp_path)
    grown.root = copy("A test")
    grown.config |= {"tests": ["early_termination", "filler", "paraphrase", "late_start"], "eval_sets": ["arithmetic"]}
    planned = grown.planned()
    assert planned["answer"] == 2 and not {"tune", "chains", "paraphrase"} & set(planned)
    grown.run("--", "results/tables/lanham.md")
    made = parquet.read(tmp_path / "results/interventions/tiny/base/arithmetic.parquet", INTERVENTIONS)
    steps = dict(
        parquet.read(tmp_path / "results/chains/tiny/base/arithmetic.parquet", CHAINS).select("id", "steps").iter_rows()
    )
    late = made.filter(test="late_start")
    assert late.height == made.filter(test="early_termination").height > 0
    for id, k, text in late.select("id", "k", "text").iter_rows():
        kept = steps[id][len(steps[id]) - k :]
        assert text == "\n".join(f"Step {i}: {step}" for i, step in enumerate(kept, 1))
    estimates = parquet.read(tmp_path / "results/estimates.parquet", ESTIMATES)
    assert estimates.filter(pl.col("test") == "late_start", metric="match").height > 0
    assert "Late Start" in (tmp_path / "results/tables/lanham.md").read_text()


@pytest.mark.parametrize("title", TITLES)
def test_every_addition_is_shown(title):
    assert diff(title).startswith("--- ")
