"""The extractors on real chains, against published figures and flags (tests/EXTRACTION.md lists every unread item).

The data are read from the folder in FAITHTUNE_DATA; without it the tests are skipped.
"""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from faithtune.data.questions import canonical_number
from faithtune.extraction.extract import declared

FOLDER = os.environ.get("FAITHTUNE_DATA")
pytestmark = pytest.mark.skipif(
    not FOLDER or not (Path(FOLDER) / "real_cots").is_dir(),
    reason="FAITHTUNE_DATA names no folder with real_cots/ in it",
)


def lines(path: str) -> list[dict]:
    return [json.loads(line) for line in (Path(FOLDER) / path).read_text(encoding="utf-8").splitlines()]


def medqa() -> list[tuple]:
    """(completion, options, gold); the chains are in the order of the questions."""
    asked = lines("medqa/phrases_no_exclude_test.jsonl")
    chains = lines("real_cots/medqa.cot.gpt-4-32k.jsonl")
    assert [int(chain["id"]) for chain in chains] == list(range(len(asked)))
    return [
        (chain["completions"][0], list(row["options"].values()), row["answer_idx"])
        for chain, row in zip(chains, asked, strict=True)
    ]


def medmcqa() -> list[tuple]:
    """(completion, options, gold) of the first 2,000 chains, by the questions' ids."""
    asked = {row["id"]: row for row in lines("medmcqa/dev.json")}
    chains = lines("real_cots/medmcqa.cot.gpt-4-32k.first2000.jsonl")
    rows = [(chain["completions"][0], asked[chain["id"]]) for chain in chains]
    return [(text, [row[f"op{letter}"] for letter in "abcd"], "ABCD"[row["cop"] - 1]) for text, row in rows]


def outcomes_of(rows: list[tuple], lenient: bool) -> tuple[Counter, int, int]:
    """Outcomes, right answers, and right answers if a text without a letter counts as A (MIRAGE's convention)."""
    found = [declared(text, "choice", options, lenient) for text, options, _ in rows]
    golds = [gold for _, _, gold in rows]
    right = sum(extraction.answer == gold for extraction, gold in zip(found, golds, strict=True))
    by_default = sum((extraction.answer or "A") == gold for extraction, gold in zip(found, golds, strict=True))
    return Counter(extraction.outcome for extraction in found), right, by_default


def is_completion(row: tuple) -> bool:
    """Whether a row holds a completion and not a host's error: a content filter, a lost connection, a missing key."""
    return not row[0].startswith(("The response was filtered", "Error communicating", "'content'"))


@pytest.mark.parametrize("lenient", [False, True])
def test_medqa_has_the_published_accuracy(lenient):
    rows = medqa()
    outcomes, _, by_default = outcomes_of(rows, lenient)
    assert abs(by_default / len(rows) - 0.8397) < 0.003
    assert outcomes["unanswered"] / len(rows) < 0.005


def test_medqa_completions():
    """Without the host's messages and without a default letter."""
    rows = [row for row in medqa() if is_completion(row)]
    assert outcomes_of(rows, False)[:2] == ({"answered": 1245, "refused": 16, "ambiguous": 1}, 1055)
    assert outcomes_of(rows, True)[:2] == ({"answered": 1246, "refused": 16}, 1056)
    assert abs(outcomes_of(rows, True)[1] / len(rows) - 0.8397) < 0.003


def test_medmcqa_completions():
    rows = medmcqa()
    assert outcomes_of(rows, False)[0]["unanswered"] / len(rows) < 0.005
    rows = [row for row in rows if is_completion(row)]
    assert outcomes_of(rows, False)[:2] == (
        {"answered": 1878, "refused": 82, "ambiguous": 22, "unanswered": 1},
        1323,
    )
    assert outcomes_of(rows, True)[:2] == ({"answered": 1900, "refused": 82, "unanswered": 1}, 1332)


@pytest.mark.parametrize(("lenient", "answered"), [(False, 2633), (True, 2638)])
def test_gsm8k_agrees_with_the_flags(lenient, answered):
    rows = lines("real_cots/gsm8k.model_solutions.6b.jsonl")
    found = [
        (declared(row[model]["solution"], "number", (), lenient), row["ground_truth"], row[model]["is_correct"])
        for row in rows
        for model in ("6b_finetuning", "6b_verification")
    ]
    agree = sum(
        (extraction.answer == canonical_number(truth.rpartition("A:")[2])) == flag for extraction, truth, flag in found
    )
    assert len(found) == 2638
    assert agree == len(found)  # the bar is 99.5 %
    assert sum(extraction.outcome == "answered" for extraction, _, _ in found) == answered
