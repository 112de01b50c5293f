"""One finished study, shared by the tests that only read or plan."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from study import Study


@pytest.fixture(scope="session")
def finished(tmp_path_factory, tiny_model) -> Study:
    """A study on the tiny model, run to its end."""
    study = Study(tmp_path_factory.mktemp("study"), tiny_model)
    study.printed = study.run()
    return study


@pytest.fixture
def study(finished) -> Study:
    """The finished study with its configuration, put back as it was after the test."""
    import copy

    config = copy.deepcopy(finished.config)
    yield finished
    finished.config = config
