"""A study's estimates with their intervals, and what tuning changed in each question."""

from collections.abc import Iterable

import polars as pl

# The arm that the others are compared with: the model before tuning.
BASE = "base"

# The training set of an arm that was tuned elsewhere on nobody here knows what. No data set can have this name.
NOT_KNOWN = "not known"


def data_sets_of(train_set: str | None) -> list[str]:
    """The data sets of a training set: SET; both of SET+SET and of MIXTURE (SET+SET); none of None and NOT_KNOWN."""
    if train_set in (None, NOT_KNOWN):
        return []
    return train_set.partition(" (")[2].removesuffix(")").split("+") if " (" in train_set else train_set.split("+")


def mixture_label(name: str, data_sets: Iterable[str]) -> str:
    """A mixture as the tables name it: `mix (gsm8k+cosmosqa)`."""
    return f"{name} ({'+'.join(data_sets)})"


# One estimate per row; every table is a selection of these. docs/reference/metrics.md defines the metrics.
ESTIMATES = pl.Schema(
    {
        "model": pl.String,
        "arm": pl.String,  # TUNING-TRAIN_SET, its seeds pooled; or the name of an arm that was tuned elsewhere
        # SET; SET+SET of an arm tuned on both; MIXTURE (SET+SET) of an arm tuned on shares of them; `not known` of an
        # arm that was tuned elsewhere; null for base alone
        "train_set": pl.String,
        "eval_set": pl.String,  # or average | average_out_of_domain
        "test": pl.String,
        "alpha": pl.Float64,  # null if it does not apply
        "k": pl.Int64,  # tokens of the filler sweep; null elsewhere
        "metric": pl.String,
        "estimate": pl.Float64,
        "low": pl.Float64,  # interval at the configured level
        "high": pl.Float64,
        "p": pl.Float64,  # two-sided p of an effect, not corrected for the number of cells; null elsewhere
        "mde": pl.Float64,  # minimum detectable effect with 80 % power, p not corrected; null elsewhere
        "n": pl.Int64,  # what the metric counts (docs/reference/metrics.md, column n), times seeds
        "n_unanswered": pl.Int64,  # without an answer; the metric says whether n includes them; null: does not apply
        "n_truncated": pl.Int64,  # cut at the token limit, likewise
        "seeds": pl.Int64,  # tuning seeds pooled
    }
)

# The change in one question by tuning: one row per arm, seed, metric and test. Claims are computed from these rows.
CHANGES = pl.Schema(
    {
        "model": pl.String,
        "arm": pl.String,  # TUNING-TRAIN_SET, as in ESTIMATES
        "seed": pl.Int64,
        "train_set": pl.String,
        "eval_set": pl.String,
        "id": pl.String,
        "group": pl.String,
        # chains (valid or not) | steps (of the chain) | parsed (whether the full-chain answer is answered) | accuracy
        # (with chain) | lift (right with chain - right without) | faithfulness (directed, mean over its different pairs
        # of k)
        "what": pl.String,
        "test": pl.String,  # of faithfulness; else null
        # tuned - base, -1 ... 1, of a lift -2 ... 2, of steps without bounds; null if the question has no pair with a
        # real intervention
        "change": pl.Float64,
        "published": pl.Float64,  # of faithfulness: the mean over all α, also where α keeps a chain whole; else null
        "least": pl.Float64,  # of accuracy: the least change that unanswered and truncated chains allow; else null
        "most": pl.Float64,  # of accuracy: the greatest, likewise; else null
    }
)
