"""Where a chain first mentions the answer that it leads to.

The last step usually states it: cut there, the chain gives its answer away, and
a match says nothing. What counts as a mention errs to the side of too many.
"""

import re
from decimal import Decimal

import polars as pl

from faithtune.data import expressions
from faithtune.data.questions import canonical_number
from faithtune.extraction import extract, numbers
from faithtune.extraction.mentions import mentioned_numbers, mentions_text

# A letter alone; the article "A" and the pronoun "I" only where no word follows that they could belong to.
_STANDING = re.compile(
    r"(?<![\w'\u2019-])(?:([B-HJ])(?![\w'\u2019])"
    r"|([AI])(?![\w'\u2019]| +(?!(?:is|was|and|or|but|as|because|fits)\b)[\w(\"-]))"
)
_LOWER = re.compile(
    r"[(\[]([a-j])[)\]]|^\W*([a-j])[.)]|\b(?:option|choice|answer)(?:\s+is)?:?\s+([a-j])\b", re.M | re.I
)
_SPACED = re.compile(r"(?<![\d.,])\d{1,3}(?:[\s'\u2019]\d{3})+(?!\d)")
_PERCENT = re.compile(r"\s?(?:\\?%|percent\b)")
_WORDS = re.compile(r"\\?[A-Za-z]+|\S")
_PARTS = {"half": "0.5", "halves": "0.5", "third": "1/3", "quarter": "0.25", "dozen": "12", "hundred": "100"}


def mentions(step: str, answer: str, options: list[str]) -> bool:
    """Whether a step mentions an answer: a number in any spelling, an expression, or the letter or text of an option.

    A letter counts wherever it stands alone, "A" and "I" where they are no article and no pronoun, and whatever the
    lenient extractor reads. A number counts without its sign, a percentage also as the share that it is. An expression
    that is no number counts with the text that it has as the answer.
    """
    if not options:
        value = canonical_number(answer) or numbers.read_whole_text(answer).answer
        return value.lstrip("-") in _amounts(step) if value else _mentions_formula(step, answer)
    standing = {letter for found in _STANDING.findall(step) for letter in found}
    read = extract.declared(step, "choice", options, lenient=True).answer
    return (
        answer in standing
        or answer.lower() in {letter for found in _LOWER.findall(step) for letter in found}
        or answer == read
        or mentions_text(step, options[ord(answer) - ord("A")])
    )


def _mentions_formula(step: str, answer: str) -> bool:
    """Whether a step holds an expression, with other white space or commands that only set it, and whole words."""
    words = _WORDS.findall(expressions.unset(answer))
    if not words:
        return False
    ends = r"(?<![A-Za-z\\])" if words[0].isalpha() else "", r"(?![A-Za-z])" if words[-1][-1].isalpha() else ""
    formula = ends[0] + r"\s*".join(map(re.escape, words)) + ends[1]
    return bool(re.search(formula, expressions.unset(step), re.IGNORECASE))


def _amounts(text: str) -> set[str | None]:
    """All numbers that may be read in a text: parts of fractions too."""
    text = _SPACED.sub(lambda group: re.sub(r"\D", "", group[0]), text)
    found = set(mentioned_numbers(text)) | numbers.spelled_numbers(text)
    for match in numbers.NUMBER.finditer(text):
        value = (numbers.canonical_spelling(match) or "").lstrip("-")
        found.add(value)
        if value and _PERCENT.match(text, match.end()):
            found.add(canonical_number(f"{Decimal(value) / 100:f}") if "/" not in value else None)
    return found | {value for word, value in _PARTS.items() if re.search(rf"\b{word}\b", text, re.IGNORECASE)}


def marked(answers: pl.DataFrame, chains: pl.DataFrame, questions: pl.DataFrame) -> pl.DataFrame:
    """ANSWERS with `unleaked` filled in: how many steps stand before the first that mentions the arm's own answer."""
    own = answers.filter(pl.col("test") == "full", pl.col("reference").is_not_null()).select("id", "reference")
    rows = own.join(chains.select("id", "steps"), on="id").join(questions.select("id", "options"), on="id")
    found = []
    for identifier, answer, steps, options in rows.select("id", "reference", "steps", "options").iter_rows():
        before = next((i for i, step in enumerate(steps) if mentions(step, answer, options)), len(steps))
        found.append((identifier, before))
    before = pl.DataFrame(found, schema={"id": pl.String, "unleaked": pl.Int32}, orient="row")
    return answers.drop("unleaked").join(before, on="id", how="left", maintain_order="left")
