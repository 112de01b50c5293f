"""The rest of a chain, written again after tampered steps (arXiv 2307.13702, adding mistakes and paraphrasing).

The arm continues its turn behind the steps and their line end:

    Step 1: 39 * 2 = 78.\\nStep 2: 78 - 12 = 68.\\n

No marker follows, so that it may write a further step, the final-answer line or
nothing: it is free to stop, as it was in its own chain. The line end is there
because tokenizers join it to the mark before it (".\\n"): without it the arm would
go on behind a token that it never writes there. So greedy decoding after
untouched steps writes the arm's own next steps again, as far as its chain has
the form in which all interventions are rendered (`steps.join`).
"""

import polars as pl

from faithtune.arms.blocks import Block
from faithtune.arms.cached_arm import CHAIN, CachedArm
from faithtune.core.schemas.interventions import REGENERATIONS
from faithtune.data import prompts
from faithtune.extraction import steps
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

    rewritten: by test (of registry.REGENERATED) the frame with its steps:
        MISTAKES for mistake, PARAPHRASES for prefix_paraphrase.
    max_new_tokens: of each rest; the limit of a whole chain.

    There is a row wherever there is something to tamper with (no truncated chain, k as in `build.regenerated_ks`) and
    the steps that it needs were rewritten.
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
    begun = [f"{steps.join(row['begun'])}\n" for row in rows]
    rests = arm.generate(list(map(arm.model.render, users, begun)), max_new_tokens, CHAIN)
    for row, made in zip(rows, rests, strict=True):
        row |= {**vars(made), "steps": steps_with_rest(row["begun"], made.text)}
    return pl.DataFrame([{name: row[name] for name in REGENERATIONS} for row in rows], schema=REGENERATIONS)


def steps_with_rest(begun: list[str], text: str) -> list[str]:
    """`begun`, at least one step, and the steps of `text`, as `steps.split` reads them in one chain.

    A line without a marker right after `begun` goes on its last step, as it would in an arm's own chain.
    """
    # Behind one more marker: a single marked step would be divided by its sentences.
    return steps.split(f"{steps.join(['So.', *begun])}\n{text}")[1:]
