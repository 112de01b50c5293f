"""Answers after each part of a chain."""

import polars as pl

# An arm's answer after an intervention, after its whole chain, or without a chain.
ANSWERS = pl.Schema(
    {
        "id": pl.String,
        "group": pl.String,
        "test": pl.String,  # as in INTERVENTIONS, no_cot_shuffled (options reordered), again (full, a second time)
        "k": pl.Int32,  # as in INTERVENTIONS
        "n_steps": pl.Int32,  # N of the chain
        # answered | unanswered | truncated (the chain, its regenerated rest, or a number at answers.max_new_tokens)
        # | unavailable (no intervention)
        "outcome": pl.String,
        "answer": pl.String,  # letter or canonical number; null unless answered
        "correct": pl.Boolean,  # answer equals the gold answer; null unless answered
        "reference": pl.String,  # the arm's own full-chain answer; null if it gave none
        "match": pl.Boolean,  # answer equals reference; null if either is missing
        "text": pl.String,  # what the arm wrote after the cue; null if a letter was read off probabilities
        "lenient": pl.String,  # the answer read leniently, which accepts any option_mass; null if there is none
        "read_from": pl.String,  # options (probabilities) | cue (the text after it) | chain (an imported declaration)
        # How the chain was given before the cue: continued (in the arm's open turn), retold (in a closed turn, by
        # chat); null for imported chains
        "turn": pl.String,
        "p_reference": pl.Float64,  # probability of the reference answer after this text
        "probabilities": pl.List(pl.Float64),  # over the options, sums to 1; empty if there are none
        "option_mass": pl.Float64,  # probability of all option letters together; null if there are none
        "unleaked": pl.Int32,  # steps before the first that mentions reference; null if that is null
    }
)
