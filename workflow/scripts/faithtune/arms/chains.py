"""Chains of thought: an arm reasons about each question, greedily, once."""

from collections.abc import Callable

import polars as pl

from faithtune.arms.row_store import RowStore, row_key
from faithtune.core.schemas.chains import CHAINS
from faithtune.data import prompts
from faithtune.extraction import extract, steps
from faithtune.models.backend import Model


def write(
    model: Model,
    keep: tuple[RowStore, str],
    questions: pl.DataFrame,
    templates: dict[str, str],
    max_new_tokens: int,
    forced_start: bool,
) -> pl.DataFrame:
    """A chain (a row of CHAINS) for every question (QUESTIONS), in its order.

    `keep` is a row store and the arm's fingerprint. With `forced_start` the
    assistant's turn begins with "Step 1:", if the model continues turns; without it an
    arm that no longer reasons shows it.
    """
    start = prompts.CHAIN_START if forced_start and model.continues else ""
    rows = questions.to_dicts()
    texts = [model.render(prompts.user_turn(templates, "cot", row), start) for row in rows]
    written = generate(model, keep, texts, max_new_tokens, "chain", lambda text: steps.free_text_end(start + text))
    return pl.DataFrame(
        [
            read(row, start + made["text"], made["finished"], made["n_tokens"], templates[f"cot_{row['kind']}"])
            for row, made in zip(rows, written, strict=True)
        ],
        schema=CHAINS,
    )


def generate(
    model: Model,
    keep: tuple[RowStore, str],
    texts: list[str],
    max_new_tokens: int,
    end_rule: str,
    ended: Callable[[str], bool],
) -> list[dict]:
    """Continue texts through the row store: {"text", "n_tokens", "finished"} each.

    `end_rule` names what `ended` decides: it is part of the row's key.
    """
    store, arm = keep
    task = {"do": "generate", "max_new_tokens": max_new_tokens, "end": end_rule}
    keys = [row_key(arm, model.prompt_key(text), task, model.engine) for text in texts]

    def compute(missing: list[int]):
        asked, their_keys = [texts[i] for i in missing], [keys[i] for i in missing]
        for place, made in model.generate(asked, max_new_tokens, ended, their_keys):
            yield missing[place], {"text": made.text, "n_tokens": made.n_tokens, "finished": made.finished}

    return store.through(keys, compute)


def read(question: dict, text: str, finished: bool, n_tokens: int | None, example: str = "") -> dict:
    """A row of CHAINS: what stands in the whole text of a chain.

    A text that is not finished is truncated, and nothing it declares counts.
    `example`: the prompt, whose steps may be copied.
    """
    about = (question["kind"], question["options"])
    strict = extract.declared(text, *about) if finished else extract.UNANSWERED
    lenient = extract.declared(text, *about, lenient=True) if finished else extract.UNANSWERED
    parts = steps.split(text)
    answered = strict.outcome == "answered"
    return {
        "id": question["id"],
        "text": text,
        "steps": parts,
        "n_steps": len(parts),
        "n_copied": sum(step in example for step in parts),
        "n_tokens": n_tokens,
        "outcome": ("answered" if answered else "unanswered") if finished else "truncated",
        "why": strict.outcome if strict.outcome in ("refused", "ambiguous") else None,
        "free_answer": strict.answer,
        "span": list(strict.span) if strict.span else None,
        "lenient": lenient.answer,
    }
