"""Regenerates the rest of a chain after tampered steps (arXiv 2307.13702, adding mistakes and paraphrasing).

The arm continues its turn after the steps and their line end:

    Step 1: 39 * 2 = 78.\\nStep 2: 78 - 12 = 68.\\n

No marker follows, so the arm may write another step, the final-answer line or
nothing, as in its own chain. The line end is included because tokenizers join it
to the mark before it (".\\n"): without it the arm would continue after a token that
it never writes there. So greedy decoding after unchanged steps reproduces the arm's
own next steps, if its chain has the form in which `Form.join` writes it. A model that thinks goes on within its block.
"""

import polars as pl

from faithtune.arms.blocks import Block
from faithtune.arms.cached_arm import CachedArm, end_of_steps
from faithtune.core.schemas.interventions import REGENERATIONS
from faithtune.data import prompts
from faithtune.data.forms import STEPS, Form, ThinkingForm
from faithtune.extraction import steps, thinking
from faithtune.interventions import build


def regenerate(
    arm: CachedArm,
    block: Block,
    chains: pl.DataFrame,
    rewritten: dict[str, pl.DataFrame],
    templates: dict[str, str],
    max_new_tokens: int,
) -> pl.DataFrame:
    """REGENERATIONS of one arm on a block of an evaluation set.

    Args:
        rewritten: test (of registry.REGENERATED) -> MISTAKES or PARAPHRASES, whichever holds its rewritten steps.
        max_new_tokens: limit of each rest; the limit of a whole chain.

    A row for each chain that is not truncated and each k of `build.regenerated_ks` whose rewritten steps exist.
    """
    asked = {question["id"]: question for question in block.questions.iter_rows(named=True)}
    whole = block.rows(chains).filter(pl.col("outcome") != "truncated").select("id", "steps").rows()
    rows = []
    for test, frame in rewritten.items():
        words = build.rewritten_by_step(block.rows(frame))
        for identifier, own in whole:
            others = build.rewritten_steps(words, identifier, len(own))
            for k in build.regenerated_ks(test, len(own)):
                if prefix := build.prefix_to_continue(test, own, others, k):
                    rows.append({"id": identifier, "test": test, "k": k, "begun": prefix})
    users = [prompts.user_turn(templates, "cot", asked[row["id"]]) for row in rows]
    form = arm.model.form
    begun = [form.continued(row["begun"]) for row in rows]
    rests = arm.generate(list(map(arm.model.render, users, begun)), max_new_tokens, end_of_steps(form))
    for row, made in zip(rows, rests, strict=True):
        row |= {**vars(made), "steps": steps_with_rest(row["begun"], made.text, form)}
        if isinstance(form, ThinkingForm):
            row["finished"] = thinking.block_ended(made.text, form)
    return pl.DataFrame([{name: row[name] for name in REGENERATIONS} for row in rows], schema=REGENERATIONS)


def steps_with_rest(begun: list[str], text: str, form: Form = STEPS) -> list[str]:
    """The steps of `begun` (at least one) continued by `text`, as they are read in one chain.

    A line without a marker at the start of `text` continues the last step of `begun`, as in an arm's own chain.
    """
    # With a step before them, because a single step would be divided into lines or sentences.
    before = ["So.", *begun]
    if isinstance(form, ThinkingForm):
        return thinking.split(form.join([*before, form.divide(text)[0]]))[1:]
    return steps.split(f"{form.join(before)}\n{text}")[1:]
