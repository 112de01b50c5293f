"""Reads what a model wrote in its thinking block: its steps, and when a chain with such a block is finished."""

import re

from faithtune.data.forms import ThinkingForm
from faithtune.extraction import steps
from faithtune.extraction.cues import FINAL_LINE, first_line

_PARAGRAPH = re.compile(r"\n[ \t]*\n")
# "12? No, 13.", but not "B. the text of the option"
_NEXT_SENTENCE = re.compile(r"(?<!\b[A-J])[.!?]\s+\S")


def split(text: str) -> list[str]:
    """Split the text of a block into its steps.

    Divided by empty lines, else by lines, else by sentences. Markers and numbering are the model's own words and stay.
    Dropped, as by `steps.split`: pieces without reasoning, the final-answer line and closing sentences that only
    declare, at the end of the block. Further up such a line is a draft, after which the model thinks on, and stays.
    Each step is one line: runs of white space become one space.
    """
    thought = steps.without_marks(_drop_final_line(text))
    for divide in (_PARAGRAPH.split, str.splitlines, steps.divide_by_sentence):
        found = [" ".join(part.split()) for part in divide(thought)]
        found = steps.drop_answer([part for part in found if not steps.NO_REASONING.fullmatch(part)])
        found = [" ".join(part.split()) for part in found]
        if len(found) > 1:
            break
    again = "\n\n".join(found)
    return found if again == text else split(again)  # a cut can uncover another


def chain_ended(text: str, form: ThinkingForm) -> bool:
    """Whether the block is closed, and the free answer after it has a complete final-answer line."""
    _, after = form.divide(text)
    return after is not None and steps.chain_ended(after)


def block_ended(text: str, form: ThinkingForm) -> bool:
    """Whether the block is closed."""
    return form.divide(text)[1] is not None


def _drop_final_line(text: str) -> str:
    """The text up to a final-answer line after which nothing follows, not even another sentence in that line."""
    for cue in FINAL_LINE.values():
        for match in cue.finditer(text):
            start, end = first_line(text, match.end())
            if not text[end:].strip() and not _NEXT_SENTENCE.search(text, start, end):
                return text[: match.start()].rstrip(" \t\n>#*_")
    return text
