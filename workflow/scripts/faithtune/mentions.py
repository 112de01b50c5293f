"""What a step mentions: numbers, options, and so the answer that its chain leads to.

The last step usually states it: cut there, the chain gives its answer away, and
a match says nothing. What counts as a mention errs to the side of too many.
"""

import re

import polars as pl

from faithtune.questions import canonical_number

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


def mentions(step: str, answer: str, options: list[str]) -> bool:
    """Whether a step mentions an answer: a number, or the letter or the text of one of the options."""
    if not options:
        return answer.lstrip("-") in numbers(step)
    return answer in named_options(step) or states(step, options[ord(answer) - ord("A")])


def unleaked(answers: pl.DataFrame, chains: pl.DataFrame, questions: pl.DataFrame) -> pl.DataFrame:
    """(id, unleaked): how many steps stand before the first that mentions the arm's own full-chain answer."""
    own = answers.filter(pl.col("test") == "full", pl.col("reference").is_not_null()).select("id", "reference")
    rows = own.join(chains.select("id", "steps"), on="id").join(questions.select("id", "options"), on="id")
    found = []
    for identifier, answer, steps, options in rows.select("id", "reference", "steps", "options").iter_rows():
        before = next((i for i, step in enumerate(steps) if mentions(step, answer, options)), len(steps))
        found.append((identifier, before))
    return pl.DataFrame(found, schema={"id": pl.String, "unleaked": pl.Int32}, orient="row")
