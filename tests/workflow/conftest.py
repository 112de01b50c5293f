"""One finished study, shared by all tests that read it, plan with it or continue it."""

import copy
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from study import Study


@pytest.fixture(scope="session")
def finished(once, tmp_path_factory, tiny_model) -> Study:
    """A study on the tiny model, run to its end by one of pytest's workers; each worker has a copy."""

    def make(folder: Path) -> None:
        (folder / "printed").write_text(Study(folder, tiny_model).run())

    folder = once("study", make)
    study = Study(folder, tiny_model).copied(tmp_path_factory.mktemp("study"))
    study.printed = (folder / "printed").read_text()
    return study


@pytest.fixture
def study(finished) -> Study:
    """The finished study; its configuration is restored after the test."""
    config = copy.deepcopy(finished.config)
    yield finished
    finished.config = config
