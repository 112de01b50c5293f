"""The interface of a language model, whatever computes it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from faithtune.data.forms import Form


@dataclass(frozen=True)
class Completion:
    """Text that a model wrote after a prompt."""

    text: str
    n_tokens: int
    finished: bool  # False: cut at the token limit


@dataclass(frozen=True)
class KnockOut:
    """Tokens that the end of a prompt, and what is written after it, cannot see (Geva et al. 2023, arXiv 2304.14767).

    Tokens are their places in the prompt, from 0; all others see and are seen as usual.
    """

    start: int  # the first token that cannot see them
    hidden: tuple[int, ...]  # tokens before it
    layers: tuple[int, int] | None = None  # from the first layer on to before the second, from 0; None: all layers


@dataclass(frozen=True)
class Query:
    """A prompt that ends with the answer cue."""

    prompt: str
    n_options: int = 0  # of a choice: read probabilities over this many letters; 0: decode a number or an expression
    reference: str | None = None  # the number whose probability is wanted, in canonical form
    draft: str | None = None  # the text that the model will probably write: changes speed only
    owner: str | None = None  # a question's id, if equal prompts of other questions must not share its row
    knock_out: KnockOut | None = None  # of a model whose weights are here (`local.LocalModel`)


@dataclass(frozen=True)
class Answer:
    """A model's answer: option probabilities, or text where there are none."""

    text: str | None  # after the cue; None if a letter was read off probabilities
    finished: bool  # False: the text was cut at the token limit
    probabilities: list[float]  # over the letters, sums to 1; empty if there are none
    option_mass: float | None  # probability of all letters together; None if there are no probabilities
    p_reference: float | None  # probability of the number `reference`, not followed by a further digit


class Model(Protocol):
    """An arm's model.

    Prompts are rendered text (`render`). Prompts of one call are computed together; each result is yielded with the
    prompt's index as soon as it is finished. keys: the row key of each prompt, which a host gets with its request.
    """

    engine: str  # part of every row's key: version of the code that decides what a row holds
    scores: bool  # whether it can compute `Answer.p_reference`; if not, no query has a reference
    continues: bool  # whether it continues the assistant's turn; if not, a chain is repeated in a closed turn
    form: Form  # of its turns

    def render(self, user: str, assistant: str = "") -> str:
        """The conversation as a prompt, with the assistant's turn left open."""

    def prompt_key(self, text: str) -> list[int] | str:
        """The prompt's part of a row key: its token ids, or its text if a host tokenizes it."""

    def count_tokens(self, text: str) -> int:
        """The number of tokens of `text` by the model's own tokenizer."""

    def memory_groups(self, groups: list[list[str]]) -> Iterator[list[int]]:
        """Divide groups of prompts, in order, into lists of indices: each list is best computed together."""

    def generate(
        self, texts: list[str], max_new_tokens: int, ended: Callable[[str], bool], keys: list[str]
    ) -> Iterator[tuple[int, Completion]]:
        """Continue each text until the model ends its turn or `ended(new text)` holds.

        A model with weights here (`local.LocalModel`) also takes `draws`, by which tokens are drawn at a temperature.
        """

    def answer(
        self, queries: list[Query], max_new_tokens: int, ended: Callable[[str], bool], keys: list[str]
    ) -> Iterator[tuple[int, Answer]]:
        """Answer each query."""

    def answer_again(
        self, queries: list[Query], max_new_tokens: int, ended: Callable[[str], bool], keys: list[str]
    ) -> Iterator[tuple[int, Answer]]:
        """Answer each query by another computation, for the noise floor (`p_reference` may be None)."""
