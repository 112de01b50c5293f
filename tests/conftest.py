"""What the tests share: the repository's paths, the prompts, and a tiny model built once."""

import sys
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))


def pytest_configure(config):
    """No test asserts a time: a machine may be busy. Fewer examples where the slow tests are left out."""
    quick = config.option.markexpr == "not slow"
    settings.register_profile("untimed", deadline=None, max_examples=10 if quick else 100)
    settings.load_profile("untimed")


def pytest_collection_modifyitems(items):
    """What needs a model is slow."""
    for item in items:
        if "tiny_model" in item.fixturenames:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def templates() -> dict[str, str]:
    """The prompt templates of the embedded study."""
    from faithtune import prompts

    return prompts.read((ROOT / "resources/prompts/one_shot").glob("*.txt"))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory, templates) -> Path:
    """Folder of a tiny Llama (tests/tiny.py)."""
    import tiny

    return tiny.build(tmp_path_factory.mktemp("tiny"), templates)
