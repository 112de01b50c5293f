"""The row store believes rows of the same engine: whoever changes what rows hold must say so."""

import hashlib

from faithtune.core import paths
from faithtune.jobs import code_hash
from faithtune.models import local

LIBRARY = paths.WORKFLOW / "scripts/faithtune"
# The code that decides what the row of a prompt holds, and the engine's number with it.
MODULES = ("attention", "backend", "loading", "local", "packed_linear", "padded", "tree", "tree_cache")
FILES = [*(f"models/{name}" for name in MODULES), "data/prompts", "extraction/cues", "extraction/steps"]
KNOWN = ("4", "a1b418ec62600339")


def test_a_changed_engine_has_another_number():
    """Where this fails: raise local.ENGINE if rows can now differ, then write down the new pair."""
    digests = [code_hash._parse(LIBRARY / f"{name}.py", 0)[0] for name in FILES]
    assert (local.ENGINE, hashlib.sha256("".join(digests).encode()).hexdigest()[:16]) == KNOWN
