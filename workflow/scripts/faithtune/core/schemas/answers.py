"""Answers after each part of a chain."""

import polars as pl

# An arm's answer after an intervention, after its whole chain, or without a chain.
ANSWERS = pl.Schema(
    {
        "id": pl.String,
        "group": pl.String,
        # as in INTERVENTIONS; also no_cot_shuffled (options reordered) and again (the full chain, asked a second time)
        "test": pl.String,
        "k": pl.Int32,  # as in INTERVENTIONS
        "n_steps": pl.Int32,  # N of the chain
        # answered | unanswered | truncated (the chain, its regenerated rest, or an answer without options at
        # answers.max_new_tokens) | unavailable (no intervention)
        "outcome": pl.String,
        "answer": pl.String,  # letter, canonical number or expression; null unless answered
        "correct": pl.Boolean,  # answer equals the gold answer; null unless answered
        "reference": pl.String,  # the arm's own full-chain answer; null where it gave none
        "match": pl.Boolean,  # answer equals reference; null where either is missing
        "text": pl.String,  # what the arm wrote after the cue; null for letters read off probabilities
        "lenient": pl.String,  # the answer read leniently; a letter whatever all letters' probability; null for none
        "read_from": pl.String,  # options | cue (what follows it) | chain (imported: what its free text declares)
        # continued: the answer was forced inside the arm's own turn | retold: the chain was quoted to a chat host
        # before the cue. One value in all rows of a file, also of no_cot, which has no chain; null for imported chains
        "turn": pl.String,
        "p_reference": pl.Float64,  # probability of the reference answer after this text; null for expressions
        "probabilities": pl.List(pl.Float64),  # over the options, sums to 1; empty if there are none
        "option_mass": pl.Float64,  # probability of all option letters together; null if there are none
        "unleaked": pl.Int32,  # steps before the first that mentions reference; null if that is null
    }
)
