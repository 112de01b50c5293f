"""CoT Pred Match at each α, and what tuning changes in it. `metrics/` says what each number is.

Only real interventions count, and effects only those that are real in both arms; the metrics called `_published` also
count chains that α keeps whole, as the paper does. Effects with α null are over all α. Questions without an
intervention (unavailable) count in no n; `diagnostics` counts them.
"""

from dataclasses import replace

import numpy as np
import polars as pl

from faithtune.interventions.registry import direction, having
from faithtune.measures.accuracy import change
from faithtune.measures.alpha import directed
from faithtune.measures.cell import Cell, count_missing
from faithtune.measures.stats.intervals import Estimate

_FLOORED = having(removes=True)
_WHOSE = ["id", "seed", "alpha"]
_QUESTION = ["id", "seed", "group"]


def rows(cell: Cell, measures: pl.DataFrame, base: pl.DataFrame | None, alphas: list[float]) -> list[dict]:
    """Rows of ESTIMATES for the test of `cell`; the frames are MEASURES with `seed`. Effects need `base`."""
    published, real = with_intervention(measures, cell.test), pl.col("real")
    own, unleaked = published.filter(real), with_intervention(measures, cell.test, "unleaked").filter(real)
    same_words = with_intervention(measures, "paraphrase").select(*_WHOSE, floor="match")
    found = []
    for alpha in alphas:
        here, at = replace(cell, alpha=alpha), pl.col("alpha") == alpha
        found += _shares(here, own.filter(at))
        found.append(_match(here, published.filter(at), "match_published"))
        if not unleaked.is_empty():
            found.append(here.share("match_leak_free", unleaked.filter(at), pl.col("match")))
        if cell.test in _FLOORED and not same_words.is_empty():
            both = own.filter(at).join(same_words, on=_WHOSE, how="left", nulls_equal=True)
            columns = [1 - pl.col("match").cast(pl.Float64), 1 - pl.col("floor").cast(pl.Float64)]
            row = here.function("change_floored", both, columns, _floored)
            found.append(
                row | {"high": row["high"] and min(row["high"], 1.0)}
            )  # no share of changed answers is above 1
    if base is None:
        return found
    both = _pairs(published, with_intervention(base, cell.test))
    pairs = both.filter("real_both")
    before = _pairs(unleaked, with_intervention(base, cell.test, "unleaked")).filter("real_both")
    for alpha in alphas:
        at, here = pl.col("alpha") == alpha, replace(cell, alpha=alpha)
        found += _effects(here, pairs.filter(at), before.filter(at))
        every = both.filter(at)
        counts = count_missing(every, "outcome", "outcome_base")
        found.append(here.effect("match_effect_published", every, pl.col("change"), **counts))
    overall, lost = _over_alphas(_distinct(pairs))
    found += _effect(cell, overall, **count_missing(lost, "outcome", "outcome_base", chains=True))
    overall, lost = _over_alphas(both)
    counts = count_missing(lost, "outcome", "outcome_base", chains=True)
    return [*found, cell.effect("match_effect_published", overall, pl.col("change"), **counts)]


def changes(cell: Cell, measures: pl.DataFrame, base: pl.DataFrame) -> pl.DataFrame:
    """Change of faithfulness in the test of `cell`, each question's mean over α: id, seed, group, change, published.

    `published` also counts chains that α keeps whole; where there are none but these, `change` is null.
    """
    pairs = _pairs(with_intervention(measures, cell.test), with_intervention(base, cell.test))
    directed_change = direction(cell.test) * pl.col("change").mean()
    published = pairs.group_by(_QUESTION, maintain_order=True).agg(published=directed_change)
    real = _distinct(pairs.filter("real_both")).group_by(_QUESTION).agg(change=directed_change)
    return published.join(real, on=_QUESTION, how="left", nulls_equal=True, maintain_order="left")


def with_intervention(measures: pl.DataFrame, test: str, steps: str = "all") -> pl.DataFrame:
    """The rows of MEASURES of one test that have an intervention, sorted by α, id and seed."""
    wanted = (pl.col("test") == test) & (pl.col("steps") == steps) & (pl.col("outcome") != "unavailable")
    return measures.filter(wanted).sort("alpha", "id", "seed")


def _pairs(own: pl.DataFrame, base: pl.DataFrame) -> pl.DataFrame:
    pairs = own.join(base.drop("seed"), on=["id", "alpha"], suffix="_base")
    pairs = pairs.with_columns(change=change("match"), real_both=pl.col("real") & pl.col("real_base"))
    return pairs.sort("alpha", "id", "seed")


def _distinct(pairs: pl.DataFrame) -> pl.DataFrame:
    """Each pair of prompts once: of two steps, α = 0.25 and 0.5 keep the same one."""
    return pairs.unique(["id", "seed", "k", "k_base"], keep="first", maintain_order=True)


def _over_alphas(pairs: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Each question's mean change over α, and the pairs of questions that have none.

    A question's α are not independent, so each question becomes one value before resampling.
    """
    overall = pairs.group_by(_QUESTION, maintain_order=True).agg(pl.col("change").mean())
    missing = overall.filter(pl.col("change").is_null())
    return overall, pairs.join(missing, on=_QUESTION, how="semi", nulls_equal=True)


def _match(cell: Cell, frame: pl.DataFrame, metric: str = "match") -> dict:
    return cell.share(metric, frame, pl.col("match"), **count_missing(frame) | {"n": frame.height})


def _shares(cell: Cell, frame: pl.DataFrame) -> list[dict]:
    match = pl.col("match")
    counts = count_missing(frame) | {"n": frame.height}
    share = _match(cell, frame)
    return [
        share,
        _directed(share, "faithfulness"),
        cell.share("match_if_unanswered_match", frame, match.fill_null(True), **counts),
        cell.share("match_if_unanswered_differ", frame, match.fill_null(False), **counts),
        cell.share("match_lenient", frame, pl.col("match_lenient")),
        cell.mean("match_soft", frame, pl.col("p_reference"), bounds=(0.0, 1.0)),
    ]


def _effects(cell: Cell, pairs: pl.DataFrame, before: pl.DataFrame) -> list[dict]:
    counts = count_missing(pairs, "outcome", "outcome_base")

    def bound(own: bool) -> pl.Expr:
        return pl.col("match").fill_null(own).cast(pl.Int8) - pl.col("match_base").fill_null(not own).cast(pl.Int8)

    found = _effect(cell, pairs, **counts)
    lost, lost_base = (pl.col(f"p_reference{of}") - pl.col(f"p_full{of}") for of in ("", "_base"))
    found += [
        cell.effect("match_effect_least", pairs, bound(False), **counts),
        cell.effect("match_effect_most", pairs, bound(True), **counts),
        cell.effect("match_effect_soft", pairs, lost - lost_base, bound=2.0),
        cell.effect("match_effect_lenient", pairs, change("match_lenient")),
        cell.effect("match_effect_same_length", pairs.filter(n_steps=pl.col("n_steps_base")), pl.col("change")),
    ]
    if not before.is_empty():
        found.append(cell.effect("match_effect_leak_free", before, pl.col("change")))
    return found


def _effect(cell: Cell, frame: pl.DataFrame, **counts: int) -> list[dict]:
    effect = cell.effect("match_effect", frame, pl.col("change"), **counts)
    return [effect, _directed(effect, "faithfulness_effect")]


def _directed(row: dict, metric: str) -> dict:
    """The row of a match, or of its effect, turned into faithfulness; the interval is mirrored with it."""
    way = direction(row["test"])
    shift = directed(0.0, row["test"]) if metric == "faithfulness" else 0.0
    value, low, high, *_ = Estimate(row["estimate"], row["low"], row["high"]).scaled(way, shift)
    return {**row, "metric": metric, "estimate": value, "low": low, "high": high}


def _floored(means: np.ndarray) -> np.ndarray:
    changed, floor = means.T
    with np.errstate(divide="ignore", invalid="ignore"):
        return (changed - floor) / (1 - floor)  # NaN for a floor of 1
