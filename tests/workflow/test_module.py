"""faithtune as a module of another workflow: the manual's Snakefile, run in its own folder."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from study import ROOT

pytestmark = pytest.mark.slow

CONFIG = {
    "models": {"oracle": {"oracle": {"base": {"faithful": 0.9, "accuracy": 0.8}}}},
    "data_sets": {"arithmetic": {"eval": {"n": 12}}},
    "eval_sets": ["arithmetic"],
    "measures": {"alphas": [0.5], "replicates": 200},
}
PATH = '"faithtune/workflow/Snakefile"'


def snakefile() -> str:
    """The manual's Snakefile."""
    manual = (ROOT / "docs/running.md").read_text()
    return re.search(r"## As a module.*?```python\n(.*?)```", manual, re.DOTALL)[1]


@pytest.fixture
def folder(tmp_path) -> Path:
    """Another workflow, whose configuration holds a study of an oracle."""
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"faithtune": CONFIG, "mine": 1}))
    (tmp_path / "Snakefile").write_text(snakefile())
    return tmp_path


def snakemake(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """Run the other workflow; standard output and error together in `stdout`."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.run(command, cwd=folder, env=os.environ | environment, text=True, timeout=900, **pipes)


def run(folder: Path, *arguments: str, **environment: str) -> str:
    """Run it to its end; returns what was printed."""
    done = snakemake(folder, *arguments, **environment)
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_another_workflow_runs_a_study_and_reads_its_tables(folder):
    (folder / "faithtune").symlink_to(ROOT)
    profile = ("--workflow-profile", "faithtune/profiles/default")
    run(folder, *profile, "headline.csv", "faithtune_all")
    table = (folder / "results/tables/t1_accuracy.csv").read_text()
    assert (folder / "headline.csv").read_text() == "".join(table.splitlines(keepends=True)[:3])
    assert (folder / "results/tables/claims.md").is_file()
    assert "Nothing to be done" in run(folder, *profile, "headline.csv", "faithtune_all")


def test_a_package_that_snakemake_lacks_is_named_in_one_line(folder, tmp_path):
    (folder / "faithtune").symlink_to(ROOT)
    (tmp_path / "lacking").mkdir()
    (tmp_path / "lacking/polars.py").write_text("raise ModuleNotFoundError(\"No module named 'polars'\")")
    done = snakemake(folder, "-n", PYTHONPATH=str(tmp_path / "lacking"))
    assert done.returncode != 0
    assert "faithtune: No module named 'polars': install the packages of envs/analysis.yaml" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_prefix_keeps_a_study_apart(folder):
    (folder / "faithtune").symlink_to(ROOT)
    text = snakefile().replace("    config:\n", '    prefix:\n        "study"\n    config:\n')
    (folder / "Snakefile").write_text(text.replace("results/", "study/results/"))
    run(folder, "study/results/interventions/oracle/base/arithmetic.parquet")
    assert (folder / "study/logs/chains/oracle/base/arithmetic.log").is_file()
    damaged = folder / "study/results/questions/arithmetic.eval.parquet"
    damaged.write_bytes(b"")
    assert f"faithtune: {damaged.relative_to(folder)}: damaged (it is empty)" in run(folder, "-n")


def test_a_module_on_github(folder, tmp_path_factory):
    """git redirects the address to the local repository, and Snakemake clones it as usual."""
    origin = tmp_path_factory.mktemp("github")
    repository = origin / "owner/faithtune"
    for name in ("workflow", "resources", "envs"):
        shutil.copytree(ROOT / name, repository / name, ignore=shutil.ignore_patterns("__pycache__"))
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org", "-c", "init.defaultBranch=main")
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"], ["tag", "v1.0.0"]):
        subprocess.run(["git", *who, *arguments], cwd=repository, check=True)
    reference = 'github("owner/faithtune", path="workflow/Snakefile", tag="v1.0.0")'
    (folder / "Snakefile").write_text(snakefile().replace(PATH, reference))
    instead = {
        "XDG_CACHE_HOME": str(origin / "cache"),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{origin}/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/",
    }
    run(folder, "results/interventions/oracle/base/arithmetic.parquet", **instead)
    assert (folder / "results/chains/oracle/base/arithmetic.parquet").is_file()
    assert "Nothing to be done" in run(folder, "results/interventions/oracle/base/arithmetic.parquet", **instead)
