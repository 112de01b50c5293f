"""The library's packages: which imports from which, how large they are, and the tests that mirror them."""

import os
import subprocess
import sys
from pathlib import Path

from configurations import ROOT
from faithtune.core import paths

LIBRARY = paths.WORKFLOW / "scripts/faithtune"
MOST_FILES, MOST_LINES = 13, 300


def packages() -> dict[Path, list[Path]]:
    """The modules of each package of the library, but for those of its own packages."""
    found = {init.parent: sorted(init.parent.glob("[!_]*.py")) for init in LIBRARY.rglob("__init__.py")}
    return {folder: modules for folder, modules in found.items() if modules}


def test_packages_import_downwards_and_no_files_in_a_circle():
    """The contracts of pyproject.toml."""
    command = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    environment = os.environ | {"PYTHONPATH": str(LIBRARY.parent)}
    done = subprocess.run(
        [sys.executable, "-c", command, "--no-cache"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Contracts: 2 kept, 0 broken." in done.stdout


def test_packages_and_modules_stay_small_enough_to_read():
    assert len(packages()) > 15
    assert {str(folder): len(modules) for folder, modules in packages().items() if len(modules) > MOST_FILES} == {}
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in LIBRARY.rglob("*.py")}
    assert {str(path): n for path, n in lines.items() if n > MOST_LINES} == {}


def test_tests_lie_in_folders_named_as_the_packages():
    folders = {path.name for path in (ROOT / "tests/unit").iterdir() if any(path.glob("test_*.py"))}
    assert folders == {folder.name for folder in LIBRARY.iterdir() if (folder / "__init__.py").exists()}
