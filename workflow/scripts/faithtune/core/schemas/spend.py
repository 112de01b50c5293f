"""Spending at hosts: the ledger and the forecast."""

import polars as pl

# An attempt at a call of a host; reserved before the call.
SPEND = pl.Schema(
    {
        "key": pl.String,  # the row's key in the row store; for a tuning its fingerprint
        "attempt": pl.Int64,  # from 1
        "model": pl.String,  # its name in the configuration
        "host_model": pl.String,  # its name at the host
        "arm": pl.String,
        "eval_set": pl.String,  # null for a tuning
        "stage": pl.String,  # check, chains, answers, tune, ...
        "endpoint": pl.String,  # chat | completions | fine_tuning
        "batch": pl.Boolean,  # through the Batch endpoint
        "prompt_tokens": pl.Int64,  # paid: as counted by the host, else estimated; for a tuning, trained tokens
        "completion_tokens": pl.Int64,  # paid: as counted by the host, else the limit
        "usd": pl.Float64,  # paid: the cost, released: 0, else the most that it may cost; null: no known price
        "state": pl.String,  # paid | reserved (no response, now or ever: may have been charged) | released (free)
        "at": pl.String,  # time of the reservation, UTC, ISO 8601
    }
)

# A forecast of calls of hosts, a row for each stage of an arm on an evaluation set.
FORECAST = pl.Schema(
    {
        "model": pl.String,  # that the host runs: for paraphrases and mistakes the paraphraser
        "arm": pl.String,  # that wrote the chains
        "eval_set": pl.String,  # null for a tuning
        "stage": pl.String,  # tune | check | chains | paraphrases | mistakes | regenerations | answers | crossed
        "host_model": pl.String,  # its name at the host
        "batch": pl.Boolean,  # through the Batch endpoint, at its price
        "calls": pl.Int64,  # distinct rows, including those already stored
        "prompt_tokens": pl.Int64,  # of all calls; for a tuning, trained tokens
        "completion_tokens": pl.Int64,  # of all calls; unknown lengths are assumed
        "usd": pl.Float64,  # of all calls; null: no known price
        "calls_left": pl.Int64,  # calls whose answer is not in the row store yet
        "usd_left": pl.Float64,  # cost of these calls
        "usd_left_most": pl.Float64,  # as the ledger reserves it: longest answers, and a retry of every paraphrase
        "assumed": pl.Boolean,  # computed from assumed chains or lengths
    }
)
