"""The parts of a prompt, as places of its tokens: the question, the rest of the user's turn, the chain's steps."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from faithtune.core.errors import UserError
from faithtune.data import prompts, questions
from faithtune.data.forms import ThinkingForm
from faithtune.models.local import LocalModel


@dataclass(frozen=True)
class Parts:
    """A prompt that ends with the answer cue. Places are indices of tokens, in order; no token is in two parts, and the
    first, on which models rest much of their attention, is in none."""

    prompt: str
    question: list[int]
    user: list[int]  # the user's turn without the question
    steps: list[list[int]]  # of the chain, each with its marker
    before: int  # the last token before the assistant's turn
    start: int  # the first token after the chain; all from here on lead to the answer
    spans: dict[str, tuple[int, int]]  # question, chain: the part's characters

    @property
    def chain(self) -> list[int]:
        """All tokens of the steps."""
        return [place for step in self.steps for place in step]

    @property
    def template(self) -> list[int]:
        """What marks the turns, and the system prompt; without the first token."""
        known = {*self.question, *self.user, *self.chain}
        return [place for place in range(1, self.start) if place not in known]

    def without(self, part: str) -> str:
        """The prompt with the question's, or the chain's, text deleted."""
        start, end = self.spans[part]
        return self.prompt[:start] + self.prompt[end:]


def divide(model: LocalModel, templates: dict[str, str], question: dict, steps: Sequence[str]) -> Parts:
    """The prompt after a chain of these steps, divided; question: a row of QUESTIONS.

    UserError where the chat template changes the user's turn, so that the question is not to be found.
    """
    user = prompts.user_turn(templates, "cot", question).strip()
    block = questions.question_block(question, templates.get("marker", questions.MARKER)).strip()
    turn = model.form.answer(model.form.join(steps))
    prompt = model.render(user, turn)
    first = len(prompt) - len(turn)  # of the assistant's turn
    begin = prompt.rfind(user, 0, first)
    if begin < 0:
        raise UserError("model: its chat template changes the text of the user's turn; probes cannot find the question")
    asked = begin + user.rfind(block)
    ends = [len(model.form.join(steps[:k])) for k in range(len(steps) + 1)]
    chain = first + (len(model.form.opening) if isinstance(model.form, ThinkingForm) else 0)
    tokens = _Tokens(model, prompt)
    of_question = tokens.within(asked, asked + len(block))
    parts = [tokens.within(chain + start, chain + end) for start, end in itertools.pairwise(ends)]
    return Parts(
        prompt=prompt,
        question=of_question,
        user=[place for place in tokens.within(begin, begin + len(user)) if place not in set(of_question)],
        steps=parts,
        before=tokens.first_from(first) - 1,
        start=tokens.first_from(chain + ends[-1] if steps else first),
        spans={"question": (asked, asked + len(block)), "chain": (chain, chain + ends[-1])},
    )


class _Tokens:
    """Where the tokens of a text end, in characters."""

    def __init__(self, model: LocalModel, text: str):
        if not model.tokenizer.is_fast:
            raise UserError("model: its tokenizer does not say where tokens stand in a text, which probes need")
        offsets = model.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True).offset_mapping
        self.ends = [end for _, end in offsets]

    def within(self, start: int, end: int) -> list[int]:
        """The tokens but the first whose last character is in text[start:end]: each is in one of adjacent spans."""
        return [place for place, last in enumerate(self.ends) if place and start < last <= end]

    def first_from(self, start: int) -> int:
        """The first token that ends after `start`."""
        return next(place for place, last in enumerate(self.ends) if last > start)
