"""What hosts are paid, and are to be paid."""

import polars as pl

# An attempt at a call of a host, counted before it is made.
SPEND = pl.Schema(
    {
        "key": pl.String,  # the row's in the row store; of a tuning its fingerprint
        "attempt": pl.Int64,  # from 1
        "model": pl.String,  # its name in the configuration
        "host_model": pl.String,  # its name at the host
        "arm": pl.String,
        "eval_set": pl.String,  # null for a tuning
        "stage": pl.String,  # chains, answers, tune, ...
        "endpoint": pl.String,  # chat | completions | fine_tuning
        "batch": pl.Boolean,  # through the Batch endpoint
        "prompt_tokens": pl.Int64,  # as the host counted them once paid, else the estimate; of a tuning, trained ones
        "completion_tokens": pl.Int64,  # likewise; else the most that may be written
        "usd": pl.Float64,  # once paid what it cost, once released 0, else the most it may; null: no price is known
        "state": pl.String,  # paid | reserved (no answer yet, or none ever: it may have been charged) | released (free)
        "at": pl.String,  # when it was reserved, UTC, ISO 8601
    }
)

# What is to be asked of hosts, a row for each stage of an arm on an evaluation set.
FORECAST = pl.Schema(
    {
        "model": pl.String,  # that is asked: of paraphrases and mistakes the paraphraser
        "arm": pl.String,  # whose chains they are
        "eval_set": pl.String,  # null for a tuning
        "stage": pl.String,  # tune | chains | paraphrases | mistakes | regenerations | answers
        "host_model": pl.String,  # its name at the host
        "batch": pl.Boolean,  # through the Batch endpoint, at its price
        "calls": pl.Int64,  # of the whole study: distinct rows
        "prompt_tokens": pl.Int64,  # of all calls; of a tuning, trained ones
        "completion_tokens": pl.Int64,  # of all calls, of assumed length where none is known
        "usd": pl.Float64,  # null: no price is known
        "calls_left": pl.Int64,  # of them those whose answer is not kept yet (row store)
        "usd_left": pl.Float64,  # what those cost
        "usd_left_most": pl.Float64,  # as the ledger reserves them: the longest answers, every paraphrase tried again
        "assumed": pl.Boolean,  # rests on assumed chains or lengths, not on what was written
    }
)
