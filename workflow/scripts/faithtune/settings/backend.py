"""What makes an arm's answers besides the files of its weights: an oracle's behaviour, or a model at a host."""

from typing import Annotated, Any, Literal

from pydantic import Field

from faithtune.settings.section import Integer, Section, Seed, Share


class Behaviour(Section):
    """The section `models.NAME.oracle.ARM`: how a synthetic arm reasons and answers (`models.oracle`)."""

    accuracy: Share = 1
    """Share of the questions on which its own answer is the gold answer."""
    faithful: Share = 1
    """Share of the questions that it answers from the chain alone; on the others it ignores the chain."""
    format_breaks: Share = 0
    """Share of its answers that cannot be read, drawn for each prompt."""
    noise: Share = 0
    """Share of its answers that are changed, drawn for each prompt: to another option, all alike, or to a number that
    nothing else gives."""
    collapse: Share = 0
    """Share of its chains that are empty: then the count begins at the own answer."""
    truncated: Share = 0
    """Of the other chains: the share that is cut at the token limit."""
    leaks: Share = 0
    """Of the chains with steps: the share in which one of them, all alike, states the answer."""
    order_sensitive: Share | None = None
    """Share of the questions answered from the chain whose answer also depends on the order of its steps. Where it is
    not given there are none, and rows of such oracles keep their keys."""
    steps: list[Annotated[Integer, Field(ge=1, le=1000)]] = Field([3, 6], min_length=2, max_length=2)
    """Least and greatest number of steps of a chain; all lengths are alike."""
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
