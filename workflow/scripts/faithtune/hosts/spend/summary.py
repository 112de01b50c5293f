"""The spend ledger summed: what each stage of an arm asked of its host, and what that cost."""

import polars as pl

from faithtune.core.schemas.spend import SPEND

# SPEND by model, arm and stage.
SUMMARY = pl.Schema(
    {
        "model": pl.String,  # its name in the configuration; all: of the whole study
        "arm": pl.String,  # total: over all arms and stages
        "stage": pl.String,  # null of a total
        "calls": pl.Int64,  # not released
        "unsettled": pl.Int64,  # of them, those still reserved
        "prompt_tokens": pl.Int64,  # of the paid ones
        "completion_tokens": pl.Int64,  # likewise
        "usd_paid": pl.Float64,  # null where a call has no price
        "usd_reserved": pl.Float64,  # for the unsettled calls; null likewise
    }
)


def summary(frame: pl.DataFrame) -> pl.DataFrame:
    """SUMMARY of SPEND, in the order in which hosts were asked."""
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
    """SUMMARY of frames of SPEND, model by model, with each one's total and that of all; no row without a call."""
    frame, parts = pl.concat([pl.DataFrame(schema=SPEND), *ledgers]), [pl.DataFrame(schema=SUMMARY)]
    for _, asked in frame.group_by("model", maintain_order=True):
        parts += [summary(asked), summary(_as_one(asked))]
    if frame["model"].n_unique() > 1:
        parts.append(summary(_as_one(frame.with_columns(model=pl.lit("all")))))
    return pl.concat(parts)


def known_sum(usd: pl.Expr) -> pl.Expr:
    """The sum of USD, null where a part has no price."""
    return pl.when(usd.null_count() == 0).then(usd.sum())


def _as_one(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(arm=pl.lit("total"), stage=pl.lit(None, pl.String))
