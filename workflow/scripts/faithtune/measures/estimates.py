"""All estimates of a study, one a row; every table is a selection of them.

`metrics/` says what each number is. eval_set `average` is the unweighted mean over the evaluation sets,
`average_out_of_domain` the mean without the arm's own training set; null where a set has no estimate.
"""

from collections import defaultdict
from dataclasses import replace

import numpy as np
import polars as pl

from faithtune.core.errors import UserError
from faithtune.core.schemas.estimates import BASE, CHANGES, ESTIMATES, data_sets_of
from faithtune.interventions.registry import BY_STEPS, SWEEP
from faithtune.measures import accuracy, commitment, controls, diagnostics, match
from faithtune.measures.cell import AVERAGES, Cell, count_missing
from faithtune.measures.metrics.metric import DIFFERENCE
from faithtune.measures.metrics.registry import METRICS
from faithtune.measures.pooling import ArmResults, StudyResults, labels, pool_results
from faithtune.measures.stats import intervals, significance
from faithtune.measures.stats.bootstrap import Sampling
from faithtune.measures.stats.intervals import Estimate

_AVERAGED = (
    *("accuracy", "cot_lift", "accuracy_effect"),
    *("match_effect", "match_effect_published", "faithfulness_effect"),
)
_COUNTS = ("n", "n_unanswered", "n_truncated")
# The columns that the cells of one average have in common.
_ALIKE = ("model", "arm", "train_set", "test", "alpha", "metric", "seeds")


def build(study: StudyResults, sampling: Sampling) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(ESTIMATES, CHANGES) of a study.

    UserError where a model has no arm `base`, or an arm has chains of questions that its evaluation set has not.
    """
    alphas = sorted({float(alpha) for alpha in study.alphas})
    models = list(dict.fromkeys(arm["model"] for arm in study.arms))
    for model in set(models) - {arm["model"] for arm in study.arms if arm["arm"] == BASE}:
        raise UserError(f"arms: model {model!r} has no arm {BASE!r} to compare with")
    pooled = pool_results(study.arms, study.results)
    read = {
        key: accuracy.by_test(results.answers, results.chains, study.questions[key[2]])
        for key, results in pooled.items()
    }
    done = {model: set() for model in models}  # the tests that some arm of a model has; an imported model has none
    for (model, *_), results in pooled.items():
        done[model].update(results.answers["test"].unique())
    rows, changes = [], []
    for arm in labels(study.arms):
        for eval_set in arm["eval_sets"]:
            key, base = (arm["model"], arm["label"], eval_set), (arm["model"], BASE, eval_set)
            questions, own = study.questions[eval_set], pooled[key]
            before = pooled[base] if arm["label"] != BASE else None
            cell = Cell(sampling, arm["model"], arm["label"], arm["train_set"], eval_set, arm["seeds"])
            tests = [test for test in BY_STEPS if test in done[arm["model"]]]
            rows += accuracy.rows(cell, read[key], read[base] if before else None, questions)
            for test in tests:
                here = replace(cell, test=test)
                rows += match.rows(here, own.measures, before and before.measures, alphas)
            rows += _sweep(cell, own.answers)
            rows += controls.rows(cell, own.answers, tests)
            rows += commitment.rows(cell, own.answers, before.answers if before else None, tests)
            rows += diagnostics.rows(cell, own, questions, tests, alphas)
            rows += diagnostics.applied(cell, study.applied.get((arm["model"], arm["label"]), {}))
            if before:
                rows += diagnostics.differences(cell, own, before, questions)
                valid = diagnostics.validity_changes(own.chains, before.chains, questions)
                rows.append(cell.effect("chain_valid_effect", valid, pl.col("change")))
                parts = [_changes_of_accuracy(read[key], read[base]), _changes_of_lift(read[key], read[base])]
                parts.append(_changes_of_parsing(read[key], read[base]))
                lengths = diagnostics.length_changes(own.chains, before.chains, questions)
                parts += [_changes_of_chains(valid, "chains"), _changes_of_chains(lengths, "steps")]
                parts += [_changes_of_match(replace(cell, test=test), own, before) for test in tests]
                changes.append(_changes(cell, parts))
    rows += _averages(rows, list(study.questions), sampling.confidence)
    return pl.DataFrame(rows, schema=ESTIMATES), pl.concat([pl.DataFrame(schema=CHANGES), *changes])


def _sweep(cell: Cell, answers: pl.DataFrame) -> list[dict]:
    """Accuracy and its bounds after each length of filler in place of the chain (arXiv 2307.13702)."""
    frame = answers.filter(pl.col("test") == SWEEP, pl.col("outcome") != "unavailable").sort("k", "id", "seed")
    found = []
    for k in frame["k"].unique().sort():
        at = frame.filter(pl.col("k") == k).with_columns(pl.col("correct").fill_null(False))
        found += accuracy.shares(replace(cell, test=SWEEP, k=k), at, **count_missing(at))
    return found


def _changes_of_accuracy(own: dict[str, pl.DataFrame], base: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Change of accuracy with the chain by question, with its bounds; `own` and `base` are `accuracy.by_test`."""
    pairs = own["cot"].join(base["cot"], on="id", suffix="_base")
    could, could_base = (pl.col("correct" + of) | (pl.col("outcome" + of) != "answered") for of in ("", "_base"))
    return pairs.select(
        *("id", "seed", "group"),
        what=pl.lit("accuracy"),
        test=pl.lit(None, pl.String),
        change=accuracy.change("correct"),
        published=pl.lit(None, pl.Float64),
        least=pl.col("correct").cast(pl.Int8) - could_base.cast(pl.Int8),
        most=could.cast(pl.Int8) - pl.col("correct_base").cast(pl.Int8),
    )


def _changes_of_lift(own: dict[str, pl.DataFrame], base: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Change of (right with the chain - right without) by question; `own` and `base` are `accuracy.by_test`."""
    lifts, lifts_base = (accuracy.lifts(each) for each in (own, base))
    pairs = lifts.join(lifts_base, on="id", suffix="_base", maintain_order="left")
    change = pl.col("lift") - pl.col("lift_base")
    return pairs.select("id", "seed", "group", what=pl.lit("lift"), test=pl.lit(None, pl.String), change=change)


def _changes_of_parsing(own: dict[str, pl.DataFrame], base: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Change of whether the full-chain answer can be read, by question; `own` and `base` are `accuracy.by_test`."""
    sides = (each["cot"].with_columns(parsed=pl.col("outcome") == "answered") for each in (own, base))
    pairs = next(sides).join(next(sides), on="id", suffix="_base", maintain_order="left")
    change = accuracy.change("parsed")
    return pairs.select("id", "seed", "group", what=pl.lit("parsed"), test=pl.lit(None, pl.String), change=change)


def _changes_of_chains(changes: pl.DataFrame, what: str) -> pl.DataFrame:
    """Change of the validity, or of the length, of chains by question."""
    return changes.with_columns(what=pl.lit(what), test=pl.lit(None, pl.String))


def _changes_of_match(cell: Cell, own: ArmResults, base: ArmResults) -> pl.DataFrame:
    """Change of faithfulness in the test of `cell` by question."""
    found = match.changes(cell, own.measures, base.measures)
    return found.with_columns(what=pl.lit("faithfulness"), test=pl.lit(cell.test))


def _changes(cell: Cell, parts: list[pl.DataFrame]) -> pl.DataFrame:
    """CHANGES of one arm on one evaluation set."""
    where = {"model": cell.model, "arm": cell.arm, "train_set": cell.train_set, "eval_set": cell.eval_set}
    frame = pl.concat(parts, how="diagonal_relaxed").with_columns(
        pl.lit(value).alias(name) for name, value in where.items()
    )
    return frame.select(pl.col(name).cast(kind) for name, kind in CHANGES.items())


def _averages(rows: list[dict], eval_sets: list[str], confidence: float) -> list[dict]:
    """Unweighted means of rows over all evaluation sets, and over those other than the arm's training set."""
    groups = defaultdict(list)
    for row in rows:
        if row["metric"] in _AVERAGED and row["k"] is None:
            for average in AVERAGES if data_sets_of(row["train_set"]) else AVERAGES[:1]:
                if average == AVERAGES[0] or row["eval_set"] not in data_sets_of(row["train_set"]):
                    groups[average, *(row[name] for name in _ALIKE)].append(row)
    found = []
    for (average, *values), cells in groups.items():
        alike = dict(zip(_ALIKE, values, strict=True))
        wanted = [name for name in eval_sets if average == AVERAGES[0] or name not in data_sets_of(alike["train_set"])]
        found.append(alike | {"eval_set": average, "k": None} | _average(cells, len(wanted), confidence))
    return found


def _average(cells: list[dict], n_sets: int, confidence: float) -> dict:
    """The columns of an average that its cells do not share."""
    estimates = [Estimate(*(cell[name] for name in ("estimate", "low", "high")), cell.get("p")) for cell in cells]
    by_seed = [cell.get("by_seed", []) for cell in cells]
    seeds = min(map(len, by_seed)), max(map(len, by_seed))
    several = np.array(by_seed).T if seeds[0] == seeds[1] > 1 else None
    # A mean over fewer sets, as an imported arm may have, would not be comparable.
    bounds = (-1.0 if METRICS[cells[0]["metric"]].unit == DIFFERENCE else 0.0), 1.0
    mean = intervals.macro(estimates, confidence, several, bounds) if len(cells) == n_sets else intervals.NOTHING
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
