"""Answers after every intervention: letters are read, numbers are written.

Choice: the probabilities of the option letters after the cue; the likeliest is
the answer, unless all letters together are too unlikely (the model does not
answer). Number: what greedy decoding writes after the cue; cut at the token limit it is
truncated, as it might have gone on to another number.

First the arm answers after its whole chain and without one; then after everything
else, with the probability of its own full-chain answer. Questions that fit into
memory together are a pack, in which each distinct token is computed once; its rows are
kept when it is done (`RowStore.settle`).

Some full chains are answered a second time in another way (`answer_again`): how
often that answer differs is the noise floor.
"""

import functools
from collections import defaultdict

import polars as pl
from tqdm import tqdm

from faithtune.arms import leaks, option_order
from faithtune.arms.row_store import RowStore, row_key
from faithtune.core.schemas.answers import ANSWERS
from faithtune.data import prompts
from faithtune.data.questions import LETTERS
from faithtune.extraction import extract, steps
from faithtune.models.backend import Ask, Model


def answer(
    model: Model,
    keep: tuple[RowStore, str],
    questions: pl.DataFrame,
    chains: pl.DataFrame,
    interventions: pl.DataFrame,
    templates: dict[str, str],
    max_new_tokens: int,
    min_option_mass: float,
    again: int,
    shuffle: bool,
) -> pl.DataFrame:
    """An answer (a row of ANSWERS) to every intervention (INTERVENTIONS), in its order.

    Behind those of a question stands, with `shuffle`, its answer without a chain to
    its options in another order (test "no_cot_shuffled"; its letter is the one that the
    option has in the question itself), and behind them all the full-chain answers that
    the first `again` questions have, asked again (test "again").
    """
    asked = {row["id"]: row for row in questions.iter_rows(named=True)}
    written = {row["id"]: row for row in chains.iter_rows(named=True)}
    groups = defaultdict(list)
    for row in interventions.iter_rows(named=True):
        row |= {"question": asked[row["id"]], "chain": written[row["id"]], "own": None, "places": None}
        row["turn"] = "continued" if model.continues else "retold"
        row["prompt"] = None if row["text"] is None else prompt(model, templates, row)
        groups[row["id"]].append(row)
        if shuffle and row["test"] == "no_cot" and (places := option_order.order(row["question"])):
            other = row | {"test": "no_cot_shuffled", "places": places}
            moved = {"question": option_order.shuffled(row["question"], places)}
            groups[row["id"]].append(other | {"prompt": prompt(model, templates, other | moved)})
    members = list(groups.values())
    tell = functools.partial(_tell, model, keep, max_new_tokens)
    bar = tqdm(total=len(members), unit="question", desc="answer", mininterval=5)
    for pack in model.packs([[row["prompt"] for row in group if row["prompt"]] for group in members]):
        rows = [row for i in pack for row in members[i] if row["prompt"]]
        first = [row for row in rows if row["test"] in ("full", "no_cot")]
        for row, told in zip(first, tell(first, "answer"), strict=True):
            _set(row, told, min_option_mass)
            if row["test"] == "full" and row["chain"]["outcome"] != "truncated":
                for other in groups[row["id"]]:
                    other["own"] = row
        later = [row for row in rows if row["test"] != "no_cot"]
        for row, told in zip(later, tell(later, "answer"), strict=True):
            row["p_reference"] = told["p_reference"]
            if row["test"] != "full":
                _set(row, told, min_option_mass)
        keep[0].settle()
        bar.update(len(pack))
    bar.close()
    rows = [row for group in members for row in group]
    first = set(questions["id"].head(again))
    full = [row for row in rows if row["test"] == "full" and row["id"] in first and row["own"] and row["answer"]]
    repeated = [row | {"test": "again", "p_reference": None} for row in full]
    for row, told in zip(repeated, tell(repeated, "answer again"), strict=True):
        _set(row, told, min_option_mass)
    frame = pl.DataFrame([_answer(row) for row in rows + repeated], schema=ANSWERS)
    return leaks.marked(frame, chains, questions)


def prompt(model: Model, templates: dict[str, str], row: dict) -> str:
    """An intervention (a row of INTERVENTIONS, with its `question`) as the arm is asked: it ends with the cue."""
    user = prompts.user_turn(templates, "no_cot" if row["test"].startswith("no_cot") else "cot", row["question"])
    return model.render(user, prompts.assistant_turn(row["text"]))


def _tell(model: Model, keep: tuple[RowStore, str], max_new_tokens: int, rows: list[dict], do: str):
    """What the arm answers to `rows`, through the row store; do is answer | answer again."""
    store, arm = keep
    how = {"answer": model.answer, "answer again": model.answer_again}[do]
    asks = [_ask(row, model.scores) for row in rows]
    keys = []
    for row, ask in zip(rows, asks, strict=True):
        kind = {"n_options": ask.n_options} if ask.n_options else {"max_new_tokens": max_new_tokens, "end": "line"}
        # Otherwise what another question's prompt is by chance might be found, or not, by how a set is divided.
        shuffled = {"shuffled": row["id"]} if row["places"] else {}
        task = {"do": do, "reference": ask.reference, **kind, **shuffled}
        keys.append(row_key(arm, model.prompt_key(ask.prompt), task, model.engine))

    def compute(missing: list[int]):
        asked, their_keys = [asks[i] for i in missing], [keys[i] for i in missing]
        for place, told in how(asked, max_new_tokens, steps.line_ended, their_keys):
            yield missing[place], vars(told)

    return store.through(keys, compute)


def _ask(row: dict, scores: bool) -> Ask:
    """A row as the model is asked: a number that the arm probably writes is its draft, and scored where it can be."""
    if row["question"]["options"]:
        return Ask(row["prompt"], len(row["question"]["options"]))
    own = row["own"]
    if own:
        return Ask(row["prompt"], reference=own["answer"] if scores else None, draft=own["wrote"])
    _, cue, declared = row["chain"]["text"].rpartition(prompts.CUE)
    return Ask(row["prompt"], draft=declared if cue else None)


def _set(row: dict, told: dict, min_option_mass: float) -> None:
    """Write outcome and answer into `row`."""
    row["wrote"], row["option_mass"], outcome = told["text"], told["option_mass"], "unanswered"
    probabilities, places = told["probabilities"], row["places"]
    row["probabilities"] = option_order.restored(probabilities, places) if places and probabilities else probabilities
    if told["text"] is not None:
        row["answer"], row["lenient"], cut = _read(row, told)
        outcome = "truncated" if cut else outcome
    else:
        best = max(range(len(probabilities)), key=row["probabilities"].__getitem__)
        row["lenient"] = LETTERS[best] if any(probabilities) else None  # a host may give none of the letters
        row["answer"] = row["lenient"] if told["option_mass"] >= min_option_mass else None
    row["outcome"] = "answered" if row["answer"] else outcome


def _read(row: dict, told: dict) -> tuple[str | None, str | None, bool]:
    """What a text after the cue says, strictly and leniently, and whether it was cut before it had said so.

    Letters of options in another order become those that the options have in the question itself.
    """
    question = option_order.shuffled(row["question"], row["places"]) if row["places"] else row["question"]
    about = (told["text"], question["kind"], question["options"])
    strict, lenient = extract.forced(*about), extract.forced(*about, lenient=True)
    # A letter has been said where more follows it; a number cut at the token limit might have gone on.
    said = question["options"] and strict.span and strict.span[1] < len(told["text"])
    if not (told["finished"] or said):
        return None, None, True
    letters = [found.answer for found in (strict, lenient)]
    if row["places"]:
        letters = [letter and LETTERS[row["places"][LETTERS.index(letter)]] for letter in letters]
    return *letters, False


def _answer(row: dict) -> dict:
    question, reference = row["question"], row["own"] and row["own"]["answer"]
    outcome, answer = row.get("outcome", row["missing"]), row.get("answer")
    if row["test"] == "full" and row["chain"]["outcome"] == "truncated":
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
        "text": row.get("wrote"),
        "lenient": row.get("lenient") if outcome != "truncated" else None,
        "read_from": "options" if question["options"] and row.get("wrote") is None else "cue",
        "turn": row["turn"],
        "p_reference": row.get("p_reference"),
        "probabilities": probabilities,
        "option_mass": row.get("option_mass"),
    }
