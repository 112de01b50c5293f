"""Which rows of ESTIMATES a table shows, and Holm's correction over them."""

from collections.abc import Callable

import polars as pl

from faithtune.core.schemas.estimates import ESTIMATES
from faithtune.interventions.registry import having
from faithtune.measures.cell import AVERAGES
from faithtune.measures.metrics.registry import METRICS
from faithtune.measures.stats import significance
from faithtune.report.tables.cells import ENDS, TableContext

# Rows of ESTIMATES, and p corrected by Holm's method over the table's effects.
SELECTION = pl.Schema(
    {
        **ESTIMATES,
        "p_holm": pl.Float64,  # p corrected over the effects of this table; null elsewhere
    }
)
Rows = Callable[[pl.DataFrame, TableContext], pl.DataFrame]

# The metrics that tables show, in their order.
ACCURACY = ("accuracy", "accuracy_answered", "accuracy_effect", "cot_lift", "above_chance")
MATCH = (
    *("match", "match_leak_free", "match_soft", "match_k0", "again_match", "change_floored", "match_effect"),
    *("match_effect_leak_free", "match_effect_same_length", "match_effect_soft"),
    *("accuracy", "cot_lift", "above_chance", "shuffle_match"),
)
CHANGES = ("faithfulness_effect", "match_effect", "accuracy_effect")
BY_BOTH_EXTRACTORS = ("accuracy", "accuracy_effect", "match_effect")
LANHAM = ("aoc", "match", "match_k0", "change_floored", "match_effect", "accuracy", "above_chance")
DIAGNOSTIC = (
    *("chain_answered", "chain_unanswered", "chain_refused", "chain_ambiguous", "chain_truncated", "chain_missing"),
    *("chain_valid", "chain_copied"),
    *("chain_empty", "chain_single", "steps_copied", "n_steps", "n_tokens", "free_agreement", "option_mass"),
    *("parse_rate", "kept_whole", "match_k0", "again_match", "again_shift", "shuffle_match", "disguised"),
    *("disguised_normalised", "alpha_star", "alpha_star_median", "aoc", "chance", "above_chance", "paraphrase_pass"),
    *("mistake_pass", "mistake_by_rule", "unavailable"),
)
_BOUNDS_OF_ACCURACY, _BOUNDS_OF_MATCH = (
    METRICS[of].bounds + METRICS[f"{of}_effect"].bounds for of in ("accuracy", "match")
)
# Rows about one test's matches; faithfulness is in the Parquet file alone.
_OF_MATCH = (
    *("match", "match_leak_free", "match_soft", "match_k0", "change_floored", "faithfulness", "faithfulness_effect"),
    *("match_effect", "match_effect_leak_free", "match_effect_same_length", "match_effect_soft", *_BOUNDS_OF_MATCH),
)
_MATCH_TESTS, _LANHAM_TESTS = having(source="paper"), having(source="lanham")
# The arms of a rank ablation differ in these alone.
_OF_RANK = {"arm", "tuning", "rank", "alpha", "seed", "seeds"}


def _is_metric(*names: str) -> pl.Expr:
    return pl.col("metric").is_in(names)


# Every table needs these rows to mark arms at chance.
_ABOVE_CHANCE = _is_metric("above_chance")


def _where(expression: pl.Expr, beside: pl.Expr = _ABOVE_CHANCE) -> Rows:
    """The rows of `expression` and, if there are any, those of `beside`."""

    def rows(estimates: pl.DataFrame, study: TableContext) -> pl.DataFrame:
        there = estimates.filter(expression)
        return there if there.is_empty() else estimates.filter(expression | beside)

    return rows


_SINGLE = ~pl.col("eval_set").is_in(AVERAGES)
_ACCURACY = _is_metric("accuracy", "accuracy_answered", "accuracy_effect", "cot_lift", *_BOUNDS_OF_ACCURACY) & (
    (pl.col("eval_set") != AVERAGES[1]) & pl.col("k").is_null()  # k: of the filler sweep
)
accuracy = _where(_ACCURACY)
average_effects = _where(pl.col("eval_set").is_in(AVERAGES) & _is_metric(*CHANGES))
diagnostic = _where(_is_metric(*DIAGNOSTIC))
lanham = _where(
    pl.col("test").is_in(_LANHAM_TESTS) & _is_metric(*LANHAM, *ENDS) | _is_metric("aoc"),
    _SINGLE & pl.col("test").is_in(["cot", "no_cot"]) & _is_metric("accuracy", *_BOUNDS_OF_ACCURACY) | _ABOVE_CHANCE,
)


def matches(test: str) -> Rows:
    """The matches of one test and their controls; no rows if the study does not have the test."""
    own = (pl.col("test") == test) & _is_metric(*_OF_MATCH) & _SINGLE
    of_arm = _is_metric("again_match", "cot_lift", "shuffle_match") & _SINGLE
    without = _is_metric("accuracy", *_BOUNDS_OF_ACCURACY) & (pl.col("test") == "no_cot") & _SINGLE
    return _where(own, of_arm | without | _ABOVE_CHANCE)


def _of_ranks(expression: pl.Expr) -> Rows:
    def rows(estimates: pl.DataFrame, study: TableContext) -> pl.DataFrame:
        chosen = {(arm["model"], arm["arm"]) for arm in ablated(study.arms)}
        chosen |= {(model, "base") for model, _ in chosen}
        keys = pl.DataFrame(sorted(chosen), schema={"model": pl.String, "arm": pl.String}, orient="row")
        estimates = estimates.join(keys, on=["model", "arm"], how="semi", maintain_order="left")
        return _where(expression)(estimates, study)

    return rows


rank_accuracy = _of_ranks(_ACCURACY)
rank_matches = _of_ranks(
    _SINGLE & pl.col("test").is_in(_MATCH_TESTS) & _is_metric("match", "match_effect", *_BOUNDS_OF_MATCH)
)


def ablated(arms) -> list[dict]:
    """The arms that differ from another arm in nothing but the adapter's rank and scale."""
    return [arm for group in ablations(arms) for arm in group]


def ablations(arms) -> list[list[dict]]:
    """Groups of arms that differ in nothing but rank and scale, each with two ranks or more."""
    groups: dict[str, list[dict]] = {}
    for arm in arms:
        if arm.get("rank") is not None and arm.get("method") != "full":
            same = repr(sorted((key, value) for key, value in arm.items() if key not in _OF_RANK))
            groups.setdefault(same, []).append(arm)
    return [group for group in groups.values() if len({arm["rank"] for arm in group}) > 1]


def extractors(estimates: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """The metrics that are computed by both extractors."""
    where = ["model", "arm", "eval_set", "test", "alpha", "k", "metric"]
    lenient = estimates.filter(_is_metric(*(f"{name}_lenient" for name in BY_BOTH_EXTRACTORS)))
    strict = lenient.select(*where[:-1], pl.col("metric").str.strip_suffix("_lenient"))
    both = pl.concat([strict, lenient.select(where)])
    found = estimates.join(both, on=where, how="semi", nulls_equal=True, maintain_order="left")
    return found if found.is_empty() else pl.concat([found, estimates.filter(_ABOVE_CHANCE)])


def model_sizes(estimates: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Average changes over all α; no rows if fewer than two models have them."""
    changes = _is_metric(*CHANGES) & pl.col("alpha").is_null()
    found = _where(changes & (pl.col("eval_set") == AVERAGES[0]))(estimates, study)
    return found if found.filter(changes)["model"].n_unique() > 1 else found.clear()


def with_holm(rows: pl.DataFrame) -> pl.DataFrame:
    """SELECTION from rows of ESTIMATES: the family of p_holm is all effects among them that have a p.

    A change of match and the change of faithfulness computed from it are one hypothesis. Bounds are none.
    """
    where = ["model", "arm", "eval_set", "test", "alpha", "k", "metric"]
    effects = [metric for metric in rows["metric"].unique() if METRICS[metric].is_effect and metric not in ENDS]
    tested = rows.filter(_is_metric(*effects), pl.col("p").is_not_null()).with_columns(shown=pl.col("metric"))
    tested = tested.with_columns(pl.col("metric").str.replace("faithfulness", "match"))
    family = tested.unique(where, keep="first", maintain_order=True)
    if family.is_empty():
        return rows.select(*ESTIMATES, p_holm=pl.lit(None, pl.Float64))
    family = family.select(*where, p_holm=pl.Series(significance.holm(family["p"].to_list())))
    corrected = tested.join(family, on=where, nulls_equal=True).select(*where[:-1], "p_holm", metric="shown")
    return rows.join(corrected, on=where, how="left", nulls_equal=True, maintain_order="left").select(*SELECTION)
