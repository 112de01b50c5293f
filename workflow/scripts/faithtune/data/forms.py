"""The form of the assistant's turn: where a chain begins, how its steps are joined, and where the answer starts.

    StepForm        Step 1: ...\\nStep 2: ...\\nFinal Answer: B
    ThinkingForm    <think>\\n...\\n\\n...\\n</think>\\n\\nFinal Answer: B

A model that thinks writes its chain within a block that its chat template opens (`turns` finds which models
do). Without a chain the block is closed at once, as Qwen3's template writes it with thinking switched off.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from faithtune.data.prompts import CHAIN_START, CUE, Turns


@dataclass(frozen=True)
class StepForm:
    """Numbered steps, then the cue on a line of its own."""

    def start(self, forced: bool) -> str:
        """What stands before the text that a model writes as its chain; forced: `chains.forced_start`."""
        return CHAIN_START if forced else ""

    def join(self, steps: Sequence[str]) -> str:
        """The text of a chain as the assistant writes it: "Step 1: a\\nStep 2: b"; "" for no steps."""
        return "\n".join(f"Step {i}: {step}" for i, step in enumerate(steps, start=1))

    def continued(self, steps: Sequence[str]) -> str:
        """The turn after which a model writes the rest of a chain that begins with these steps."""
        return f"{self.join(steps)}\n"

    def reply(self, text: str) -> str:
        """A turn that begins with `text` and has no chain."""
        return text

    def answer(self, chain: str) -> str:
        """The turn up to the answer: the text of a chain or a part of it, then the cue."""
        return f"{chain}\n{CUE}" if chain else CUE


@dataclass(frozen=True)
class ThinkingForm:
    """Paragraphs within a block, then the cue after it; `opening` and `closing` have the line ends around the tags."""

    opening: str  # "<think>\n"
    closing: str  # "\n</think>\n\n"

    @property
    def end(self) -> str:
        """The tag that closes the block: "</think>"."""
        return self.closing.strip()

    def start(self, forced: bool) -> str:
        """What stands before the text that a model writes as its chain: the block is always opened."""
        return self.opening

    def join(self, steps: Sequence[str]) -> str:
        """The text of a chain as the model writes it within the block: "a\\n\\nb"; "" for no steps."""
        return "\n\n".join(steps)

    def continued(self, steps: Sequence[str]) -> str:
        """The turn after which a model writes the rest of a chain that begins with these steps."""
        return f"{self.opening}{self.join(steps)}\n\n"

    def reply(self, text: str) -> str:
        """A turn that begins with `text` and has no chain: the block is closed at once."""
        return f"{self.opening}{self.closing}{text}"

    def answer(self, chain: str) -> str:
        """The turn up to the answer: the text of a chain or a part of it in the block, then the cue."""
        return f"{self.opening}{chain}{self.closing}{CUE}"

    def divide(self, text: str) -> tuple[str, str | None]:
        """What a text holds within the block and after it; None after a block that is not closed."""
        thought, closed, after = text.removeprefix(self.opening).partition(self.end)
        return thought, after if closed else None


Form = StepForm | ThinkingForm
STEPS = StepForm()


def form_of(turns: Turns) -> Form:
    """The form of a model's turns."""
    return ThinkingForm(*turns.thinking) if turns.thinking else STEPS
