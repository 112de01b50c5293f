"""Answers after every intervention: letters are read, numbers are written.

Choice: the probabilities of the option letters after the cue; the likeliest is
the answer, unless all letters together are too unlikely (the model does not
answer). Number: what greedy decoding writes after the cue. The answer after the
full chain is a draft for the others, verified in the prefix tree; only where
the draft fails is anything decoded.
"""

from collections import defaultdict

import polars as pl

from faithtune import extraction, local, prompts
from faithtune.chains import generate
from faithtune.parquet import ANSWERS
from faithtune.store import RowStore, row_key


def answer(
    model: local.LocalModel,
    keep: tuple[RowStore, str],
    questions: pl.DataFrame,
    chains: pl.DataFrame,
    interventions: pl.DataFrame,
    templates: dict[str, str],
    max_new_tokens: int,
    min_option_mass: float,
) -> pl.DataFrame:
    """An answer (a row of ANSWERS) to every intervention (INTERVENTIONS), in its order."""
    asked = {row["id"]: row for row in questions.iter_rows(named=True)}
    cut = set(chains.filter(outcome="truncated")["id"])
    rows = [row | {"question": asked[row["id"]]} for row in interventions.iter_rows(named=True)]
    for row in rows:
        row["prompt"] = row["text"] is not None and _prompt(model, templates, row)
    choices = [row for row in rows if row["prompt"] and row["question"]["kind"] == "choice"]
    numbers = [row for row in rows if row["prompt"] and row["question"]["kind"] == "number"]
    _read_letters(model, keep, choices, min_option_mass)
    _write_numbers(model, keep, [r for r in numbers if r["test"] in ("full", "no_cot")], max_new_tokens)
    own = {row["id"]: row for row in rows if row["test"] == "full" and row["id"] not in cut}
    _verify_numbers(model, keep, numbers, own, max_new_tokens)
    return pl.DataFrame([_answer(row, own.get(row["id"]), row["id"] in cut) for row in rows], schema=ANSWERS)


def _prompt(model: local.LocalModel, templates: dict[str, str], row: dict) -> str:
    user = prompts.user_turn(templates, "no_cot" if row["test"] == "no_cot" else "cot", row["question"])
    return prompts.render(model.tokenizer, user, prompts.assistant_turn(row["text"]))


def _read_letters(model, keep, rows: list[dict], min_option_mass: float) -> None:
    asks = [local.Ask(row["prompt"], n_options=len(row["question"]["options"])) for row in rows]
    for row, told in zip(rows, _tell(model, keep, rows, asks), strict=True):
        row["probabilities"] = told["probabilities"]
        best = max(range(len(told["probabilities"])), key=told["probabilities"].__getitem__)
        row["answer"] = "ABCDEFGHIJ"[best] if told["option_mass"] >= min_option_mass else None
        row["outcome"] = "answered" if row["answer"] else "unanswered"


def _write_numbers(model, keep, rows: list[dict], max_new_tokens: int) -> None:
    prompts_ = [row["prompt"] for row in rows]
    for row, made in zip(rows, generate(model, keep, prompts_, max_new_tokens, "line", _line_ended), strict=True):
        _set_number(row, made["text"], made["finished"])


def _verify_numbers(model, keep, rows: list[dict], own: dict[str, dict], max_new_tokens: int) -> None:
    known = [row for row in rows if own.get(row["id"], {}).get("answer")]
    asks = [
        local.Ask(row["prompt"], reference=own[row["id"]]["answer"], draft=own[row["id"]]["written"]) for row in known
    ]
    for row, told in zip(known, _tell(model, keep, known, asks), strict=True):
        row["p_reference"] = told["p_reference"]
        if "outcome" not in row and told["text"] is not None:
            _set_number(row, told["text"], finished=True)
    _write_numbers(model, keep, [row for row in rows if "outcome" not in row], max_new_tokens)


def _tell(model, keep, rows: list[dict], asks: list[local.Ask]) -> list[dict]:
    """Answers to `asks` through the row store; asks about one question are packed together."""
    store, arm = keep
    keys = [
        row_key(
            arm,
            model.token_ids(ask.prompt),
            {"do": "answer", "n_options": ask.n_options, "reference": ask.reference, "draft": ask.draft},
            local.ENGINE,
        )
        for ask in asks
    ]

    def compute(missing: list[int]):
        groups = defaultdict(list)
        for i in missing:
            groups[rows[i]["id"]].append(i)
        members = list(groups.values())
        for place, told in model.answer([[asks[i] for i in group] for group in members]):
            for i, one in zip(members[place], told, strict=True):
                yield i, vars(one)

    return store.through(keys, compute)


def _line_ended(text: str) -> bool:
    return "\n" in text.lstrip()


def _set_number(row: dict, text: str, finished: bool) -> None:
    found = extraction.forced(text, "number")
    row["written"] = text
    row["outcome"] = found.outcome if finished else "truncated"
    row["answer"] = found.answer if finished else None


def _answer(row: dict, own: dict | None, cut: bool) -> dict:
    question, reference = row["question"], own and own["answer"]
    outcome, answer = row.get("outcome", "unavailable"), row.get("answer")
    if cut and row["test"] == "full":
        outcome, answer = "truncated", None
    probabilities = row.get("probabilities", [])
    if reference and probabilities:
        row["p_reference"] = probabilities["ABCDEFGHIJ".index(reference)]
    return {
        "id": row["id"],
        "group": question["group"],
        "test": row["test"],
        "k": row["k"],
        "n_steps": row["n_steps"],
        "outcome": outcome,
        "answer": answer,
        "correct": answer == question["answer"] if answer else None,
        "reference": reference,
        "match": answer == reference if answer and reference else None,
        "p_reference": row.get("p_reference"),
        "probabilities": probabilities,
    }
