"""Which changes inside arms go with changes of their answers: rank correlations over arms and evaluation sets.

A point is an arm on an evaluation set: the change of a probe's mean (INSIDE), and the mean change of faithfulness (over
tests), of accuracy or of the lift by the chain (CHANGES). Arms are few, and the sets of one arm share its tuning: the
points are not independent, and the intervals too narrow. The arms of several models differ by their models too.
Attention is left out, as it does not say what is used, and so is what has a number for each layer alone.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from faithtune.core.schemas.probes import CORRELATIONS
from faithtune.measures import contrasts
from faithtune.measures.inside.estimates import CHANGE, VALUE
from faithtune.measures.inside.values import WHOLE
from faithtune.measures.stats import student
from faithtune.measures.stats.intervals import Estimate

AGAINST = ("faithfulness", "accuracy", "lift")
# Distances from base are of the tuned arm alone, and without a sign: they are compared with sizes of changes too.
DISTANCES = ("weight_change", "effective_rank", "kl", "cka")
_CHANGES = (
    *(f"{how}_{what}" for how in ("knockout", "removal") for what in ("js", "log_p", "changed")),
    "decision_layer",
)
# With fewer points there is no rank correlation, and with fewer again no interval.
_LEAST, _LEAST_FOR_INTERVAL = 3, 4
_POINT = ("model", "arm", "eval_set")


def correlations(inside: pl.DataFrame, changes: pl.DataFrame, confidence: float) -> pl.DataFrame:
    """CORRELATIONS of a study from INSIDE and CHANGES."""
    arms = inside.select("model", "arm").unique(maintain_order=True).to_dicts()
    answers = _changes_of_answers(changes, arms)
    rows = []
    for (measure, part), probes in _points(inside).group_by("measure", "part", maintain_order=True):
        for against in AGAINST:
            points = _joined(probes, answers.filter(what=against))
            signs = {against: points["change"]}
            if measure in DISTANCES:
                signs[size_of(against)] = points["change"].abs()
            for name, change in signs.items():
                rho = spearman(points["estimate"], change)
                rho, low, high, _ = interval(rho, points.height, confidence)
                row = {"measure": measure, "part": part, "against": name, "rho": rho, "low": low, "high": high}
                counts = {"n": points.height, "arms": points.select("model", "arm").n_unique()}
                rows.append(row | counts | {"models": points["model"].n_unique()})
    return pl.DataFrame(rows, schema=CORRELATIONS)


def size_of(against: str) -> str:
    """The name of the size of a change in `against` of CORRELATIONS."""
    return f"|{against}|"


def spearman(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Spearman's rank correlation; ties have their mean rank. None for fewer than 3 points, or without variance."""
    # Means of the same answers in another order differ by rounding alone; that is no order.
    ranks = [pl.Series(values, dtype=pl.Float64).round(12).rank("average").to_numpy() for values in (x, y)]
    if len(x) < _LEAST or any(np.ptp(each) == 0 for each in ranks):
        return None
    return float(np.clip(np.corrcoef(*ranks)[0, 1], -1, 1))


def interval(rho: float | None, n: int, confidence: float) -> Estimate:
    """Spearman's ρ of n points with its interval, and the p that fits it; no interval for n < 4.

    Interval of Bonett & Wright (2000, Psychometrika 65:23): tanh(atanh ρ ± z √((1 + ρ²/2) / (n - 3))). It has no width
    at ρ = ±1. There the ρ midway to the next that n ranks without ties can have, ±(1 - 6 / (n³ - n)), takes its place
    in the formula, and the end beyond it is ±1.
    """
    if rho is None or n < _LEAST_FOR_INTERVAL:
        return Estimate(rho, None, None)
    most = 1 - 6 / (n**3 - n)
    inner = max(-most, min(rho, most))
    centre, error = math.atanh(inner), math.sqrt((1 + inner**2 / 2) / (n - 3))
    z = student.quantile(math.inf, (1 + confidence) / 2)
    low, high = math.tanh(centre - z * error), math.tanh(centre + z * error)
    p = 2 * student.share_below(math.inf, -abs(centre) / error)
    return Estimate(rho, -1.0 if rho < inner else low, 1.0 if rho > inner else high, p)


def _points(inside: pl.DataFrame) -> pl.DataFrame:
    """The rows of INSIDE that are compared: over all layers, after the whole chain."""
    everywhere = pl.all_horizontal(pl.col("layer", "head", "scale").is_null()) & (
        pl.col("alpha").is_null() | (pl.col("alpha") == WHOLE)
    )
    changes = (pl.col("what") == CHANGE) & pl.col("measure").is_in(_CHANGES)
    distances = (pl.col("what") == VALUE) & pl.col("measure").is_in(DISTANCES) & pl.col("part").is_null()
    rows = inside.filter(everywhere, changes | distances).drop_nulls("estimate")
    return rows.select(*_POINT, "measure", "part", "estimate")


def _joined(probes: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """The points of a probe with the changes of answers; a probe without an evaluation set is of each of them."""
    of_sets, of_arms = (probes.filter(pl.col("eval_set").is_null() == of_arm) for of_arm in (False, True))
    return pl.concat(
        [
            of_sets.join(answers, on=_POINT, maintain_order="left"),
            of_arms.drop("eval_set").join(answers, on=_POINT[:2], maintain_order="left"),
        ],
        how="diagonal",
    ).select(*_POINT, "estimate", "change")


def _changes_of_answers(changes: pl.DataFrame, arms: Sequence[dict]) -> pl.DataFrame:
    """(model, arm, eval_set, what, change): the mean changes of the arms, over tests, by evaluation set."""
    schema = dict.fromkeys((*_POINT, "what"), pl.String) | {"change": pl.Float64}
    return pl.DataFrame(list(_mean_changes(changes, arms)), schema)


def _mean_changes(changes: pl.DataFrame, arms: Sequence[dict]) -> Iterator[dict]:
    for arm in arms:
        for what in AGAINST:
            values = contrasts.per_question(contrasts.pairs(changes, [arm], what))
            for eval_set, change in values.group_by("eval_set", maintain_order=True).agg(pl.col("value").mean()).rows():
                yield {"model": arm["model"], "arm": arm["arm"], "eval_set": eval_set, "what": what, "change": change}
