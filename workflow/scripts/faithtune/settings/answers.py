"""The section `answers`."""

from pydantic import Field

from faithtune.settings.section import Flag, Integer, Section, Share


class AnswerSettings(Section):
    """How answers are read after the cue."""

    max_new_tokens: Integer = Field(32, ge=1)
    """The most new tokens for a number or an expression; longer answers are truncated."""
    min_option_mass: Share = 0.05
    """A choice is unanswered if all option letters together have less probability than this."""
    again: Integer = Field(50, ge=0)
    """Number of questions, the first ones, whose full-chain answer is computed again, for the noise floor."""
    shuffle: Flag = True
    """Whether choices without a chain are also answered with their options in another order (a control)."""
