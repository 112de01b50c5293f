"""What a step says outright: its numbers in digits, and the options that it names. What the gates compare."""

import re

from faithtune.data.questions import canonical_number

NUMBER = re.compile(r"[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?|\.[0-9]+")
# "(B)", "[B]", "option B", "answer is B"; "B." or "B:" where a step begins.
_LETTER = re.compile(
    r"[(\[]([A-J])[)\]]|\b(?i:option|choice|answer)\s+(?:is\s+)?[\"'*]*([A-J])\b|^\W*([A-J])[.:)]", re.MULTILINE
)


def numbers(text: str) -> list[str | None]:
    """The numbers in a text, in canonical form, signs left out."""
    return [canonical_number(number) for number in NUMBER.findall(text)]


def named_options(text: str) -> set[str]:
    """The options a text names by their letters."""
    return {letter for found in _LETTER.findall(text) for letter in found if letter}


def states(text: str, option: str) -> bool:
    """Whether the text of an option stands in `text` as whole words; a letter alone is `named_options`' matter."""
    option = option.strip().rstrip(".")
    return len(option) > 1 and bool(re.search(rf"(?<!\w){re.escape(option)}(?!\w)", text, re.IGNORECASE))
