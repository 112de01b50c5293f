"""All estimates of a study, one a row; every table is a selection of them.

What the metrics are stands at the top of `accuracy`, `match`, `controls` and
`diagnostics`; in the filler sweep (arXiv 2307.13702) it is `accuracy` with its bounds at each k,
the tokens of filler that stand in the place of the chain. eval_set `average` is the
unweighted mean over the evaluation sets, `average_out_of_domain` that without the
arm's own training set; null where one of the sets has no estimate.
"""

from collections import defaultdict
from dataclasses import replace

import numpy as np
import polars as pl

from faithtune.core.errors import UserError
from faithtune.core.schemas.estimates import BASE, CHANGES, ESTIMATES
from faithtune.interventions.registry import BY_STEPS, SWEEP
from faithtune.measures import accuracy, controls, diagnostics, match
from faithtune.measures.cell import AVERAGES, Cell, lacking
from faithtune.measures.pooling import Key, labels, pool
from faithtune.measures.stats import intervals, significance
from faithtune.measures.stats.bootstrap import Sampling
from faithtune.measures.stats.intervals import Estimate

_AVERAGED = ("accuracy", "cot_lift", "accuracy_effect", "match_effect", "faithfulness_effect")
_COUNTS = ("n", "n_unanswered", "n_truncated")
# What the cells of one average share.
_ALIKE = ("model", "arm", "train_set", "test", "alpha", "metric", "seeds")


def build(
    arms: list[dict],
    answers: dict[Key, pl.DataFrame],
    measures: dict[Key, pl.DataFrame],
    chains: dict[Key, pl.DataFrame],
    paraphrases: dict[Key, pl.DataFrame],
    questions: dict[str, pl.DataFrame],
    alphas: list[float],
    confidence: float = 0.95,
    replicates: int = 10_000,
    seed: int = 42,
    mistakes: dict[Key, pl.DataFrame] | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(ESTIMATES, CHANGES) of a study.

    arms: as `plan.arms` has them with their `eval_sets`, in the order of the tables, one
        `base` a model; UserError where a model has none.
    answers, measures (`alpha.measure` at `alphas`), chains: a frame for each arm
        and evaluation set; paraphrases, mistakes: likewise, may lack any.
    questions: those of each evaluation set, in the order of the tables.
    """
    sampling = Sampling(confidence, replicates, seed)
    alphas = sorted({float(alpha) for alpha in alphas})
    models = list(dict.fromkeys(arm["model"] for arm in arms))
    for model in set(models) - {arm["model"] for arm in arms if arm["arm"] == BASE}:
        raise UserError(f"arms: model {model!r} has no arm {BASE!r} to compare with")
    answers, measures, chains = (pool(arms, frames) for frames in (answers, measures, chains))
    paraphrases, mistakes = (pool(arms, frames) for frames in (paraphrases, mistakes or {}))
    asked = {key: accuracy.asked(answers[key], chains[key], questions[key[2]]) for key in answers}
    done = {model: set() for model in models}  # the tests that some arm of a model has; none where it is imported
    for (model, *_), frame in answers.items():
        done[model].update(frame["test"].unique())
    rows, changes = [], []
    for arm in labels(arms):
        for eval_set in arm["eval_sets"]:
            key, base = (arm["model"], arm["label"], eval_set), (arm["model"], BASE, eval_set)
            compared = arm["label"] != BASE
            cell = Cell(sampling, arm["model"], arm["label"], arm["train_set"], eval_set, arm["seeds"])
            tests = [test for test in BY_STEPS if test in done[arm["model"]]]
            rows += accuracy.rows(cell, asked[key], asked[base] if compared else None, questions[eval_set])
            for test in tests:
                here = replace(cell, test=test)
                rows += match.rows(here, measures[key], measures[base] if compared else None, alphas)
            rows += _sweep(cell, answers[key])
            rows += controls.rows(cell, answers[key], tests)
            rows += diagnostics.rows(
                cell,
                answers[key],
                measures[key],
                chains[key],
                paraphrases.get(key),
                mistakes.get(key),
                questions[eval_set],
                tests,
                alphas,
            )
            if compared:
                changes.append(_changes(cell, asked[key], asked[base], measures[key], measures[base], tests))
    rows += _averages(rows, list(questions), confidence)
    return pl.DataFrame(rows, schema=ESTIMATES), pl.concat([pl.DataFrame(schema=CHANGES), *changes])


def _sweep(cell: Cell, answers: pl.DataFrame) -> list[dict]:
    """Accuracy after each length of filler, and its bounds; those without an answer count as not correct."""
    frame = answers.filter(pl.col("test") == SWEEP, pl.col("outcome") != "unavailable").sort("k", "id", "seed")
    found = []
    for k in frame["k"].unique().sort():
        at = frame.filter(pl.col("k") == k).with_columns(pl.col("correct").fill_null(False))
        found += accuracy.shares(replace(cell, test=SWEEP, k=k), at, **lacking(at))
    return found


def _changes(
    cell: Cell,
    own: dict[str, pl.DataFrame],
    base: dict[str, pl.DataFrame],
    measures: pl.DataFrame,
    before: pl.DataFrame,
    tests: list[str],
) -> pl.DataFrame:
    """CHANGES of one arm on one evaluation set; `own` and `base` as `accuracy.asked` makes them."""
    pairs = own["cot"].join(base["cot"], on="id", suffix="_base")
    could, could_base = (pl.col("correct" + of) | (pl.col("outcome" + of) != "answered") for of in ("", "_base"))
    parts = [
        pairs.select(
            *("id", "seed", "group"),
            what=pl.lit("accuracy"),
            test=pl.lit(None, pl.String),
            change=accuracy.change("correct"),
            least=pl.col("correct").cast(pl.Int8) - could_base.cast(pl.Int8),
            most=could.cast(pl.Int8) - pl.col("correct_base").cast(pl.Int8),
        )
    ]
    for test in tests:
        found = match.changes(replace(cell, test=test), measures, before)
        parts.append(found.with_columns(what=pl.lit("faithfulness"), test=pl.lit(test)))
    where = {"model": cell.model, "arm": cell.arm, "train_set": cell.train_set, "eval_set": cell.eval_set}
    frame = pl.concat(parts, how="diagonal_relaxed").with_columns(
        pl.lit(value).alias(name) for name, value in where.items()
    )
    return frame.select(pl.col(name).cast(kind) for name, kind in CHANGES.items())


def _averages(rows: list[dict], eval_sets: list[str], confidence: float) -> list[dict]:
    """Macro means of rows over the evaluation sets: over all, and without the arm's own."""
    groups = defaultdict(list)
    for row in rows:
        if row["metric"] in _AVERAGED and row["k"] is None:
            for average in AVERAGES if row["train_set"] else AVERAGES[:1]:
                if average == AVERAGES[0] or row["eval_set"] != row["train_set"]:
                    groups[average, *(row[name] for name in _ALIKE)].append(row)
    found = []
    for (average, *values), cells in groups.items():
        alike = dict(zip(_ALIKE, values, strict=True))
        wanted = [name for name in eval_sets if average == AVERAGES[0] or name != alike["train_set"]]
        found.append(alike | {"eval_set": average, "k": None} | _average(cells, len(wanted), confidence))
    return found


def _average(cells: list[dict], n_sets: int, confidence: float) -> dict:
    estimates = [Estimate(*(cell[name] for name in ("estimate", "low", "high")), cell.get("p")) for cell in cells]
    by_seed = [cell.get("by_seed", []) for cell in cells]
    seeds = min(map(len, by_seed)), max(map(len, by_seed))
    several = np.array(by_seed).T if seeds[0] == seeds[1] > 1 else None
    # A mean over fewer sets, as an imported arm may have, could not be compared.
    mean = intervals.macro(estimates, confidence, several) if len(cells) == n_sets else intervals.NOTHING
    detectable = significance.minimum_detectable(mean, confidence) if mean.p is not None else None
    counts = {name: [cell.get(name) for cell in cells] for name in _COUNTS}
    return {
        "estimate": mean.value,
        "low": mean.low,
        "high": mean.high,
        "p": mean.p,
        "mde": detectable,
        **{name: sum(known) for name, known in counts.items() if None not in known},
    }
