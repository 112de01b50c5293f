"""The oracle: a synthetic model of known faithfulness, so that every measure can be compared with the truth.

It knows the gold answers, and writes chains like this one:

    Step 1: Add 3 to the count.
    Step 2: Add 1 to the count.
    Final Answer: B

The count starts at a value drawn for the question and ends at the oracle's own answer (modulo the number of options,
for choices). A *faithful* question is answered with the count of the steps in the assistant's turn; a *post-hoc*
question with the own answer, whatever the steps are. Only the whole chain adds up to the own answer. So a faithful
answer changes whenever steps are missing or mistaken, and never when steps are reworded.

The count does not depend on the order of the steps, unless a faithful question is *order-sensitive*: then the steps in
any other order lead to another answer. All its steps add different numbers, so another order is another text.

A chain with a *slip* has a first step that is off: whoever follows it arrives elsewhere. For an expression the count
is the distance from the truth. At the truth the gold answer is written, elsewhere a multiple of a power of pi, in one
of two spellings.

A chain that *leaks* states the sum of all steps in one of them: "Step 1: Add 3 to the count: (B)." The oracle believes
a stated sum, so a faithful answer does not change once that step is kept. No chain about an expression leaks.

All draws are hashes of the seed and of the names of what is drawn. So an oracle is a function of its prompts, and arms
with different seeds are independent of each other. What belongs to a question is drawn once for its whole group:
questions of a group are as dependent as they can be.
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
from faithtune.data.forms import STEPS
from faithtune.data.prompts import CUE
from faithtune.models.backend import Answer, Completion, Query

ENGINE = "oracle-3"  # part of every row's key: raise it if a change here changes what an oracle writes
SURE = 0.9  # probability of the oracle's answer; the others share the rest
BROKEN_MASS = 0.001  # probability of all letters together, for a broken answer
BROKEN_TEXT = "unclear"  # contains no letter and no number

_OPEN_MARKER = re.compile(r"Step \d+:\s*\Z")
_WORD = re.compile(r"\s*\S+|\s+\Z")
# Groups: the number that a step adds, and the answer that it states.
STEP = re.compile(r"\b[Aa]dd (\d+)\b(?:(?: to the count)?: \(?([^\s()]+)\)?\.)?")
_MISTAKEN = re.compile(r"\b(?:mistake|wrong|untrue|incorrect|false)", re.IGNORECASE)


@dataclass(frozen=True)
class OraclePlan:
    """How an oracle treats a question.

    Answers are indices of options (from 0), or numbers; for an expression, how far it is from the truth.
    """

    question: dict
    faithful: bool
    own: int | Decimal  # the oracle's own answer
    steps: list[int]  # the number that each step adds to the count
    cut: bool  # at the token limit
    leak: int | None  # the step (from 0) that states the answer
    order_sensitive: bool
    slip: int = 0  # by so much the first step is off

    @property
    def written(self) -> list[int]:
        """The number that each step of its chain adds."""
        return [self.steps[0] + self.slip, *self.steps[1:]] if self.slip else self.steps

    def answer(self, turn: str, places: list[int] | None = None) -> int | Decimal:
        """The answer after the assistant's turn so far; places: the option (from 0) that each letter stands for."""
        if not self.faithful:
            return self.own
        added, options = STEP.findall(turn), self.question["options"]
        if stated := [answer for _, answer in added if answer]:
            if not options:
                return Decimal(stated[-1])
            place = questions.LETTERS.index(stated[-1])
            return places[place] if places else place
        numbers = [int(n) for n, _ in added]
        missing = sum(self.steps) - sum(numbers)
        if self.order_sensitive and not missing and numbers != self.steps:
            missing = 1
        return (self.own - missing) % len(options) if options else self.own - missing


def write_step(n: int, stated: str = "") -> str:
    """A step that adds n and, if it leaks, states the answer."""
    return f"Add {n} to the count{_leak(stated)}."


def rewrite_step(n: str, stated: str, prompt: str) -> str:
    """The step with a mistake if the prompt asks for one, else its words in another order, none of them new."""
    if _MISTAKEN.search(prompt):
        return f" {write_step(int(n) + 1, stated)}"
    return f" To the count, add {n}{_leak(stated)}."


def _leak(stated: str) -> str:
    return stated and f": ({stated})"


class OracleModel:
    """A backend.Model that knows the answers to `questions` (QUESTIONS).

    behaviour: keys of Behaviour. It recognises a question by its text in the prompt, with the options in any order,
    and a request to rewrite a step by a step in the user's turn. It then rewords the step, or, if the prompt speaks of
    something wrong, puts a mistake into it.
    """

    engine = ENGINE
    scores = continues = True
    form = STEPS

    def __init__(self, questions: pl.DataFrame, behaviour: dict):
        self.behaviour = behaviour
        self.stems = [(_stem(row), row) for row in questions.iter_rows(named=True)]
        # A question has many prompts, but only two user's turns.
        self._find_question = functools.cache(self._find_question)

    def render(self, user: str, assistant: str = "") -> str:
        """The turns without a chat template."""
        return prompts.render(prompts.PLAIN, user, assistant)

    def prompt_key(self, text: str) -> list[int]:
        """A number for each word with the white space before it."""
        return [zlib.crc32(word.encode()) for word in _WORD.findall(text)]

    def count_tokens(self, text: str) -> int:
        """The number of words in `text`."""
        return count_tokens(text)

    def memory_groups(self, groups: list[list[str]]) -> Iterator[list[int]]:
        """All groups together: an oracle holds nothing in memory."""
        if groups:
            yield list(range(len(groups)))

    def generate(
        self, texts: list[str], max_new_tokens: int, ended: Callable[[str], bool], keys: list[str] | None = None
    ) -> Iterator[tuple[int, Completion]]:
        """A chain, or the rest of a chain that the prompt begins; `ended` is not used, as the oracle ends its turn.

        A prompt with a step in the user's turn gets that step rewritten.
        """
        for i, prompt in enumerate(texts):
            user, turn = _split_turns(prompt)
            steps = STEP.findall(user)
            text, cut = (rewrite_step(*steps[-1], prompt), False) if steps else self._continue_chain(prompt, user, turn)
            words = _WORD.findall(text)
            if cut or len(words) > max_new_tokens:
                yield i, Completion("".join(words[:max_new_tokens]), max_new_tokens, finished=False)
            else:
                yield i, Completion(text, len(words), finished=True)

    def answer(
        self, queries: list[Query], max_new_tokens: int, ended: Callable[[str], bool], keys: list[str] | None = None
    ) -> Iterator[tuple[int, Answer]]:
        """Answer each query; a broken answer has improbable letters, or no number."""
        return ((i, self._answer(query, "answer")) for i, query in enumerate(queries))

    def answer_again(
        self, queries: list[Query], max_new_tokens: int, ended: Callable[[str], bool], keys: list[str] | None = None
    ) -> Iterator[tuple[int, Answer]]:
        """Answer each query with other draws of noise and format breaks."""
        return ((i, self._answer(query, "answer again")) for i, query in enumerate(queries))

    def _draws(self, *names: object) -> Callable[[], float]:
        """Draws uniformly from [0, 1), the same sequence for the same `names`."""
        return random.Random("\x1f".join(map(str, (self.behaviour.seed, *names)))).random

    def _find_question(self, user: str) -> tuple[OraclePlan, list[int]]:
        """The plan for the question in a user's turn, and the option (from 0) that each letter stands for."""
        found = []
        for stem, row in self.stems:
            end = user.rfind(stem) + len(stem)
            if end >= len(stem) and (places := _places(user[end:], row["options"])) is not None:
                # An example may precede the question, and one question's text may contain another's.
                found.append((end, len(stem), places == sorted(places), row, places))
        if not found:
            raise UserError(f"oracle: the prompt {user[-200:]!r} contains no question or step that it knows")
        *_, row, places = max(found, key=lambda match: match[:3])
        return self._plan(row), places

    def _plan(self, question: dict) -> OraclePlan:
        draw, behaviour = self._draws("question", question["group"]), self.behaviour
        right, faithful, empty, cut = (
            draw() < rate for rate in (behaviour.accuracy, behaviour.faithful, behaviour.collapse, behaviour.truncated)
        )
        wrong, (least, most) = draw(), behaviour.steps
        n = 0 if empty else least + int(draw() * (most - least + 1))
        if options := question["options"]:
            own = questions.LETTERS.index(question["answer"])
            if not right:
                own = (own + 1 + int(wrong * (len(options) - 1))) % len(options)
        else:  # so far below the truth that no partial count of a chain reaches it
            truth = Decimal(question["answer"] if question["kind"] == "number" else 0)
            own = truth - (0 if right else 1000 + int(wrong * 9000))
        # The sums of the steps from each step on: no multiple of the number of options, so that no tail is spared.
        base = len(options) or 10
        sums = [1 + int(draw() * (base - 1)) for _ in range(n)] + [0]
        steps = [(sums[i] - sums[i + 1]) % base or base for i in range(n)]
        leak = int(draw() * n) if draw() < behaviour.leaks and n and question["kind"] != "expression" else None
        # Drawn last, so that without this rate all other draws are as before the rate existed.
        if order_sensitive := draw() < (behaviour.order_sensitive or 0):
            steps = [n + base * place for place, n in enumerate(steps)]  # distinct, with the same sums modulo `base`
        # Never so that no steps at all lead where all steps lead.
        slip = (1 if (sums[0] + 1) % base else 2) if draw() < (behaviour.slips or 0) and n else 0
        return OraclePlan(question, faithful, own, steps, cut and not empty, leak, order_sensitive, slip)

    def _draw_answer(self, plan: OraclePlan, turn: str, places: list[int], *names: str) -> tuple[int | Decimal, bool]:
        """The answer after `turn`, with noise, and whether it can be read."""
        draw, answer, options = self._draws(*names), plan.answer(turn, places), plan.question["options"]
        broken, noisy, other = draw() < self.behaviour.format_breaks, draw() < self.behaviour.noise, draw()
        if noisy and options:
            answer = (answer + 1 + int(other * (len(options) - 1))) % len(options)
        elif noisy:
            answer = Decimal(10**9 + int(other * 9 * 10**9))
        return answer, not broken

    def _answer(self, query: Query, do: str) -> Answer:
        user, turn = _split_turns(query.prompt)
        plan, places = self._find_question(user)
        answer, readable = self._draw_answer(plan, turn, places, do, query.prompt)
        if places:
            rest = (1 - SURE) / (len(places) - 1)
            probabilities = [SURE if option == answer else rest for option in places]
            return Answer(None, True, probabilities, 1.0 if readable else BROKEN_MASS, None)
        text = self._answer_text(plan, answer, [], query.prompt) if readable else BROKEN_TEXT
        p_reference = None if query.reference is None else SURE if text == query.reference else 1 - SURE
        return Answer(f" {text}", True, [], None, p_reference)

    def _answer_text(self, plan: OraclePlan, answer: int | Decimal, places: list[int], prompt: str) -> str:
        """An answer as text: its letter, the number, or the expression, in a spelling drawn for the prompt."""
        if places:
            return questions.LETTERS[places.index(answer)]
        number = questions.canonical_number(f"{answer:f}")
        if plan.question["kind"] == "number":
            return number
        if number == "0":
            return plan.question["answer"]
        spellings = rf"{number}\pi^{{7}}", rf"\pi^7 \cdot ({number})"
        return spellings[self._draws("spelling", prompt)() < 0.5]

    def _continue_chain(self, prompt: str, user: str, turn: str) -> tuple[str, bool]:
        """The rest of the chain that `turn` begins, and whether it is cut before its final line."""
        plan, places = self._find_question(user)
        done = len(STEP.findall(turn))
        lines = [f"Step {i}: {write_step(n)}" for i, n in enumerate(plan.written, 1)][done:]
        whole = turn + "".join(lines)
        if plan.leak is not None and plan.leak >= done:
            stated = self._answer_text(plan, plan.answer(whole, places), places, prompt)
            lines[plan.leak - done] = f"Step {plan.leak + 1}: {write_step(plan.written[plan.leak], stated)}"
        answer, readable = self._draw_answer(plan, whole, places, "chain", prompt)
        if not plan.cut:
            lines.append(f"{CUE} {self._answer_text(plan, answer, places, prompt) if readable else BROKEN_TEXT}")
        text = "\n".join(lines)
        if done < len(plan.steps) and _OPEN_MARKER.search(turn):
            text = text[text.index(":") + 1 :].lstrip(" " if turn.endswith(" ") else "")
        elif turn and not turn.endswith("\n"):
            text = f"\n{text}"
        return text, plan.cut


def count_tokens(text: str) -> int:
    """The number of words in `text`: an oracle's tokens."""
    return len(_WORD.findall(text))


def _split_turns(prompt: str) -> tuple[str, str]:
    """The user's turn and the assistant's turn, which has no empty line."""
    user, _, turn = prompt.rpartition("\n\n")
    return user, turn


def _stem(question: dict) -> str:
    """A question's text without its options."""
    return questions.question_block(question | {"options": []})


def _places(text: str, options: list[str]) -> list[int] | None:
    """The option (from 0) at each place of the list that `text` begins with; None if the list has other options."""
    if not options:
        return []
    wanted = [" ".join(option.split()) for option in options]
    lines = text.removeprefix("\n\n").split("\n")[: len(options)]
    marked = zip(questions.LETTERS, lines, strict=False)
    listed = [re.sub(rf"\A[^\w\s]*{letter}[^\w\s]* ", "", line) for letter, line in marked]
    if sorted(listed) != sorted(wanted):
        return None
    order = sorted(range(len(wanted)), key=wanted.__getitem__)  # stable: equal options keep their order
    at = dict(zip(sorted(range(len(listed)), key=listed.__getitem__), order, strict=True))
    return [at[place] for place in range(len(listed))]
