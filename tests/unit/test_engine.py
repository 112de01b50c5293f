"""The row store believes rows of the same engine: whoever changes what rows hold must say so."""

import hashlib
from pathlib import Path

from faithtune import fingerprint, local

LIBRARY = Path(local.__file__).parent
# The code that decides what the row of a prompt holds, and the engine's number with it.
MODULES = ("attention", "backend", "declarations", "forest", "local", "networks", "packed_linear", "plain", "prompts")
MODULES += ("steps", "tree")
KNOWN = ("4", "cc771af4942e7e35")


def test_a_changed_engine_has_another_number():
    """Where this fails: raise local.ENGINE if rows can now differ, then write down the new pair."""
    digests = [fingerprint._parse(LIBRARY / f"{name}.py", 0)[0] for name in MODULES]
    assert (local.ENGINE, hashlib.sha256("".join(digests).encode()).hexdigest()[:16]) == KNOWN
