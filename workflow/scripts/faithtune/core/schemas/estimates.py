"""Figures of a study with their intervals."""

import polars as pl

# The arm that the others are compared with: a model as it came.
BASE = "base"

# One estimate a row; every table is a selection of these.
ESTIMATES = pl.Schema(
    {
        "model": pl.String,
        "arm": pl.String,  # TUNING-TRAIN_SET, over its seeds
        "train_set": pl.String,  # null for base
        "eval_set": pl.String,  # or average | average_out_of_domain
        "test": pl.String,
        "alpha": pl.Float64,  # null where it does not apply
        "k": pl.Int64,  # tokens of the filler sweep; null elsewhere
        "metric": pl.String,
        "estimate": pl.Float64,
        "low": pl.Float64,  # interval at the configured level
        "high": pl.Float64,
        "p": pl.Float64,  # two-sided, of an effect or cot_lift, not corrected for the number of cells; null elsewhere
        "mde": pl.Float64,  # the effect that would have been found with 80 % power; null elsewhere
        "n": pl.Int64,  # answers the estimate rests on: questions, times seeds
        "n_unanswered": pl.Int64,  # have no answer; whether n holds them, the metric says; null: no matter
        "n_truncated": pl.Int64,  # cut at a token limit, likewise
        "seeds": pl.Int64,  # of the tuning, pooled
    }
)

# What tuning did to one question, a row for each arm, seed, thing that may change and test; claims rest on it.
CHANGES = pl.Schema(
    {
        "model": pl.String,
        "arm": pl.String,  # TUNING-TRAIN_SET, as in ESTIMATES
        "seed": pl.Int64,
        "train_set": pl.String,
        "eval_set": pl.String,
        "id": pl.String,
        "group": pl.String,
        "what": pl.String,  # accuracy (with chain) | faithfulness (directed, mean over α)
        "test": pl.String,  # null of accuracy
        "change": pl.Float64,  # tuned - base, -1 ... 1; null where the question has no pair
        "least": pl.Float64,  # of accuracy: the least it may be, whatever the unanswered and truncated were; else null
        "most": pl.Float64,  # of accuracy: the most it may be, likewise; else null
    }
)
