"""The section `chains`, and how chains are drawn at a temperature."""

from pydantic import Field

from faithtune.settings.section import Flag, Integer, Number, Section, Seed


class ChainSettings(Section):
    """How chains of thought are written."""

    max_new_tokens: Integer = Field(512, ge=1)
    """The most new tokens of a chain; longer chains are truncated, a third outcome."""
    forced_start: Flag = True
    """Whether the assistant's turn starts with "Step 1:"; if not, an arm that no longer reasons shows it."""


class SamplingSettings(Section):
    """How a model draws chains of thought for its training questions."""

    samples: Integer = Field(4, ge=1, le=1000)
    """Chains drawn for each question."""
    temperature: Number = Field(0.8, ge=0.01, le=10)
    """Temperature at which they are drawn."""
    seed: Seed = 0
    """Seed of the draws, the same for all seeds of the tuning."""

    @property
    def way(self) -> str:
        """What decides a chain, beside its question: settings with the same draw the same chains, more or fewer."""
        return f"t{float(self.temperature)}-s{self.seed}"
