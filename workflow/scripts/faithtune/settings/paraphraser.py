"""The section `paraphraser`."""

from pydantic import Field

from faithtune.settings.section import Integer, Number, Section


class ParaphraserSettings(Section):
    """The one frozen model that rewrites the steps of all arms: in other words, or with a mistake."""

    model: str | None = None
    """One of models; where none is named the first with a source, else the first with api, else the first oracle."""
    max_new_tokens: Integer = Field(96, ge=1)
    """Longest rewritten step."""
    shortest: Number = Field(0.5, gt=0)
    """Least length of a rewritten step over its step's, in words, numbers and marks."""
    longest: Number = Field(2.0, gt=0)
    """Greatest length of a rewritten step over its step's."""
