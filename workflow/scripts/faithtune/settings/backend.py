"""What makes an arm's answers besides the files of its weights: an oracle's behaviour, or a model at a host."""

from typing import Annotated, Any, Literal

from pydantic import Field

from faithtune.settings.section import Integer, Section, Seed, Share


class Behaviour(Section):
    """The section `models.NAME.oracle.ARM`: how a synthetic arm reasons and answers (`models.oracle`)."""

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
    slips: Share | None = None
    """Share of the chains with steps whose first step is off, so that whoever follows them arrives elsewhere. By
    default there are none, and the oracle's rows keep their keys."""
    steps: list[Annotated[Integer, Field(ge=1, le=1000)]] = Field([3, 6], min_length=2, max_length=2)
    """Least and greatest number of steps of a chain, drawn uniformly."""
    seed: Seed = 0
    """Seed of all its draws."""


class HostedModel(Section):
    """What decides the rows of a model at a host; its section's other keys (`HostSettings`) say how it is asked."""

    name: str
    """Its name in the configuration."""
    model: str | None
    """The host's name of it; None: an arm's card says it."""
    base_url: str | None
    """The host's address."""
    base_url_env: str | None = None
    """The variable that holds the address, where that says which host it is."""
    endpoint: Literal["chat", "completions"]
    abilities: list[str]
    tokenizer: str | None
    top_logprobs: int | None
    extra: dict[str, Any]


class Backend(Section):
    """Who answers for an arm: an oracle, a host (`api`), weights here (`quantisation`), or weights served (both)."""

    oracle: Behaviour | None = None
    api: HostedModel | None = None
    quantisation: Literal["nf4", "none"] | None = None
    chat: dict[str, str] = {}
    """Templates of a chat's turns."""
