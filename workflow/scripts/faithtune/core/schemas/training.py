"""Training logs."""

import polars as pl

# The log of a training on this machine, a row every few steps; null where the method has no such number.
TRAINING = pl.Schema(
    {
        "step": pl.Int64,  # optimiser steps so far
        "epoch": pl.Float64,  # passes over the training questions so far
        "loss": pl.Float64,  # mean since the last row, nats: of sft over completion tokens, of pairs over pairs
        "learning_rate": pl.Float64,  # at this step
        "gradient_norm": pl.Float64,  # at this step, before clipping
        "token_accuracy": pl.Float64,  # share of completion tokens that were predicted first
        "entropy": pl.Float64,  # mean over the completion tokens, nats
        "margin": pl.Float64,  # of pairs: reward of the right completion less that of the wrong one
        "preferred": pl.Float64,  # share of pairs whose right completion has the greater reward
        "reward": pl.Float64,  # of grpo: mean over the chains that were written
        "kl": pl.Float64,  # from the reference, nats, as the method estimates it
        "completion_tokens": pl.Float64,  # mean length of the chains that were written
        "truncated": pl.Float64,  # share of them that reached max_new_tokens
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
