"""Holm's correction of p over a study's changes: computed once, so that an effect has one p_holm in all tables.

There are four families: changes of accuracy and changes of match, each on single evaluation sets and averaged over
them. A change of faithfulness is the change of match with a sign, so both are one hypothesis. Every other effect (by
the lenient extractor, soft, leak-free, ...) is a check of one of these and has no p_holm.

mde is corrected with p: a study finds an effect of a large family only where it is larger.
"""

import polars as pl

from faithtune.core.schemas.estimates import ESTIMATES
from faithtune.measures.cell import AVERAGES
from faithtune.measures.stats import significance

# Rows of ESTIMATES with the corrected p: what tables select from.
SELECTION = pl.Schema(
    {
        **ESTIMATES,
        "p_holm": pl.Float64,  # p corrected over the effects of its kind in the study; null for other rows
        "mde_holm": pl.Float64,  # minimum detectable effect where p is corrected; null likewise
    }
)
_WHERE = ("model", "arm", "eval_set", "test", "alpha", "k", "metric")
_AVERAGED = pl.col("eval_set").is_in(AVERAGES)
_HYPOTHESIS = pl.col("metric").replace("faithfulness_effect", "match_effect")
_OF_ACCURACY = (pl.col("metric") == "accuracy_effect") & pl.col("test").is_in(["no_cot", "cot"])
# At each α on single sets, over all α in averages, as the main tables show it.
_OF_MATCH = (_HYPOTHESIS == "match_effect") & (pl.col("alpha").is_null() == _AVERAGED)
_FAMILIES = tuple(kind & averaged for kind in (_OF_ACCURACY, _OF_MATCH) for averaged in (_AVERAGED, ~_AVERAGED))


def corrected(estimates: pl.DataFrame, confidence: float) -> pl.DataFrame:
    """SELECTION: all rows of ESTIMATES, with p_holm and mde_holm."""
    families = [_family(estimates.filter(family, pl.col("p").is_not_null()), confidence) for family in _FAMILIES]
    none = pl.lit(None, pl.Float64)
    found = pl.concat([estimates.select(*_WHERE, p_holm=none, mde_holm=none).clear(), *families])
    joined = estimates.with_columns(hypothesis=_HYPOTHESIS).join(
        found.rename({"metric": "hypothesis"}),
        on=[*_WHERE[:-1], "hypothesis"],
        how="left",
        nulls_equal=True,
        maintain_order="left",
    )
    return joined.select(*SELECTION)


def _family(rows: pl.DataFrame, confidence: float) -> pl.DataFrame:
    """The hypotheses that the rows test, each once, with p_holm and mde_holm."""
    tested = rows.with_columns(metric=_HYPOTHESIS).unique(_WHERE, keep="first", maintain_order=True)
    larger = significance.correct_detectable(1.0, confidence, max(1, tested.height))
    p = pl.Series(significance.holm(tested["p"].to_list()), dtype=pl.Float64)
    return tested.select(*_WHERE, p_holm=p, mde_holm=pl.col("mde") * larger)
