"""Sums of the spend ledger: the calls, tokens and cost of each model, arm and stage."""

import polars as pl

from faithtune.core.schemas.spend import SPEND

# SPEND by model, arm and stage.
SUMMARY = pl.Schema(
    {
        "model": pl.String,  # "all": the whole study
        "arm": pl.String,  # "total": all arms and stages
        "stage": pl.String,  # null in a total
        "calls": pl.Int64,  # paid or reserved
        "unsettled": pl.Int64,  # reserved only
        "prompt_tokens": pl.Int64,  # of paid calls
        "completion_tokens": pl.Int64,  # likewise
        "usd_paid": pl.Float64,  # null if a call has no price
        "usd_reserved": pl.Float64,  # for the unsettled calls; null likewise
    }
)


def summary(frame: pl.DataFrame) -> pl.DataFrame:
    """SUMMARY of SPEND, in the order of the first calls."""
    paid, reserved = pl.col("state") == "paid", pl.col("state") == "reserved"
    sums = frame.group_by("model", "arm", "stage", maintain_order=True).agg(
        calls=(paid | reserved).sum(),
        unsettled=reserved.sum(),
        prompt_tokens=pl.col("prompt_tokens").filter(paid).sum(),
        completion_tokens=pl.col("completion_tokens").filter(paid).sum(),
        usd_paid=known_sum(pl.col("usd").filter(paid)),
        usd_reserved=known_sum(pl.col("usd").filter(reserved)),
    )
    return sums.cast(dict(SUMMARY))


def with_totals(ledgers: list[pl.DataFrame]) -> pl.DataFrame:
    """SUMMARY of frames of SPEND with a total for each model and one for all; no rows without calls."""
    frame, parts = pl.concat([pl.DataFrame(schema=SPEND), *ledgers]), [pl.DataFrame(schema=SUMMARY)]
    for _, calls in frame.group_by("model", maintain_order=True):
        parts += [summary(calls), summary(_as_one(calls))]
    if frame["model"].n_unique() > 1:
        parts.append(summary(_as_one(frame.with_columns(model=pl.lit("all")))))
    return pl.concat(parts)


def known_sum(usd: pl.Expr) -> pl.Expr:
    """The sum of USD, null if a part has no price."""
    return pl.when(usd.null_count() == 0).then(usd.sum())


def _as_one(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(arm=pl.lit("total"), stage=pl.lit(None, pl.String))
