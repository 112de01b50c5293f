"""What the conda files, pyproject.toml and constraints.txt say of one package is one thing."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def name_of(requirement: str) -> str:
    return re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {name_of(line): line.split("==")[1] for line in lines if "==" in line}


def declared() -> set[str]:
    return {name_of(line) for line in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]}


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda path: path.stem)
def test_conda_files_pin_what_is_tested(path):
    pins = next(part["pip"] for part in yaml.safe_load(path.read_text())["dependencies"] if isinstance(part, dict))
    for pin in pins:
        assert name_of(pin) in declared()
        assert constraints()[name_of(pin)] == pin.split("==")[1]


def test_every_dependency_is_pinned():
    assert declared() <= constraints().keys()
