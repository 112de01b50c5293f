"""What the conda files, pyproject.toml and constraints.txt say of one package is one thing, and what jobs import."""

import ast
import functools
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from faithtune.jobs import code_hash

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "workflow/scripts"
# What functions import that no job of the environment calls: its scripts share modules with those that do.
NEVER_CALLED = {
    "analysis": {"datasets", "gguf", "huggingface-hub", "math-verify", "safetensors", "sympy", "torch", "transformers"},
    "model": set(),
}
# What comes with Snakemake.
SNAKEMAKES = {"pyyaml"}
DISTRIBUTIONS = importlib.metadata.packages_distributions()


# They are imported by name.
READERS = [*(SCRIPTS / "faithtune/data/readers").glob("*.py")]


def name_of(requirement: str) -> str:
    return re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {name_of(line): line.split("==")[1] for line in lines if "==" in line}


def declared() -> set[str]:
    return {name_of(line) for line in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]}


def pins(environment: str) -> dict[str, str]:
    """The version of each package that a conda file has pip install."""
    parts = yaml.safe_load((ROOT / f"envs/{environment}.yaml").read_text())["dependencies"]
    lines = next(part["pip"] for part in parts if isinstance(part, dict))
    return {name_of(line): line.split("==")[1] for line in lines}


def scripts() -> dict[str, list[str]]:
    """The scripts of the rules that name each conda file."""
    found = {path.stem: [] for path in sorted((ROOT / "envs").glob("*.yaml"))}
    for path in sorted((ROOT / "workflow/rules").glob("*.smk")):
        rules = re.findall(r'envs/(\w+)\.yaml"|scripts/(\w+)\.py"', path.read_text())
        for (environment, _), (_, script) in zip(rules[::2], rules[1::2], strict=True):
            found[environment].append(script)
    return found


ENVIRONMENTS = scripts()


def statements(tree: ast.AST, later: bool) -> Iterator[ast.AST]:
    """What a file does when it is imported; `later`: and what its functions do when they are called."""
    for node in ast.iter_child_nodes(tree):
        yield node
        if later or not isinstance(node, ast.FunctionDef | ast.Lambda):
            yield from statements(node, later)


@functools.cache
def names_in(path: Path, later: bool) -> set[str]:
    """The dotted names that a file imports."""
    found = set()
    for node in statements(ast.parse(path.read_text()), later):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def packages(script: str, later: bool) -> set[str]:
    """The packages of others that a script imports, through whatever modules of the library."""
    return packages_of([SCRIPTS / f"{script}.py", *(READERS if script == "questions" else [])], later)


def packages_of(files: list[Path], later: bool) -> set[str]:
    pending, names, seen = [*files], set(), set()
    while pending:
        path = pending.pop()
        if path not in seen:
            seen.add(path)
            names |= names_in(path, later)
            pending += [file for name in names_in(path, later) for file in code_hash._files(name, SCRIPTS)]
    foreign = {name.split(".")[0] for name in names} - sys.stdlib_module_names - {code_hash.PACKAGE}
    return {name_of(DISTRIBUTIONS[name][0]) for name in foreign}


def imported(environment: str, later: bool) -> set[str]:
    return set().union(*(packages(script, later) for script in ENVIRONMENTS[environment]))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_conda_files_pin_what_is_tested(environment):
    for name, version in pins(environment).items():
        assert name in declared()
        assert constraints()[name] == version


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_conda_files_hold_what_their_scripts_import(environment):
    """At their start; and later, but for what is known never to be called there."""
    assert imported(environment, later=False) <= pins(environment).keys()
    assert imported(environment, later=True) - pins(environment).keys() == NEVER_CALLED[environment]


def test_one_conda_file_holds_what_the_workflow_imports_where_snakemake_runs():
    """As its message says where one is missing (rules/common.smk)."""
    text = (ROOT / "workflow/rules/common.smk").read_text()
    files = [
        SCRIPTS / f"{module.replace('.', '/')}.py"
        for package, names in re.findall(r"from (faithtune[\w.]*) import (.+)", text)
        for module in (package, *(f"{package}.{name}" for name in re.findall(r"\w+", names)))
    ]
    needed = packages_of([*filter(Path.is_file, files), *READERS], later=False)
    assert "polars" in needed
    assert needed <= pins("analysis").keys() | SNAKEMAKES


def test_every_script_has_an_environment():
    assert sorted(script for named in ENVIRONMENTS.values() for script in named) == sorted(
        path.stem for path in SCRIPTS.glob("*.py")
    )


def test_what_is_imported_is_declared():
    assert set().union(*(imported(environment, later=True) for environment in ENVIRONMENTS)) <= declared()


def test_every_dependency_is_pinned():
    assert declared() <= constraints().keys()


def test_the_catalog_names_the_flags_of_the_profile():
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    profile = yaml.safe_load((ROOT / "profiles/default/config.yaml").read_text())
    triggers, size = " ".join(profile["rerun-triggers"]), profile["max-checksum-file-size"]
    assert usage["mandatory-flags"]["flags"] == f"--rerun-triggers {triggers} --max-checksum-file-size {size}"
