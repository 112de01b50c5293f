"""Which rows of a study's estimates a table holds: what its layout shows, and all that its supplement shows."""

from collections.abc import Callable, Sequence

import polars as pl

from faithtune.interventions.registry import having
from faithtune.measures.cell import AVERAGES
from faithtune.measures.metrics import commitment
from faithtune.measures.metrics.registry import METRICS
from faithtune.report.ablations import ablated
from faithtune.report.tables.cells import ENDS, TableContext

# From SELECTION (of holm.py), all rows of a study, to the rows of a table.
Rows = Callable[[pl.DataFrame, TableContext], pl.DataFrame]

# The metrics that tables show, in their order.
ACCURACY = (
    *("accuracy", "accuracy_answered", "accuracy_lenient", "accuracy_effect", "accuracy_effect_lenient"),
    *("cot_lift", "above_chance", "chance"),
)
# Of one test, at each α or over all of them.
OF_TEST = (
    *("match", "match_published", "match_leak_free", "match_soft", "match_lenient", "change_floored", "match_k0"),
    *("match_effect", "match_effect_published", "match_effect_leak_free", "match_effect_same_length"),
    *("match_effect_soft", "match_effect_lenient", "faithfulness", "faithfulness_effect"),
    *("parse_rate", "unavailable"),
)
# Of an arm on a set, beside the tests.
BESIDE = ("kept_whole", "again_match", "shuffle_match", "cot_lift", "above_chance", "chance")
MATCH = (*OF_TEST, "accuracy", *BESIDE)
CHANGES = ("faithfulness_effect", "match_effect", "accuracy_effect")
BY_BOTH_EXTRACTORS = ("accuracy", "accuracy_effect", "match_effect")
LANHAM = ("aoc", "match", "match_k0", "change_floored", "match_effect", "accuracy", "above_chance")
# Published measures that are read off stored probabilities.
COMMITMENT = tuple(metric.name for metric in commitment.METRICS)
DIAGNOSTIC = (
    *("tokens_changed", "token_divergence", "chains_changed", "answers_changed", "answers_shift"),
    *("chain_answered", "chain_unanswered", "chain_refused", "chain_ambiguous", "chain_truncated", "chain_missing"),
    *("chain_valid", "chain_copied"),
    *("chain_empty", "chain_single", "steps_copied", "n_steps", "n_tokens", "free_agreement", "option_mass"),
    *("parse_rate", "kept_whole", "match_k0", "again_match", "again_shift", "shuffle_match", "disguised"),
    *("disguised_normalised", "alpha_star", "alpha_star_median", "aoc", *COMMITMENT),
    *("chance", "above_chance", "paraphrase_pass", "mistake_pass", "mistake_by_rule", "unavailable"),
)
_BOUNDS_OF_ACCURACY, _BOUNDS_OF_MATCH = (
    METRICS[of].bounds + METRICS[f"{of}_effect"].bounds for of in ("accuracy", "match")
)
_MATCH_TESTS, _LANHAM_TESTS = having(source="paper"), having(source="lanham")


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
_ACCURACY = _is_metric(*ACCURACY, *_BOUNDS_OF_ACCURACY) & (
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
    return _where(_of_tests([test]), _CONTROLS)


def _of_tests(tests: Sequence[str]) -> pl.Expr:
    return pl.col("test").is_in(list(tests)) & _is_metric(*OF_TEST, *_BOUNDS_OF_MATCH) & _SINGLE


_WITHOUT = _is_metric("accuracy", *_BOUNDS_OF_ACCURACY) & (pl.col("test") == "no_cot")
_CONTROLS = (_is_metric(*BESIDE) | _WITHOUT) & _SINGLE | _ABOVE_CHANCE


def _of_ranks(expression: pl.Expr, beside: pl.Expr = _ABOVE_CHANCE) -> Rows:
    def rows(estimates: pl.DataFrame, study: TableContext) -> pl.DataFrame:
        chosen = {(arm["model"], arm["arm"]) for arm in ablated(study.arms)}
        chosen |= {(model, "base") for model, _ in chosen}
        keys = pl.DataFrame(sorted(chosen), schema={"model": pl.String, "arm": pl.String}, orient="row")
        estimates = estimates.join(keys, on=["model", "arm"], how="semi", maintain_order="left")
        return _where(expression, beside)(estimates, study)

    return rows


rank_accuracy = _of_ranks(_ACCURACY)
rank_matches = _of_ranks(_of_tests(_MATCH_TESTS), _CONTROLS)


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
