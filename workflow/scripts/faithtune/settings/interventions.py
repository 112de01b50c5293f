"""The keys `tests`, `filler` and `sweep`: the interventions on chains."""

from pydantic import Field

from faithtune.settings.section import Filler, Integer, OptionalInteger, Section, TestNames


class SweepSettings(Section):
    """The test filler_sweep: filler of several lengths replaces the whole chain."""

    step: Integer = Field(5, ge=1)
    """Tokens from one length to the next."""
    longest: OptionalInteger = Field(None, ge=0)
    """The greatest length in tokens; by default the length of the arm's longest chain."""


class InterventionSettings(Section):
    """Everything that decides the interventions on a chain."""

    tests: TestNames
    filler: Filler
    sweep: SweepSettings
