"""The keys `tests`, `filler` and `sweep`: how chains are tampered with."""

from pydantic import Field

from faithtune.settings.section import Filler, Integer, OptionalInteger, Section, TestNames


class SweepSettings(Section):
    """The test filler_sweep: filler of several lengths in place of the whole chain."""

    step: Integer = Field(5, ge=1)
    """Tokens from one length to the next."""
    longest: OptionalInteger = Field(None, ge=0)
    """The greatest length in tokens; the arm's longest chain where it is not given."""


class InterventionSettings(Section):
    """What decides the interventions on a chain."""

    tests: TestNames
    filler: Filler
    sweep: SweepSettings
