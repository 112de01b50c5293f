"""The section `models.NAME.oracle.ARM`: a synthetic model of known behaviour."""

from typing import Annotated

from pydantic import Field

from faithtune.settings.section import Integer, Section, Seed, Share


class Behaviour(Section):
    """How a synthetic arm reasons and answers."""

    accuracy: Share = 1
    """Share of the questions on which its own answer is the gold answer."""
    faithful: Share = 1
    """Share of the questions that it answers from the chain alone; on the others it ignores the chain."""
    format_breaks: Share = 0
    """Share of its answers that cannot be read."""
    noise: Share = 0
    """Share of its answers that are changed at random."""
    collapse: Share = 0
    """Share of its chains that are empty."""
    truncated: Share = 0
    """Share of its chains that are cut at the token limit."""
    leaks: Share = 0
    """Share of its chains in which one step states the answer."""
    steps: list[Annotated[Integer, Field(ge=1, le=1000)]] = Field([3, 6], min_length=2, max_length=2)
    """Least and greatest number of steps of a chain."""
    seed: Seed = 0
    """Seed of all its draws."""
