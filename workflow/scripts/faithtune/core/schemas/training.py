"""What trainings log."""

import polars as pl

# The training log, a row every few steps.
TRAINING = pl.Schema(
    {
        "step": pl.Int64,  # optimiser steps done
        "epoch": pl.Float64,  # passes over the training questions done
        "loss": pl.Float64,  # mean over the completion tokens since the last row, nats
        "learning_rate": pl.Float64,  # at this step
        "gradient_norm": pl.Float64,  # at this step, before clipping
        "token_accuracy": pl.Float64,  # share of completion tokens predicted first
        "tokens": pl.Int64,  # tokens computed so far, of equal beginnings in a micro-batch one
    }
)

# The training log of a host, a row for each step it tells of; whatever it does not tell is null.
HOSTED_TRAINING = pl.Schema(
    {
        "step": pl.Int64,  # optimiser steps done
        "loss": pl.Float64,  # of the step's examples, in the host's unit
        "token_accuracy": pl.Float64,  # share of their completion tokens predicted first
        "validation_loss": pl.Float64,  # of a few validation examples
        "validation_token_accuracy": pl.Float64,  # share of their completion tokens predicted first
        "full_validation_loss": pl.Float64,  # of all validation examples, at checkpoints
        "full_validation_token_accuracy": pl.Float64,  # share of their completion tokens predicted first
    }
)
