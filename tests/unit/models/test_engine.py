"""The row store trusts rows of the same engine: a change of what rows hold needs a new engine number."""

import hashlib

from faithtune.core import paths
from faithtune.jobs import code_hash
from faithtune.models import local

LIBRARY = paths.WORKFLOW / "scripts/faithtune"
# The code that decides what a prompt's row holds; below, the engine's number with the digest of this code.
MODULES = ("attention", "backend", "decoding/text", "loading", "local", "packed_linear", "padded", "tree", "tree_cache")
FILES = [*(f"models/{name}" for name in MODULES), "data/forms", "data/prompts"]
FILES += ["extraction/cues", "extraction/steps", "extraction/thinking"]
KNOWN = ("4", "808a72d441a61e62")


def test_a_changed_engine_has_another_number():
    """If this fails: raise local.ENGINE if rows can now differ, then enter the new pair."""
    digests = [code_hash._parse(LIBRARY / f"{name}.py", 0)[0] for name in FILES]
    assert (local.ENGINE, hashlib.sha256("".join(digests).encode()).hexdigest()[:16]) == KNOWN
