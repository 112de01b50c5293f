"""Tables T10 to T12: data, hyper-parameters and prompts of a small study."""

import hashlib

import polars as pl
import pytest

from faithtune.core.schemas.questions import QUESTIONS
from faithtune.report.tables.cells import TableContext
from faithtune.report.tables.setup import (
    DATA,
    HYPER_PARAMETERS,
    PROMPTS,
    conversation_texts,
    data,
    hyper_parameters,
    prompts,
)
from faithtune.report.tables.tables import readable


def question(id: str, answer: str, options: str = "", rationale: str | None = None, group: str | None = None) -> dict:
    return {
        "id": id,
        "kind": "choice" if options else "number",
        "question": "1234567890",
        "options": list(options),
        "answer": answer,
        "rationale": rationale,
        "group": group or id,
    }


def frame(*rows: dict) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=QUESTIONS)


def test_data():
    parts = [
        {"data_set": "sums", "split": "eval", "source": None, "checksum": None, "licence": None},
        {
            "data_set": "life",
            "split": "eval",
            "source": "/home/someone/life.jsonl",
            "checksum": "sha256:ab",
            "share": 0.5,
        },
        {"data_set": "life", "split": "train", "source": "wheel:tests==1.2:a/b.jsonl", "licence": "MIT", "skipped": 3},
    ]
    frames = [
        frame(question("1", "7", rationale="3 + 4 = 7."), question("2", "8")),
        frame(question("3", "A", "xy", group="g"), question("4", "A", "xyzz", group="g"), question("5", "B", "xy")),
        frame(question("5", "B", "xy"), question("2", "8")),
    ]
    found = data(parts, frames)
    assert found.schema == DATA
    assert found.drop("characters").rows() == [
        ("sums", "eval", "generated", None, None, None, 2, None, "number", None, 2, 0.5, 0.5, 1),
        ("life", "eval", "…/life.jsonl", "sha256:ab", None, 0.5, 3, None, "choice", 8 / 3, 2, 0.0, 2 / 3, 1),
        (
            "life",
            "train",
            "wheel:tests==1.2:a/b.jsonl",
            "1.2",
            "MIT",
            None,
            2,
            3,
            "choice, number",
            2.0,
            2,
            0.0,
            0.5,
            2,
        ),
    ]
    assert found["characters"][0] == 10
    assert found["characters"][2] == pytest.approx((10 + len("\n\nA. x\nB. y") + 10) / 2)
    line = readable(found, "t10_data", TableContext()).row(0)
    assert line[:9] == ("sums", "eval", "generated", "n/a", "n/a", "n/a", "2", "n/a", "number")


def test_a_local_file_is_known_by_its_hash(tmp_path):
    (tmp_path / "mine.jsonl").write_bytes(b"abc\n")
    part = {"data_set": "mine", "split": "eval", "source": str(tmp_path / "mine.jsonl"), "checksum": None}
    expected = f"sha256:{hashlib.sha256(b'abc' + bytes([10])).hexdigest()}"
    assert data([part], [frame(question("1", "7"))])["revision"].item() == expected


def card(**settings) -> dict:
    return {
        "path": "somewhere",
        "settings": {"method": "sft", "adapter": "qlora", "rank": 8, "learning_rate": 2e-4} | settings,
    }


def test_a_folder_that_an_adapter_names_is_not_shown():
    found = hyper_parameters([{"model": "m", "arm": "bot"}], [{"settings": {"base_named": "/home/me/llama"}}])
    assert found.filter(parameter="base_named")["value"].to_list() == ["…/llama"]


def test_hyper_parameters():
    arms = [{"model": "m", "arm": "a"}, {"model": "m", "arm": "a"}, {"model": "m", "arm": "b"}]
    cards = [
        card(seed=1) | {"fixed": {"betas": [0.9, 0.999]}, "examples": 9},
        card(seed=2) | {"examples": 9},
        card(seed=1, targets=["q", "v"]),
    ]
    found = hyper_parameters(arms, cards)
    assert found.schema == HYPER_PARAMETERS
    assert readable(found, "t11_hyper_parameters", TableContext()).to_dict(as_series=False) == {
        "parameter": ["method", "adapter", "rank", "learning_rate ‡", "seed ‡", "betas ‡", "examples ‡", "targets ‡"],
        "a": ["sft", "qlora", "8", "0.0002", "1, 2", "0.9, 0.999", "9", ""],
        "b": ["sft", "qlora", "8", "0.0002", "1", "", "not given", "q, v"],
    }


def test_a_mixture_is_shown_as_asked_for_and_as_taken():
    made = {"examples_of": {"siqa": 40, "gsm8k": 10}, "shares": {"siqa": 0.8, "gsm8k": 0.2}, "equal": "examples"}
    found = hyper_parameters([{"model": "m", "arm": "a"}], [card() | {"examples": 50, "data": made}])
    assert found.select("parameter", "value").rows()[-4:] == [
        ("examples", "50"),
        ("examples_of", "siqa 40, gsm8k 10"),
        ("shares", "siqa 0.8, gsm8k 0.2"),
        ("equal", "examples"),
    ]


def test_a_value_that_is_not_the_papers_is_marked_itself():
    arms = [{"model": "m", "arm": name} for name in "abb"]
    found = hyper_parameters(arms, [card(), card(rank=4, adapter="lora"), card(rank=8, adapter="lora")])
    assert readable(found, "t11_hyper_parameters", TableContext()).rows() == [
        ("method", "sft", "sft"),
        ("adapter", "qlora", "lora ‡"),
        ("rank", "8", "4, 8 ‡"),
        ("learning_rate ‡", "0.0002", "0.0002"),
        ("examples ‡", "not given", "not given"),
    ]


def test_arms_of_several_models_are_told_apart():
    found = hyper_parameters([{"model": "m", "arm": "a"}, {"model": "n", "arm": "a"}], [card(), card(rank=16)])
    assert readable(found, "t11_hyper_parameters", TableContext()).columns == ["parameter", "m a", "n a"]


def test_the_trainings_before_are_told():
    lineages = {"m": [], "n": ["l/b-s-1", "m/a-s-1"]}
    arms = [{"model": model, "arm": "a", "starts_from": lineage} for model, lineage in lineages.items()]
    found = hyper_parameters(arms, [card(), card()])
    rows = readable(found, "t11_hyper_parameters", TableContext()).rows()
    assert ("starts_from ‡", "", "l/b-s-1 → m/a-s-1") in rows
    assert [row[0] for row in rows].count("starts_from ‡") == 1


def test_a_study_without_tuning():
    found = hyper_parameters([], [])
    assert readable(found, "t11_hyper_parameters", TableContext()).rows() == [("The study has no tuned arm.",)]


def test_prompts():
    content = "Think: {question}\n\nStep 1:\n"
    found = prompts({"a.txt": content, "b.txt": content, "filler": " …"})
    assert found.schema == PROMPTS
    assert readable(found, "t12_prompts", TableContext())["begins"].to_list()[-1] == '" …"'
    digest = hashlib.sha256(content.encode()).hexdigest()
    assert found.rows() == [
        ("a.txt", digest, len(content), "Think: {question}"),
        ("b.txt", digest, len(content), "Think: {question}"),
        ("filler", hashlib.sha256(" …".encode()).hexdigest(), 2, " …"),
    ]


def test_prompts_of_models_whose_conversation_is_not_their_tokenizers():
    cards = {
        "plain": {},
        "brief": {"turns": {"system": "Be brief.", "chat_template": "{{ messages }}"}},
        "thinker": {"turns": {"thinking": ["<think>\n", "\n</think>\n\n"], "enable_thinking": True}},
    }
    assert conversation_texts(cards) == {
        "system prompt of brief": "Be brief.",
        "chat template of brief": "{{ messages }}",
        "chain start of thinker": "<think>\n",
        "chain end of thinker": "\n</think>\n\n",
    }
