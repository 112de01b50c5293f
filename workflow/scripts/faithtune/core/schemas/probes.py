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

# What was found inside an arm, one number a row. `probes/registry.py` defines the measures.
PROBES = pl.Schema(
    {
        "id": pl.String,  # null where the number is of the arm as a whole
        "measure": pl.String,  # a name in `probes.registry`
        # what is hidden, removed, attended to or looked at, as the measure says; null if it does not apply
        "part": pl.String,
        "k": pl.Int32,  # steps of the chain that are there; of `part` step: its number, from 1; else null
        # a layer: of hidden states 0 for the embeddings, then 1 for the first; elsewhere 0 for the first. Of a window
        # its first layer. Null: all layers
        "layer": pl.Int32,
        "last_layer": pl.Int32,  # of a window of layers: its last; else null
        "head": pl.Int32,  # of attention, from 0; null: the mean over all heads
        "scale": pl.Float64,  # by which the adapter was multiplied; null if it does not apply
        "option": pl.String,  # the letter that a linear probe scores; else null
        # of an answer that was asked for: answered | unanswered | truncated; null where nothing was asked
        "outcome": pl.String,
        "value": pl.Float64,  # null where it is undefined
        "low": pl.Float64,  # interval of a number of the arm as a whole at the configured level; else null
        "high": pl.Float64,
    }
)
