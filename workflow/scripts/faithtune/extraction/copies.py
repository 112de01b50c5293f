"""Steps that a model copied from the worked example of its prompt instead of reasoning."""

import difflib
from collections.abc import Sequence

from faithtune.extraction import steps

# One word of five may be changed. An equation of its own ("5 * 6 = 30." beside "4 * 6 = 24.") differs in more.
ALIKE, LEAST_WORDS = 0.8, 5


def count_copied(written: Sequence[str], prompt: str) -> int:
    """How many of the steps are copied from a prompt.

    A copy stands there word for word, or has the share ALIKE of its words, in their order, in common with a step of the
    prompt (difflib's ratio). A step of fewer than LEAST_WORDS words must stand there word for word.
    """
    shown = [step.split() for step in steps.split(prompt)]

    def is_alike(words: list[str]) -> bool:
        return any(difflib.SequenceMatcher(None, words, other, autojunk=False).ratio() >= ALIKE for other in shown)

    return sum(step in prompt or (len(words := step.split()) >= LEAST_WORDS and is_alike(words)) for step in written)
