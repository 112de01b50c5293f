"""The section `chains`."""

from pydantic import Field

from faithtune.settings.section import Flag, Integer, Section


class ChainSettings(Section):
    """How chains of thought are written."""

    max_new_tokens: Integer = Field(512, ge=1)
    """A chain cut at this many new tokens is truncated, a third outcome."""
    forced_start: Flag = True
    """Begin the assistant's turn with "Step 1:"; without it an arm that no longer reasons shows it."""
