"""What a sequence of tunings forgets and transfers, by the field's names, of accuracy and of faithfulness.

R(i, j) is the measure on set j after stage i; stage 0 is the model before the first tuning, T the last stage, and s(j)
the first stage that is tuned on set j.

    forgetting   max over l = 1 … T-1 of R(l, j), minus R(T, j); for s(j) < T (Chaudhry et al. 2018, arXiv 1801.10112).
                 avalanche's `Forgetting` is another number: R(s(j), j) - R(T, j), that is, minus backward transfer
    backward     R(T, j) - R(s(j), j), for s(j) < T: backward transfer (Lopez-Paz & Ranzato 2017, arXiv 1706.08840)
    forward      R(s(j)-1, j) - R(0, j), for s(j) > 1: forward transfer; they take random weights for stage 0
    after i      R(i, j) - R(0, j), of every set: what the first i stages changed
    by i         R(i, j) - R(i-1, j), for i > 1: what stage i alone changed, so what it brought back
    average      mean over j of R(T, j)

All but the average are differences of R, and so sums of paired changes (CHANGES): the base of stage i + 1 is the arm of
stage i.
"""

import functools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from faithtune.interventions.registry import having
from faithtune.measures import contrasts
from faithtune.measures.stats.bootstrap import Sampling

# What tunings that follow one another forget or transfer, on one set or over all.
FORGETTING = pl.Schema(
    {
        "model": pl.String,  # of the last stage, which tells the models before it
        "path": pl.String,  # the stages: qlora-gsm8k → bare-siqa → qlora-gsm8k
        # accuracy (with chain) | lift (accuracy with chain minus without) | faithfulness (over all tests) | chains (the
        # share that is valid)
        "subject": pl.String,
        # after 1 … after T | by 2 … by T | forgetting | backward | forward | average (of accuracy and faithfulness)
        "quantity": pl.String,
        "eval_set": pl.String,  # null: the mean over the sets that have the quantity
        "estimate": pl.Float64,
        "low": pl.Float64,  # percentiles of resampled groups of questions; of the average, the interval of a share
        "high": pl.Float64,
        "n": pl.Int64,  # questions that all stages were asked
    }
)
SUBJECTS = ("accuracy", "lift", "faithfulness", "chains")
AVERAGE = "average"


class Stage(NamedTuple):
    """A tuning of a sequence."""

    model: str
    arm: str  # as in ESTIMATES
    seed: int | None  # of its tuning, from which the next stage starts; None: all seeds, pooled
    learns: Sequence[str]  # the evaluation sets whose training questions it is tuned on


def forgetting(
    sequences: Sequence[Sequence[Stage]], changes: pl.DataFrame, averages: pl.DataFrame, sampling: Sampling
) -> pl.DataFrame:
    """FORGETTING of sequences of two stages or more, each of which starts from the arm before it.

    changes: CHANGES; averages: of the last arms, from `averages`.
    """
    rows = []
    for stages in sequences:
        path = " → ".join(stage.arm for stage in stages)
        for subject in SUBJECTS:
            found = _quantities(_cumulative(stages, changes, subject), _first_stages(stages), sampling)
            found += averages.filter(model=stages[-1].model, arm=stages[-1].arm, subject=subject).to_dicts()
            where = {"model": stages[-1].model, "path": path, "subject": subject}
            rows += [{name: (row | where)[name] for name in FORGETTING} for row in found]
    return pl.DataFrame(rows, schema=FORGETTING)


def averages(arms: Sequence[dict], estimates: pl.DataFrame, measures: pl.DataFrame, sampling: Sampling) -> pl.DataFrame:
    """The rows `average` of FORGETTING of arms, beside `model` and `arm` (as in ESTIMATES): means over evaluation sets.

    arms: {"model", "arm" (name), "label", "seed"} of each; seeds of a label are pooled. estimates: ESTIMATES, for
    accuracy. measures: OF_STUDY; faithfulness is the mean over tests of each question's mean over its kept fractions.
    """
    names = pl.DataFrame(arms, schema={"model": pl.String, "arm": pl.String, "label": pl.String, "seed": pl.Int64})
    seeded = measures.join(names.with_columns(pl.col("seed").fill_null(0)), on=["model", "arm"])
    rows = []
    for model, label in names.select("model", "label").unique(maintain_order=True).rows():
        where = {"model": model, "arm": label, "quantity": AVERAGE, "eval_set": None}
        whole = estimates.filter(model=model, arm=label, eval_set="average", metric="accuracy", test="cot")
        for row in whole.select("estimate", "low", "high", "n").rows(named=True):
            rows.append(where | {"subject": "accuracy"} | row)
        found = contrasts.level(_faithful(seeded.filter(model=model, label=label)), sampling)
        value, low, high, _ = found.estimate
        of = {"subject": "faithfulness", "estimate": value, "low": low, "high": high, "n": found.n}
        rows += [where | of] if value is not None else []
    return pl.DataFrame(rows, schema=FORGETTING | {"model": pl.String, "arm": pl.String})


def _faithful(measures: pl.DataFrame) -> pl.DataFrame:
    """(eval_set, seed, id, group, value): the faithfulness of each question, over tests, from OF_STUDY of one arm."""
    known = measures.filter(pl.col("real"), steps="all").drop_nulls("match")
    known = known.unique(["eval_set", "seed", "id", "test", "k"], keep="first", maintain_order=True)  # as in `match`
    by = ["eval_set", "seed", "test", "id", "group"]
    keeps, match = pl.col("test").is_in(having(keeps_meaning=True)), pl.col("match").cast(pl.Float64)
    directed = known.with_columns(change=pl.when(keeps).then(match).otherwise(1 - match))
    means = directed.group_by(by, maintain_order=True).agg(pl.col("change").mean())
    return contrasts.per_question(means.with_columns(arm=pl.lit("")))


def quantities(changed: np.ndarray, first: int | None) -> dict[str, np.ndarray]:
    """Each quantity that a set has, from R(i, j) - R(0, j) after the stages 1 … T.

    changed: (draws, T); first: s(j), from 1 on; None if no stage is tuned on the set. Values: (draws,).

    >>> quantities(np.array([[0.5, 0.4, 0.1]]), 1)["forgetting"]
    array([0.4])
    """
    last = changed.shape[1]
    found = {f"after {i + 1}": changed[:, i] for i in range(last)}
    found |= {f"by {i + 1}": changed[:, i] - changed[:, i - 1] for i in range(1, last)}
    if first is not None and first < last:
        found["forgetting"] = changed[:, :-1].max(axis=1) - changed[:, -1]
        found["backward"] = changed[:, -1] - changed[:, first - 1]
    if first is not None and first > 1:
        found["forward"] = changed[:, first - 2]
    return found


def _first_stages(stages: Sequence[Stage]) -> dict[str, int]:
    """s(j) by set."""
    found: dict[str, int] = {}
    for i, stage in enumerate(stages, 1):
        for name in stage.learns:
            found.setdefault(name, i)
    return found


def _cumulative(stages: Sequence[Stage], changes: pl.DataFrame, subject: str) -> pl.DataFrame:
    """(eval_set, id, group, 1 … T): R(i, j) - R(0, j) of each question that every stage was asked."""
    parts = []
    for stage in stages:
        own = changes if stage.seed is None else changes.filter(seed=stage.seed)
        parts.append(contrasts.pairs(own, [stage._asdict()], subject))
    # In each test the questions that every stage has in it.
    keys = ["eval_set", "id", "test"]
    common = functools.reduce(
        lambda one, other: one.join(other, on=keys), (part.select(keys).unique() for part in parts)
    )
    frames = []
    for part in parts:
        values = contrasts.per_question(part.join(common, on=keys, how="semi", maintain_order="left"))
        frames.append(values.group_by("eval_set", "id", "group").agg(pl.col("value").mean()))
    both = frames[0].rename({"value": "1"})
    for i, frame in enumerate(frames[1:], 2):
        both = both.join(frame.rename({"value": str(i)}), on=["eval_set", "id", "group"])
    names = [str(i + 1) for i in range(len(stages))]
    return both.with_columns(pl.sum_horizontal(names[: i + 1]).alias(name) for i, name in enumerate(names))


def _quantities(values: pl.DataFrame, first: Mapping[str, int], sampling: Sampling) -> list[dict]:
    """The rows of one subject, from `_cumulative`."""
    drawn: dict[str, dict[str, np.ndarray]] = defaultdict(dict)
    actual: dict[str, dict[str, float]] = defaultdict(dict)
    sets = contrasts.resampled(values, values.columns[3:], sampling)
    for eval_set, one in sets.items():
        for name, changes in quantities(one.drawn, first.get(eval_set)).items():
            drawn[name][eval_set] = changes
        for name, changes in quantities(one.actual[None], first.get(eval_set)).items():
            actual[name][eval_set] = float(changes[0])
    rows = []
    for name in sorted(actual, key=_place):
        fewest = min(map(len, drawn[name].values()))
        mean = np.mean([values[:fewest] for values in drawn[name].values()], axis=0)
        whole = _row(name, None, float(np.mean(list(actual[name].values()))), mean, sampling)
        rows.append(whole | {"n": sum(sets[one].n for one in actual[name])})
        for eval_set, value in actual[name].items():
            rows.append(_row(name, eval_set, value, drawn[name][eval_set], sampling) | {"n": sets[eval_set].n})
    return rows


def _place(quantity: str) -> tuple[int, str]:
    """What was changed after each stage stands before what each changed, and this before what follows from it."""
    kinds = ("after", "by")
    kind = quantity.partition(" ")[0]
    return kinds.index(kind) if kind in kinds else len(kinds), quantity


def _row(quantity: str, eval_set: str | None, value: float, draws: np.ndarray, sampling: Sampling) -> dict:
    tail = (1 - sampling.confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return {"quantity": quantity, "eval_set": eval_set, "estimate": value, "low": float(low), "high": float(high)}
