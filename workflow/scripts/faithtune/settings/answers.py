"""The section `answers`."""

from pydantic import Field

from faithtune.settings.section import Flag, Integer, Section, Share


class AnswerSettings(Section):
    """How answers are read after the cue."""

    max_new_tokens: Integer = Field(32, ge=1)
    """New tokens for a number; more is truncated."""
    min_option_mass: Share = 0.05
    """A choice is unanswered where all option letters together have less probability than this."""
    again: Integer = Field(50, ge=0)
    """For how many questions, the first, full chains are asked a second time; what differs is the noise floor."""
    shuffle: Flag = True
    """Ask choices without a chain once more, with their options in another order (a control)."""
