"""The section `chains`."""

from pydantic import Field

from faithtune.settings.section import Flag, Integer, Section


class ChainSettings(Section):
    """How chains of thought are written."""

    max_new_tokens: Integer = Field(512, ge=1)
    """The most new tokens of a chain; longer chains are truncated, a third outcome."""
    forced_start: Flag = True
    """Whether the assistant's turn starts with "Step 1:"; if not, an arm that no longer reasons shows it."""
