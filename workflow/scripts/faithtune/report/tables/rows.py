"""Which rows of ESTIMATES a table shows, and Holm's correction over them."""

from collections.abc import Callable

import polars as pl

from faithtune.core.schemas.estimates import ESTIMATES
from faithtune.interventions.registry import having
from faithtune.measures import diagnostics
from faithtune.measures.cell import AVERAGES
from faithtune.measures.stats import significance
from faithtune.report.tables.cells import ENDS, TableContext, is_effect

# Rows of ESTIMATES, and p corrected by Holm's method over the table's effects.
SELECTION = pl.Schema(
    {
        **ESTIMATES,
        "p_holm": pl.Float64,  # p corrected over the effects of this table; null elsewhere
    }
)
Rows = Callable[[pl.DataFrame, TableContext], pl.DataFrame]

_BOUNDS_OF_ACCURACY, _BOUNDS_OF_MATCH = ([name for name in ENDS if name.startswith(of)] for of in ("acc", "match"))
_OF_MATCH = (
    *("match", "match_leak_free", "match_soft", "match_k0", "change_floored", "faithfulness", "faithfulness_effect"),
    *("match_effect", "match_effect_leak_free", "match_effect_same_length", "match_effect_soft", *_BOUNDS_OF_MATCH),
)
_MATCH_TESTS, _LANHAM_TESTS = having(source="paper"), having(source="lanham")
# The arms of a rank ablation may differ in these alone.
_OF_RANK = {"arm", "tuning", "rank", "alpha", "seed", "seeds"}


def _is_metric(*names: str) -> pl.Expr:
    return pl.col("metric").is_in(names)


# By these every table marks what is at chance.
_ABOVE_CHANCE = _is_metric("above_chance")


def _where(expression: pl.Expr, beside: pl.Expr = _ABOVE_CHANCE) -> Rows:
    """The rows of `expression`, and where there are any, those of `beside`."""

    def rows(estimates: pl.DataFrame, study: TableContext) -> pl.DataFrame:
        there = estimates.filter(expression)
        return there if there.is_empty() else estimates.filter(expression | beside)

    return rows


_SINGLE = ~pl.col("eval_set").is_in(AVERAGES)
_ACCURACY = _is_metric("accuracy", "accuracy_answered", "accuracy_effect", "cot_lift", *_BOUNDS_OF_ACCURACY) & (
    (pl.col("eval_set") != AVERAGES[1]) & pl.col("k").is_null()  # k: of the filler sweep
)
accuracy = _where(_ACCURACY)
average_effects = _where(
    pl.col("eval_set").is_in(AVERAGES) & _is_metric("faithfulness_effect", "match_effect", "accuracy_effect")
)
diagnostic = _where(
    _is_metric(*diagnostics.METRICS, "shuffle_match", "disguised", "disguised_normalised")
    | _is_metric("alpha_star", "alpha_star_median", "aoc")
)
_LANHAM = ("match", "match_k0", "change_floored", "match_effect", *_BOUNDS_OF_MATCH, "accuracy", *_BOUNDS_OF_ACCURACY)
lanham = _where(
    pl.col("test").is_in(_LANHAM_TESTS) & _is_metric(*_LANHAM) | _is_metric("aoc"),
    _SINGLE & pl.col("test").is_in(["cot", "no_cot"]) & _is_metric("accuracy", *_BOUNDS_OF_ACCURACY) | _ABOVE_CHANCE,
)


def matches(test: str) -> Rows:
    """One test's matches and their controls; none where the study has not the test."""
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
    """The arms that differ from another in nothing but the adapter's rank, and its scale."""
    return [arm for group in ablations(arms) for arm in group]


def ablations(arms) -> list[list[dict]]:
    """The groups of arms that differ in nothing else, each of two ranks or more."""
    groups: dict[str, list[dict]] = {}
    for arm in arms:
        if arm.get("rank") is not None and arm.get("method") != "full":
            same = repr(sorted((key, value) for key, value in arm.items() if key not in _OF_RANK))
            groups.setdefault(same, []).append(arm)
    return [group for group in groups.values() if len({arm["rank"] for arm in group}) > 1]


def extractors(estimates: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """What was read by both extractors."""
    where = ["model", "arm", "eval_set", "test", "alpha", "k", "metric"]
    lenient = estimates.filter(_is_metric("accuracy_lenient", "accuracy_effect_lenient", "match_effect_lenient"))
    strict = lenient.select(*where[:-1], pl.col("metric").str.strip_suffix("_lenient"))
    both = pl.concat([strict, lenient.select(where)])
    found = estimates.join(both, on=where, how="semi", nulls_equal=True, maintain_order="left")
    return found if found.is_empty() else pl.concat([found, estimates.filter(_ABOVE_CHANCE)])


def model_sizes(estimates: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Average changes, over all α; none where fewer than two models have them."""
    changes = _is_metric("accuracy_effect", "match_effect", "faithfulness_effect") & pl.col("alpha").is_null()
    found = _where(changes & (pl.col("eval_set") == AVERAGES[0]))(estimates, study)
    return found if found.filter(changes)["model"].n_unique() > 1 else found.clear()


def with_holm(rows: pl.DataFrame) -> pl.DataFrame:
    """SELECTION of rows of ESTIMATES: the family of p_holm is every effect among them that has a p.

    A change of match and the same one directed as faithfulness are one hypothesis;
    the bounds of a change are none.
    """
    where = ["model", "arm", "eval_set", "test", "alpha", "k", "metric"]
    effects = [metric for metric in rows["metric"].unique() if is_effect(metric) and metric not in ENDS]
    tested = rows.filter(_is_metric(*effects), pl.col("p").is_not_null()).with_columns(shown=pl.col("metric"))
    tested = tested.with_columns(pl.col("metric").str.replace("faithfulness", "match"))
    family = tested.unique(where, keep="first", maintain_order=True)
    if family.is_empty():
        return rows.select(*ESTIMATES, p_holm=pl.lit(None, pl.Float64))
    family = family.select(*where, p_holm=pl.Series(significance.holm(family["p"].to_list())))
    corrected = tested.join(family, on=where, nulls_equal=True).select(*where[:-1], "p_holm", metric="shown")
    return rows.join(corrected, on=where, how="left", nulls_equal=True, maintain_order="left").select(*SELECTION)
