"""Numbers in digits and options that a step mentions; the gates compare them."""

import re

from faithtune.data.questions import canonical_number

NUMBER = re.compile(r"[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?|\.[0-9]+")
# "(B)", "[B]", "option B", "answer is B"; "B." or "B:" at the start of a line.
_LETTER = re.compile(
    r"[(\[]([A-J])[)\]]|\b(?i:option|choice|answer)\s+(?:is\s+)?[\"'*]*([A-J])\b|^\W*([A-J])[.:)]", re.MULTILINE
)


def mentioned_numbers(text: str) -> list[str | None]:
    """The numbers in a text, in canonical form without signs."""
    return [canonical_number(number) for number in NUMBER.findall(text)]


def mentioned_letters(text: str) -> set[str]:
    """The letters of the options that a text mentions."""
    return {letter for found in _LETTER.findall(text) for letter in found if letter}


def mentions_text(text: str, option: str) -> bool:
    """Whether `text` holds an option's text as whole words; False for a single letter (see `mentioned_letters`)."""
    option = option.strip().rstrip(".")
    return len(option) > 1 and bool(re.search(rf"(?<!\w){re.escape(option)}(?!\w)", text, re.IGNORECASE))
