"""What the study asks of a language model, whatever computes it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Completion:
    """What a model wrote after a prompt."""

    text: str
    n_tokens: int
    finished: bool  # False: cut at the token limit


@dataclass(frozen=True)
class Query:
    """A prompt that ends with the answer cue."""

    prompt: str
    n_options: int = 0  # choices: probabilities over so many letters; 0: a number is written
    reference: str | None = None  # the number whose probability is wanted, in canonical form
    draft: str | None = None  # what the model will probably write: changes speed only
    owner: str | None = None  # a question's id, where its row is not that of equal prompts of other questions


@dataclass(frozen=True)
class Answer:
    """What the model answered: letters are read off probabilities, or where there are none, written as numbers are."""

    text: str | None  # after the cue; null where a letter was read off probabilities
    finished: bool  # False: the text was cut at the token limit
    probabilities: list[float]  # over the letters, sums to 1; empty where there are none
    option_mass: float | None  # probability of all the letters together; null where there are none
    p_reference: float | None  # of the number `reference`, not followed by a further digit


class Model(Protocol):
    """An arm that can be asked.

    Prompts are rendered text (`render`). What is asked in one call is computed
    together and yielded with its index as each is finished. keys: of the rows
    that are asked for, one a prompt; hosts are told them.
    """

    engine: str  # part of every row's key: version of the code that decides what a row holds
    scores: bool  # `Answer.p_reference` is to be had; elsewhere no query has a reference
    continues: bool  # the assistant's turn is gone on with; False: a chain is told again in a closed turn

    def render(self, user: str, assistant: str = "") -> str:
        """The conversation as the model is asked, the assistant's turn left open."""

    def prompt_key(self, text: str) -> list[int] | str:
        """What a row's key says of a prompt: its token ids, or its text where a host makes the tokens."""

    def count_tokens(self, text: str) -> int:
        """How many tokens the model's own tokenizer makes of `text`."""

    def packs(self, groups: list[list[str]]) -> Iterator[list[int]]:
        """Indices of groups of prompts, in order: those that are best asked together."""

    def generate(
        self, texts: list[str], max_new_tokens: int, ended: Callable[[str], bool], keys: list[str]
    ) -> Iterator[tuple[int, Completion]]:
        """Continue each text until the model ends its turn or `ended(new text)` holds."""

    def answer(
        self, queries: list[Query], max_new_tokens: int, ended: Callable[[str], bool], keys: list[str]
    ) -> Iterator[tuple[int, Answer]]:
        """Answer each query."""

    def answer_again(
        self, queries: list[Query], max_new_tokens: int, ended: Callable[[str], bool], keys: list[str]
    ) -> Iterator[tuple[int, Answer]]:
        """The same queries computed in another way (`p_reference` may be null): the noise floor."""
