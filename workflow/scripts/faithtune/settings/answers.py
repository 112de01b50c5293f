"""The sections `answers` and `crossing`: how arms answer after their own chains, and after those of other arms."""

from typing import Annotated, Literal

from pydantic import Field

from faithtune.settings.section import Flag, Integer, OptionalInteger, Section, Share, Unique


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


class CrossingSettings(Section):
    """Which arms answer after the chains that other arms of their model wrote; `true` stands for the defaults."""

    arms: Literal["base", "all"] = "base"
    """`base`: each tuned arm reads the chains of base, and base those of each tuned arm; `all`: every arm reads those
    of every other arm, of tuned arms those with the same seed."""
    eval_sets: Annotated[list[str], Field(min_length=1), Unique] | None = None
    """On which of the evaluation sets; by default on all."""
    n: OptionalInteger = Field(None, ge=1)
    """Questions of each set, the first; by default all."""
