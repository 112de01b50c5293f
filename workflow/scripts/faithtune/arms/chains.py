"""Chains of thought: an arm reasons about each question, greedily, once."""

import polars as pl

from faithtune.arms.cached_arm import CHAIN, CachedArm, EndRule
from faithtune.core.schemas.chains import CHAINS
from faithtune.data import prompts
from faithtune.extraction import copies, extract, steps
from faithtune.settings.chains import ChainSettings


def write(arm: CachedArm, questions: pl.DataFrame, templates: dict[str, str], settings: ChainSettings) -> pl.DataFrame:
    """A chain (a row of CHAINS) for every question (QUESTIONS), in its order.

    With `settings.forced_start` the assistant's turn begins with "Step 1:", if the model continues turns. Without it
    an arm that no longer reasons shows it.
    """
    start = prompts.CHAIN_START if settings.forced_start and arm.model.continues else ""
    rows = questions.to_dicts()
    texts = [arm.model.render(prompts.user_turn(templates, "cot", row), start) for row in rows]
    end = EndRule(CHAIN.name, lambda text: CHAIN.ended(start + text))
    written = arm.generate(texts, settings.max_new_tokens, end)
    return pl.DataFrame(
        [
            read(row, start + made.text, made.finished, made.n_tokens, templates[f"cot_{row['kind']}"])
            for row, made in zip(rows, written, strict=True)
        ],
        schema=CHAINS,
    )


def read(question: dict, text: str, finished: bool, n_tokens: int | None, example: str = "") -> dict:
    """A row of CHAINS: the steps and the declared answer in the whole text of a chain.

    A text that is not finished is truncated, and nothing that it declares counts.
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
        "n_copied": copies.count_copied(parts, example),
        "n_tokens": n_tokens,
        "outcome": ("answered" if answered else "unanswered") if finished else "truncated",
        "why": strict.outcome if strict.outcome in ("refused", "ambiguous") else None,
        "free_answer": strict.answer,
        "span": list(strict.span) if strict.span else None,
        "lenient": lenient.answer,
    }
