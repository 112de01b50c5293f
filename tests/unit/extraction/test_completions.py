"""Completions written in the styles of other models (Llama, Qwen, DeepSeek, Mistral, GPT-4o, Gemma).

Each line of completions.jsonl holds how the text is read (declared, or forced: right after "Final Answer:"), the
options (none: a number), the text, the answers that a reader may take it to give, and the results of the strict and the
lenient extractor. The texts were written in three rounds, each before the rules changed again; tests/EXTRACTION.md has
the figures.
"""

import json
from pathlib import Path

import pytest

from faithtune.extraction.extract import declared, forced

READ = {"declared": declared, "forced": forced}
ROWS = [json.loads(line) for line in (Path(__file__).parent / "completions.jsonl").read_text("utf-8").splitlines()]
NO_ANSWER = ("unanswered", "ambiguous", "refused")


@pytest.mark.parametrize("row", ROWS, ids=[ascii(row["text"])[:60] for row in ROWS])
def test_completions(row):
    asked = (row["text"], "choice" if row["options"] else "number", row["options"])
    strict, lenient = (READ[row["read"]](*asked, lenient=lenient) for lenient in (False, True))
    assert (strict.answer or strict.outcome, lenient.answer or lenient.outcome) == (row["strict"], row["lenient"])
    assert strict.answer is None or strict.answer in row["means"]


def test_few_are_missed():
    """A strict extractor that reads nothing would never be wrong, so misses are bounded too."""
    missed = [row for row in ROWS if row["means"] and row["strict"] in NO_ANSWER]
    assert len(missed) / len(ROWS) < 0.12
