"""The section `paraphraser`."""

from pydantic import Field

from faithtune.settings.section import Integer, Number, Section


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
