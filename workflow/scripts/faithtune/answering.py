"""Answers after every intervention: letters are read, numbers are written.

Choice: the probabilities of the option letters after the cue; the likeliest is
the answer, unless all letters together are too unlikely (the model does not
answer). Number: what greedy decoding writes after the cue.

First the arm answers after its whole chain and without one. Then it is asked
after everything else, with the probability of its own full-chain answer, and
after the whole chain again: packed with other prompts, that second answer shows
how much rounding alone changes.
"""

from collections import defaultdict

import polars as pl

from faithtune import extraction, local, prompts
from faithtune.parquet import ANSWERS
from faithtune.questions import LETTERS
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
    own = {row["id"]: row for row in rows if row["test"] == "full" and row["id"] not in cut}
    first = [row for row in rows if row["test"] in ("full", "no_cot")]
    later = [row for row in rows if row["prompt"] and row["test"] != "no_cot"]
    for row, told in zip(first, _tell(model, keep, first, {}, max_new_tokens), strict=True):
        _set(row, told, min_option_mass)
    references = {name: row["answer"] for name, row in own.items() if row["answer"]}
    for row, told in zip(later, _tell(model, keep, later, references, max_new_tokens), strict=True):
        row["p_reference"] = told["p_reference"]
        if row["test"] != "full":
            _set(row, told, min_option_mass)
    return pl.DataFrame([_answer(row, own.get(row["id"]), row["id"] in cut) for row in rows], schema=ANSWERS)


def _prompt(model: local.LocalModel, templates: dict[str, str], row: dict) -> str:
    user = prompts.user_turn(templates, "no_cot" if row["test"] == "no_cot" else "cot", row["question"])
    return prompts.render(model.tokenizer, user, prompts.assistant_turn(row["text"]))


def _tell(model, keep, rows: list[dict], references: dict[str, str], max_new_tokens: int) -> list[dict]:
    """What the arm answers to `rows`, through the row store; a question's rows are packed together."""
    store, arm = keep
    asks = [
        local.Ask(
            row["prompt"],
            len(row["question"]["options"]),
            None if row["question"]["options"] else references.get(row["id"]),
        )
        for row in rows
    ]
    keys = [
        row_key(arm, model.token_ids(ask.prompt), _task(row, ask, references, max_new_tokens), local.ENGINE)
        for row, ask in zip(rows, asks, strict=True)
    ]

    def compute(missing: list[int]):
        groups = defaultdict(list)
        for i in missing:
            groups[rows[i]["id"]].append(i)
        members = list(groups.values())
        for place, told in model.answer([[asks[i] for i in group] for group in members], max_new_tokens, _line_ended):
            for i, one in zip(members[place], told, strict=True):
                yield i, vars(one)

    return store.through(keys, compute)


def _task(row: dict, ask: local.Ask, references: dict[str, str], max_new_tokens: int) -> dict:
    """What is asked, for the row's key; the reference is in it so that asking again is asking again."""
    kind = {"n_options": ask.n_options} if ask.n_options else {"max_new_tokens": max_new_tokens, "end": "line"}
    return {"do": "answer", "reference": references.get(row["id"]), **kind}


def _line_ended(text: str) -> bool:
    return "\n" in text.lstrip()


def _set(row: dict, told: dict, min_option_mass: float) -> None:
    """Write outcome and answer into `row`."""
    row["probabilities"] = told["probabilities"]
    row["option_mass"] = told["option_mass"]
    if told["probabilities"]:
        best = max(range(len(told["probabilities"])), key=told["probabilities"].__getitem__)
        row["answer"] = LETTERS[best] if told["option_mass"] >= min_option_mass else None
    else:  # a number's text cut at the limit may go on: it is no answer
        row["answer"] = extraction.forced(told["text"], "number").answer if told["finished"] else None
    row["outcome"] = "answered" if row["answer"] else "unanswered"


def _answer(row: dict, own: dict | None, cut: bool) -> dict:
    question, reference = row["question"], own and own["answer"]
    outcome, answer = row.get("outcome", "unavailable"), row.get("answer")
    if cut and row["test"] == "full":
        outcome, answer = "truncated", None
    probabilities = row.get("probabilities", [])
    if reference and probabilities:
        row["p_reference"] = probabilities[LETTERS.index(reference)]
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
        "option_mass": row.get("option_mass"),
    }
