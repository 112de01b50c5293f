"""Chains that a model drew for training questions."""

import polars as pl

# A chain that a model drew at a temperature for a training question. Wrong and truncated chains are kept.
SAMPLES = pl.Schema(
    {
        "id": pl.String,
        "sample": pl.Int32,  # 1 ... m
        "text": pl.String,  # as in CHAINS
        "steps": pl.List(pl.String),  # as in CHAINS
        "outcome": pl.String,  # as in CHAINS
        "free_answer": pl.String,  # as in CHAINS
        "right": pl.Boolean,  # free_answer is the right answer; false of an unanswered or truncated text
        "n_tokens": pl.Int32,  # new tokens
    }
)
