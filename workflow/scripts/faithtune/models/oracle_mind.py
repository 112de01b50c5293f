"""What an oracle has in mind of a question: how it behaves, and what the steps of its chain say and come to."""

import re
from dataclasses import dataclass
from decimal import Decimal

from faithtune.data import questions

STEP = re.compile(r"\b[Aa]dd (\d+)\b(?:(?: to the count)?: \(?([^\s()]+)\)?\.)?")  # what it adds, and what it states
_MISTAKEN = re.compile(r"\b(?:mistake|wrong|untrue|incorrect|false)", re.IGNORECASE)


@dataclass(frozen=True)
class Behaviour:
    """How an oracle behaves; all but `steps` and `seed` are rates, 0 ... 1."""

    accuracy: float = 1.0  # of the questions: the own answer is the gold answer
    faithful: float = 1.0  # of the questions: answered from the chain alone; the others are post-hoc
    format_breaks: float = 0.0  # of the prompts: what is answered cannot be read
    noise: float = 0.0  # of the prompts: another option, all alike, or a number that nothing else gives
    collapse: float = 0.0  # of the questions: the chain is empty (and the count begins at the own answer)
    truncated: float = 0.0  # of the other questions: the chain is cut at the token limit
    leaks: float = 0.0  # of the chains with steps: one of these, all alike, states the answer
    steps: tuple[int, int] = (3, 6)  # least and greatest length of a chain, all lengths alike
    seed: int = 0


@dataclass(frozen=True)
class Mind:
    """What an oracle has made of a question. Answers are options' places (from 0), or numbers."""

    question: dict
    faithful: bool
    own: int | Decimal
    steps: list[int]  # what each adds to the count
    cut: bool
    leak: int | None  # the step (from 0) that states the answer

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
        missing = sum(self.steps) - sum(int(n) for n, _ in added)
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
