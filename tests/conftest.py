"""What the tests share: the repository's paths, the prompts, and a tiny model built once."""

import fcntl
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# The models of the tests are tiny, and other tests run beside: more threads would wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).parent.parent
# The files that take longest, begun first: run side by side, the tests then end together.
LONG = ("slurm", "crashes", "oracles", "shards", "real_host", "real_model", "hosted", "module", "coverage")
sys.path.insert(0, str(ROOT / "tests"))


def pytest_configure(config):
    """Hypothesis: no time is asserted, as a machine may be busy; new examples nightly, few without the slow tests."""
    marks = config.option.markexpr
    settings.register_profile(
        "faithtune", deadline=None, derandomize=marks != "nightly", max_examples=10 if marks == "not slow" else 100
    )
    settings.load_profile("faithtune")
    gc.disable()  # until all tests are collected


def pytest_collection_finish():
    """Leave what is imported out of later searches for garbage: each would take half a second of a test."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items):
    """A test that needs a model or Snakemake is slow, and so is a nightly test; what takes long comes first."""
    for item in items:
        models = {"tiny_model", "thinking_model"} & set(item.fixturenames)
        needs_long = models or item.path.parent.name == "workflow"
        if needs_long or item.get_closest_marker("nightly"):
            item.add_marker(pytest.mark.slow)
    order = {f"test_{name}": place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(item.path.stem, len(LONG) + (item.path.parent.name != "workflow")))


@pytest.fixture(scope="session")
def templates() -> dict[str, str]:
    """The prompt templates of the embedded study."""
    from faithtune.data import prompts

    return prompts.read_templates((ROOT / "resources/prompts/one_shot").glob("*.txt"))


@pytest.fixture(scope="session")
def once(tmp_path_factory) -> Callable[[str, Callable[[Path], object]], Path]:
    """once(name, make): the folder of that name, which `make` fills; pytest's workers (-n) share it.

    The first worker that asks for it makes it, another waits until it is whole.
    """
    top = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        top = top.parent

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder, done = top / name, top / f"{name}.made"
        with open(top / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed
            if not done.exists():
                folder.mkdir(exist_ok=True)  # the first worker may have failed
                make(folder)
                done.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def tiny_model(once, templates) -> Path:
    """Folder of a tiny Llama (tests/tiny.py)."""
    import tiny

    return once("tiny", lambda folder: tiny.build(folder, templates))


@pytest.fixture(scope="session", params=["qwen3", "deepseek"])
def thinking_model(request, once, templates) -> Path:
    """Folder of a tiny Llama that thinks in a block, with the chat template of each family (tests/tiny.py)."""
    import tiny

    family = tiny.THINKING[request.param]
    return once(request.param, lambda folder: tiny.build(folder, templates, steps=240, family=family))
