"""Generated word problems of small sums, with worked solutions: nothing to download, nothing seen before.

    {"question": "Tina has 4 nuts. Tina finds 3 more. Tina loses 1. Tina buys 2 more. Tina gives away 3.
                  How many nuts does Tina have now?",
     "rationale": "4 + 3 = 7.\\n7 - 1 = 6.\\n6 + 2 = 8.\\n8 - 3 = 5.", "answer": "5"}

A count of 1 to 6 things changes three or four times by 1 to 3. A small model can also learn to answer at once, so that
its chain may become decoration; on `arithmetic` it cannot.

The trap: two problems that differ only in names and verbs are the same problem, and a twin in the training set would
give the answer away. So no two problems have the same start and changes.
"""

import random

from faithtune.core.errors import UserError
from faithtune.data.questions import number
from faithtune.data.readers.arithmetic import NAMES, THINGS

KIND = "number"
RATIONALE = "native"

MOST = 4_000  # the largest n of `generate`; there are 6,464 problems

_VERBS = {"+": ["finds {} more", "buys {} more", "gets {} more"], "-": ["loses {}", "gives away {}", "sells {}"]}


def generate(n: int, seed: int) -> list[dict]:
    """`n` distinct problems as questions; the first m of them equal generate(m, seed).

    Raises UserError unless 1 <= n <= MOST.
    """
    if not 1 <= n <= MOST:
        raise UserError(f"tally: {n} problems are too few or too many; expected between 1 and {MOST}")
    source = random.Random(seed)
    problems: dict[tuple, dict] = {}
    while len(problems) < n:
        start, changes = _drawn(source)
        name, things = source.choice(NAMES), source.choice(THINGS)
        sentences, steps, count = [f"{name} has {start} {things}."], [], start
        for change in changes:
            sign = "+" if change > 0 else "-"
            sentences.append(f"{name} {source.choice(_VERBS[sign]).format(abs(change))}.")
            steps.append(f"{count} {sign} {abs(change)} = {count + change}.")
            count += change
        sentences.append(f"How many {things} does {name} have now?")
        problems.setdefault((start, *changes), number(" ".join(sentences), str(count), rationale="\n".join(steps)))
    return list(problems.values())


def _drawn(source: random.Random) -> tuple[int, list[int]]:
    """A start and the changes to it, drawn until the count never falls below 0."""
    while True:
        start = source.randint(1, 6)
        changes = [source.choice([-3, -2, -1, 1, 2, 3]) for _ in range(source.randint(3, 4))]
        if all(start + sum(changes[:i]) >= 0 for i in range(1, len(changes) + 1)):
            return start, changes
