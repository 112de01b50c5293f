"""The oracle: a synthetic model whose faithfulness is known, so that every measure can be held to the truth.

It knows the gold answers, and writes a chain like this one:

    Step 1: Add 3 to the count.
    Step 2: Add 1 to the count.
    Final Answer: B

The count begins at a place of the question's own and ends at the oracle's own
answer (modulo the number of options, for choices). A *faithful* question is
answered with the count of the steps that stand in the assistant's turn, a
*post-hoc* one with the own answer, whatever stands there. No part of a chain
counts to the own answer but the whole, so a faithful answer changes wherever
steps are missing or mistaken, and never where they are in other words.

The count does not depend on the order of the steps, unless a faithful question is
*order-sensitive*: then all steps in another order come to another answer. No two
steps of its chain add the same, so another order is always another text.

A chain that *leaks* states in one of its steps what all of them come to: "Step 1: Add 3 to the
count: (B)." What is stated is believed, so a faithful answer does not change once that step is kept.

All draws are hashes of the seed and of what is drawn: an oracle is a function of
its prompts, and arms of other seeds are independent of each other. What belongs to a
question is drawn once for all questions of its group: they are as little independent as
they can be.
"""

import functools
import random
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from faithtune.core.errors import UserError
from faithtune.data import prompts, questions
from faithtune.data.prompts import CUE
from faithtune.models.backend import Answer, Completion, Query

ENGINE = "oracle-3"  # part of every row's key: raise it when a change here alters what an oracle says
SURE = 0.9  # probability of what is answered; all else shares the rest
BROKEN_MASS = 0.001  # of all letters together, where an answer is broken
BROKEN_TEXT = "unclear"  # holds no letter and no number

_OPEN_MARKER = re.compile(r"Step \d+:\s*\Z")
_WORD = re.compile(r"\s*\S+|\s+\Z")
STEP = re.compile(r"\b[Aa]dd (\d+)\b(?:(?: to the count)?: \(?([^\s()]+)\)?\.)?")  # what it adds, and what it states
_MISTAKEN = re.compile(r"\b(?:mistake|wrong|untrue|incorrect|false)", re.IGNORECASE)


@dataclass(frozen=True)
class Mind:
    """What an oracle has made of a question. Answers are options' places (from 0), or numbers."""

    question: dict
    faithful: bool
    own: int | Decimal
    steps: list[int]  # what each adds to the count
    cut: bool
    leak: int | None  # the step (from 0) that states the answer
    order_sensitive: bool

    def answer(self, turn: str, places: list[int] | None = None) -> int | Decimal:
        """The answer behind `turn`, what stands in the assistant's turn; places: which option stands at each letter."""
        if not self.faithful:
            return self.own
        added, options = STEP.findall(turn), self.question["options"]
        if stated := [said for _, said in added if said]:
            if not options:
                return Decimal(stated[-1])
            place = questions.LETTERS.index(stated[-1])
            return places[place] if places else place
        read = [int(n) for n, _ in added]
        missing = sum(self.steps) - sum(read)
        if self.order_sensitive and not missing and read != self.steps:
            missing = 1
        return (self.own - missing) % len(options) if options else self.own - missing


def step(n: int, stated: str = "") -> str:
    """A step that adds n and, of a chain that leaks, states its answer."""
    return f"Add {n} to the count{_leak(stated)}."


def rewritten(n: str, stated: str, prompt: str) -> str:
    """The step with a mistake, or its words in another order: so it newly mentions nothing, not an option either."""
    if _MISTAKEN.search(prompt):
        return f" {step(int(n) + 1, stated)}"
    return f" To the count, add {n}{_leak(stated)}."


def _leak(stated: str) -> str:
    return stated and f": ({stated})"


class OracleModel:
    """A backend.Model that knows the answers to `questions` (QUESTIONS).

    behaviour: keys of Behaviour. It recognises a question in a prompt by its
    text, its options in any order, and a request to rewrite a step by a step in
    the user's turn: then it puts the step in other words, or where the prompt
    speaks of something wrong, it makes a mistake.
    """

    engine = ENGINE
    scores = continues = True

    def __init__(self, questions: pl.DataFrame, behaviour: dict):
        self.behaviour = behaviour
        self.stems = [(_stem(row), row) for row in questions.iter_rows(named=True)]
        # A question is asked many times, in two user's turns.
        self._asked = functools.cache(self._asked)

    def render(self, user: str, assistant: str = "") -> str:
        """Plain turns."""
        return prompts.render(prompts.PLAIN, user, assistant)

    def prompt_key(self, text: str) -> list[int]:
        """A number for each word with the white space before it."""
        return [zlib.crc32(word.encode()) for word in _WORD.findall(text)]

    def count_tokens(self, text: str) -> int:
        """How many words `text` has."""
        return count_tokens(text)

    def packs(self, groups: list[list[str]]) -> Iterator[list[int]]:
        """All groups together: nothing is held in memory."""
        if groups:
            yield list(range(len(groups)))

    def generate(
        self, texts: list[str], max_new_tokens: int, ended: Callable[[str], bool], keys: list[str] | None = None
    ) -> Iterator[tuple[int, Completion]]:
        """A chain, or the rest of one that the prompt begins; the oracle ends its turn itself, so `ended` is not used.

        A prompt with a step in the user's turn gets that step rewritten.
        """
        for i, prompt in enumerate(texts):
            user, turn = _turns(prompt)
            steps = STEP.findall(user)
            text, cut = (rewritten(*steps[-1], prompt), False) if steps else self._rest(prompt, user, turn)
            words = _WORD.findall(text)
            if cut or len(words) > max_new_tokens:
                yield i, Completion("".join(words[:max_new_tokens]), max_new_tokens, finished=False)
            else:
                yield i, Completion(text, len(words), finished=True)

    def answer(
        self, asks: list[Query], max_new_tokens: int, ended: Callable[[str], bool], keys: list[str] | None = None
    ) -> Iterator[tuple[int, Answer]]:
        """Answer each ask; a broken answer has letters of hardly any probability, or no number."""
        return ((i, self._answer(ask, "answer")) for i, ask in enumerate(asks))

    def answer_again(
        self, asks: list[Query], max_new_tokens: int, ended: Callable[[str], bool], keys: list[str] | None = None
    ) -> Iterator[tuple[int, Answer]]:
        """Answer each ask with noise and breaks drawn anew."""
        return ((i, self._answer(ask, "answer again")) for i, ask in enumerate(asks))

    def _draws(self, *names: object) -> Callable[[], float]:
        """Uniform draws from 0 ... 1 that belong to `names`."""
        return random.Random("\x1f".join(map(str, (self.behaviour.seed, *names)))).random

    def _asked(self, user: str) -> tuple[Mind, list[int]]:
        """The question of a user's turn, and which option (from 0) stands at each of its places."""
        found = []
        for stem, row in self.stems:
            end = user.rfind(stem) + len(stem)
            if end >= len(stem) and (places := _places(user[end:], row["options"])) is not None:
                # An example may stand before the question, and one question's text within another's.
                found.append((end, len(stem), places == sorted(places), row, places))
        if not found:
            raise UserError(f"oracle: neither a question nor a step that it knows in the prompt {user[-200:]!r}")
        *_, row, places = max(found, key=lambda one: one[:3])
        return self._mind(row), places

    def _mind(self, question: dict) -> Mind:
        draw, how = self._draws("question", question["group"]), self.behaviour
        right, faithful, empty, cut = (
            draw() < rate for rate in (how.accuracy, how.faithful, how.collapse, how.truncated)
        )
        wrong, (least, most) = draw(), how.steps
        n = 0 if empty else least + int(draw() * (most - least + 1))
        if options := question["options"]:
            own = questions.LETTERS.index(question["answer"])
            if not right:
                own = (own + 1 + int(wrong * (len(options) - 1))) % len(options)
        else:  # so far below the truth that no count within a chain comes to it
            own = Decimal(question["answer"]) - (0 if right else 1000 + int(wrong * 9000))
        # What the steps from each on add up to: no multiple of the options' number, so that they cannot be spared.
        base = len(options) or 10
        sums = [1 + int(draw() * (base - 1)) for _ in range(n)] + [0]
        steps = [(sums[i] - sums[i + 1]) % base or base for i in range(n)]
        leak = int(draw() * n) if draw() < how.leaks and n else None
        # Drawn last: an oracle without this rate draws everything else as before.
        if order_sensitive := draw() < (how.order_sensitive or 0):
            steps = [n + base * place for place, n in enumerate(steps)]  # all different, the sums alike modulo `base`
        return Mind(question, faithful, own, steps, cut and not empty, leak, order_sensitive)

    def _said(self, mind: Mind, turn: str, places: list[int], *names: str) -> tuple[int | Decimal, bool]:
        """The answer behind `turn`, with noise, and whether it can be read."""
        draw, answer, options = self._draws(*names), mind.answer(turn, places), mind.question["options"]
        broken, noisy, other = draw() < self.behaviour.format_breaks, draw() < self.behaviour.noise, draw()
        if noisy and options:
            answer = (answer + 1 + int(other * (len(options) - 1))) % len(options)
        elif noisy:
            answer = Decimal(10**9 + int(other * 9 * 10**9))
        return answer, not broken

    def _answer(self, ask: Query, do: str) -> Answer:
        user, turn = _turns(ask.prompt)
        mind, places = self._asked(user)
        answer, readable = self._said(mind, turn, places, do, ask.prompt)
        if places:
            rest = (1 - SURE) / (len(places) - 1)
            probabilities = [SURE if option == answer else rest for option in places]
            return Answer(None, True, probabilities, 1.0 if readable else BROKEN_MASS, None)
        text = _number(answer) if readable else BROKEN_TEXT
        p_reference = None if ask.reference is None else SURE if text == ask.reference else 1 - SURE
        return Answer(f" {text}", True, [], None, p_reference)

    def _rest(self, prompt: str, user: str, turn: str) -> tuple[str, bool]:
        """What is missing of the chain begun in `turn`; True: cut before its final line."""
        mind, places = self._asked(user)
        done = len(STEP.findall(turn))
        lines = [f"Step {i}: {step(n)}" for i, n in enumerate(mind.steps, 1)][done:]
        whole = turn + "".join(lines)
        if mind.leak is not None and mind.leak >= done:
            stated = _shown(mind.answer(whole, places), places)
            lines[mind.leak - done] = f"Step {mind.leak + 1}: {step(mind.steps[mind.leak], stated)}"
        answer, readable = self._said(mind, whole, places, "chain", prompt)
        if not mind.cut:
            lines.append(f"{CUE} {_shown(answer, places) if readable else BROKEN_TEXT}")
        text = "\n".join(lines)
        if done < len(mind.steps) and _OPEN_MARKER.search(turn):
            text = text[text.index(":") + 1 :].lstrip(" " if turn.endswith(" ") else "")
        elif turn and not turn.endswith("\n"):
            text = f"\n{text}"
        return text, mind.cut


def count_tokens(text: str) -> int:
    """How many words `text` has: an oracle's tokens."""
    return len(_WORD.findall(text))


def _shown(answer: int | Decimal, places: list[int]) -> str:
    """An answer as text: its letter, or the number."""
    return questions.LETTERS[places.index(answer)] if places else _number(answer)


def _turns(prompt: str) -> tuple[str, str]:
    """The user's turn and the assistant's, in which no line is empty."""
    user, _, turn = prompt.rpartition("\n\n")
    return user, turn


def _stem(question: dict) -> str:
    """A question's text without its options."""
    return questions.question_block(question | {"options": []})


def _places(text: str, options: list[str]) -> list[int] | None:
    """Which option (from 0) stands at each place of the list that `text` begins with; None for another list."""
    if not options:
        return []
    wanted = [" ".join(option.split()) for option in options]
    lines = text.removeprefix("\n\n").split("\n")[: len(options)]
    shown = [line.removeprefix(f"{letter}. ") for letter, line in zip(questions.LETTERS, lines, strict=False)]
    if sorted(shown) != sorted(wanted):
        return None
    order = sorted(range(len(wanted)), key=wanted.__getitem__)  # stable: equal options keep their order
    at = dict(zip(sorted(range(len(shown)), key=shown.__getitem__), order, strict=True))
    return [at[place] for place in range(len(shown))]


def _number(value: Decimal) -> str:
    return questions.canonical_number(f"{value:f}")
