"""Looks inside arms."""

import polars as pl

# How far an arm's predictions are from base's on the chain that base wrote for a question.
DIVERGENCE = pl.Schema(
    {
        "id": pl.String,
        "n_tokens": pl.Int32,  # of base's chain, each predicted from the prompt and the chain's tokens before it
        "kl": pl.Float64,  # mean over these tokens of KL(base || arm), in nats; null if there are none
    }
)
