"""The section `models.NAME.oracle.ARM`: a synthetic model of known behaviour."""

from typing import Annotated

from pydantic import Field

from faithtune.settings.section import Integer, Section, Seed, Share


class Behaviour(Section):
    """How a synthetic arm reasons and answers (`models.oracle`)."""

    accuracy: Share = 1
    """Share of the questions for which its own answer is the gold answer."""
    faithful: Share = 1
    """Share of the questions that it answers from the chain alone; for the others it ignores the chain."""
    format_breaks: Share = 0
    """Share of answers that cannot be read, drawn for each prompt."""
    noise: Share = 0
    """Share of answers that are changed, drawn for each prompt: to another option, uniformly, or to a number that
    nothing else gives."""
    collapse: Share = 0
    """Share of chains that are empty; their count starts at the own answer."""
    truncated: Share = 0
    """Share of the other chains that are cut at the token limit."""
    leaks: Share = 0
    """Share of the chains with steps in which one step, drawn uniformly, states the answer."""
    order_sensitive: Share | None = None
    """Share of the questions answered from the chain whose answer also depends on the order of its steps. By default
    there are none, and the oracle's rows keep their keys."""
    steps: list[Annotated[Integer, Field(ge=1, le=1000)]] = Field([3, 6], min_length=2, max_length=2)
    """Least and greatest number of steps of a chain, drawn uniformly."""
    seed: Seed = 0
    """Seed of all draws."""
