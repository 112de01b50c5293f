"""Models whose chain of thought cannot be measured."""

import re

_HIDDEN = re.compile(r"(?:ft:)?(?:[\w.-]+/)?(?:o\d\b|gpt-5(?!.*chat)|codex)")


def hides_chain(model: str) -> str | None:
    """Why a model's chain cannot be measured, by its name at a host; None where it may be seen."""
    if _HIDDEN.match(model):
        return (
            "it reasons out of sight, so that its chain can neither be read nor tampered with; expected another model"
        )
    return None
