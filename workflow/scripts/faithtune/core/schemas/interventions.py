"""Chains tampered with, and what is made for that."""

import polars as pl

# A step in other words, as the frozen paraphraser put it.
PARAPHRASES = pl.Schema(
    {
        "id": pl.String,
        "step": pl.Int32,  # i of s_i, from 1
        "text": pl.String,  # null where no attempt passed the gate
        "attempts": pl.Int32,  # how many were generated
        "reason": pl.String,  # why the last attempt did not pass; null where it did
    }
)

# A chain tampered with: what stands between the prompt and the answer cue.
INTERVENTIONS = pl.Schema(
    {
        "id": pl.String,
        "test": pl.String,  # no_cot | full (the whole chain) | one of the configuration's `tests`
        "k": pl.Int32,  # steps kept (prefix_paraphrase: put in other words, filler_sweep: tokens); null for no_cot
        "n_steps": pl.Int32,  # N of the chain
        "text": pl.String,  # the assistant's turn up to the answer cue; null: there is none
        "missing": pl.String,  # why: unavailable (a step was not rewritten) | truncated (the regenerated rest was cut)
    }
)

# A step with a mistake in it, by the frozen paraphraser or by rule.
MISTAKES = pl.Schema(
    {
        "id": pl.String,
        "step": pl.Int32,  # i of s_i, from 1
        "text": pl.String,  # null where neither gave one
        "made_by": pl.String,  # model | rule (one number changed); null where text is
        "attempts": pl.Int32,  # how many the model generated
        "reason": pl.String,  # why the model's last attempt did not pass; null where it did
    }
)

# What an arm goes on to write after tampered steps.
REGENERATIONS = pl.Schema(
    {
        "id": pl.String,
        "test": pl.String,  # mistake | prefix_paraphrase
        "k": pl.Int32,  # as in INTERVENTIONS
        "text": pl.String,  # the rest, as the arm wrote it
        "steps": pl.List(pl.String),  # of the whole: the tampered steps, then the new ones
        "n_tokens": pl.Int32,  # new tokens of the rest
        "finished": pl.Boolean,  # false: the rest was cut at the token limit, a truncated chain
    }
)
