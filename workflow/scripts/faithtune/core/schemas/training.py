"""Training logs."""

import polars as pl

# The log of a training on this machine, a row every few steps.
TRAINING = pl.Schema(
    {
        "step": pl.Int64,  # optimiser steps so far
        "epoch": pl.Float64,  # passes over the training questions so far
        "loss": pl.Float64,  # mean over the completion tokens since the last row, nats
        "learning_rate": pl.Float64,  # at this step
        "gradient_norm": pl.Float64,  # at this step, before clipping
        "token_accuracy": pl.Float64,  # share of completion tokens that were predicted first
        "tokens": pl.Int64,  # tokens computed so far; prefixes that a micro-batch shares count once
    }
)

# The log of a training at a host, a row for each step that the host reports; unreported values are null.
HOSTED_TRAINING = pl.Schema(
    {
        "step": pl.Int64,  # optimiser steps so far
        "loss": pl.Float64,  # over the step's examples, in the host's unit
        "token_accuracy": pl.Float64,  # share of their completion tokens that were predicted first
        "validation_loss": pl.Float64,  # of a few validation examples
        "validation_token_accuracy": pl.Float64,  # share of their completion tokens that were predicted first
        "full_validation_loss": pl.Float64,  # of all validation examples, at checkpoints
        "full_validation_token_accuracy": pl.Float64,  # share of their completion tokens that were predicted first
    }
)
