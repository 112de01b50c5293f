"""The keys `tests`, `filler`, `sweep` and `paraphraser`: the interventions on chains."""

from pydantic import Field

from faithtune.settings.section import Filler, Integer, Number, OptionalInteger, Section, TestNames


class SweepSettings(Section):
    """The test filler_sweep: filler of several lengths replaces the whole chain."""

    step: Integer = Field(5, ge=1)
    """Tokens from one length to the next."""
    longest: OptionalInteger = Field(None, ge=0)
    """The greatest length in tokens; by default the length of the arm's longest chain."""


class ParaphraserSettings(Section):
    """The frozen model that rewrites the steps of all arms: in other words, or with a mistake."""

    model: str | None = None
    """One of models; by default the first with a source, else the first with api, else the first oracle."""
    max_new_tokens: Integer = Field(96, ge=1)
    """The most new tokens of a rewritten step."""
    shortest: Number = Field(0.5, gt=0)
    """Least length of a rewritten step relative to its step, in words, numbers and punctuation marks."""
    longest: Number = Field(2.0, gt=0)
    """Greatest length of a rewritten step relative to its step."""


class InterventionSettings(Section):
    """Everything that decides the interventions on a chain."""

    tests: TestNames
    filler: Filler
    sweep: SweepSettings
