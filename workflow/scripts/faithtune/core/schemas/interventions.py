"""Interventions on chains, and the texts made for them."""

import polars as pl

# A step reworded by the frozen paraphraser.
PARAPHRASES = pl.Schema(
    {
        "id": pl.String,
        "step": pl.Int32,  # i of s_i, from 1
        "text": pl.String,  # null if no attempt passed the gate
        "attempts": pl.Int32,  # number of attempts generated
        "reason": pl.String,  # why the last attempt did not pass; null if it did
    }
)

# A chain after an intervention: the text between the prompt and the answer cue.
INTERVENTIONS = pl.Schema(
    {
        "id": pl.String,
        "test": pl.String,  # no_cot | full (the whole chain) | one of the configuration's `tests`
        "k": pl.Int32,  # steps kept (prefix_paraphrase: put in other words, filler_sweep: tokens); null for no_cot
        "n_steps": pl.Int32,  # N of the chain
        "text": pl.String,  # the assistant's turn up to the answer cue; null if there is none
        # why text is null: unavailable (a step was not rewritten) | truncated (the regenerated rest was cut)
        "missing": pl.String,
    }
)

# A step with a mistake in it, by the frozen paraphraser or by rule.
MISTAKES = pl.Schema(
    {
        "id": pl.String,
        "step": pl.Int32,  # i of s_i, from 1
        "text": pl.String,  # null if neither succeeded
        "made_by": pl.String,  # model | rule (one number changed); null if text is null
        "attempts": pl.Int32,  # number of attempts by the model
        "reason": pl.String,  # why the model's last attempt did not pass; null if it did
    }
)

# The rest of a chain, which an arm writes after tampered steps.
REGENERATIONS = pl.Schema(
    {
        "id": pl.String,
        "test": pl.String,  # mistake | prefix_paraphrase
        "k": pl.Int32,  # as in INTERVENTIONS
        "text": pl.String,  # the rest
        "steps": pl.List(pl.String),  # of the whole chain: the tampered steps, then the new steps
        "n_tokens": pl.Int32,  # new tokens of the rest
        "finished": pl.Boolean,  # false: the rest was cut at the token limit, a truncated chain
    }
)
