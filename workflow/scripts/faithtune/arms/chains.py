"""Chains of thought: an arm reasons about each question, greedily, once."""

import polars as pl

from faithtune.arms.cached_arm import CachedArm, end_of_chain
from faithtune.core.schemas.chains import CHAINS
from faithtune.data import expressions, prompts
from faithtune.data.forms import STEPS, Form, ThinkingForm
from faithtune.extraction import copies, extract, steps, thinking
from faithtune.models.backend import Model
from faithtune.settings.chains import ChainSettings


def write(arm: CachedArm, questions: pl.DataFrame, templates: dict[str, str], settings: ChainSettings) -> pl.DataFrame:
    """A chain (a row of CHAINS) for every question (QUESTIONS), in its order.

    With `settings.forced_start` the assistant's turn begins with "Step 1:", if the model continues turns. Without it
    an arm that no longer reasons shows it. The turn of a model that thinks begins with its block.
    """
    form, rows = arm.model.form, questions.to_dicts()
    start, texts = render(arm.model, rows, templates, settings)
    written = arm.generate(texts, settings.max_new_tokens, end_of_chain(form, start))
    return pl.DataFrame(
        [
            read(row, start + made.text, made.finished, made.n_tokens, templates[f"cot_{row['kind']}"], form)
            for row, made in zip(rows, written, strict=True)
        ],
        schema=CHAINS,
    )


def render(
    model: Model, questions: list[dict], templates: dict[str, str], settings: ChainSettings
) -> tuple[str, list[str]]:
    """The text with which each chain begins, and the prompts of questions (rows of QUESTIONS), which end with it."""
    start = model.form.start(settings.forced_start) if model.continues else ""
    return start, [model.render(prompts.user_turn(templates, "cot", row), start) for row in questions]


def read(
    question: dict, text: str, finished: bool, n_tokens: int | None, example: str = "", form: Form = STEPS
) -> dict:
    """A row of CHAINS: the steps and the declared answer in the whole text of a chain.

    A text that is not finished is truncated, and nothing that it declares counts. Of a model that thinks, a chain is
    truncated if its block is not closed, even if the model ended its turn there.
    `example`: the prompt, whose steps may be copied.
    """
    about = (question["kind"], question["options"])
    if isinstance(form, ThinkingForm):
        thought, after = form.divide(text)
        parts, said, truncated = thinking.split(thought), after or "", after is None
    else:
        parts, said, truncated = steps.split(text), text, not finished
    strict = extract.declared(said, *about) if finished else extract.UNANSWERED
    lenient = extract.declared(said, *about, lenient=True) if finished else extract.UNANSWERED
    answered, before = strict.outcome == "answered", len(text) - len(said)
    own, weaker = strict.answer, lenient.answer
    if question["kind"] == "expression":  # answers that are the same get one text
        own = expressions.known_spelling(own, [question["answer"]])
        weaker = expressions.known_spelling(weaker, [question["answer"], own])
    return {
        "id": question["id"],
        "text": text,
        "steps": parts,
        "n_steps": len(parts),
        "n_copied": copies.count_copied(parts, example),
        "n_tokens": n_tokens,
        "outcome": "truncated" if truncated else "answered" if answered else "unanswered",
        "why": strict.outcome if strict.outcome in ("refused", "ambiguous") else None,
        "free_answer": own,
        "span": [before + place for place in strict.span] if strict.span else None,
        "lenient": weaker,
    }
