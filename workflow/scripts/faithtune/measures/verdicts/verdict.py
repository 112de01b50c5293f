"""What tuning did to each arm, in words: are its chains still valid, is it still right, is it still faithful?

A word follows from an interval, never from the estimate alone, and is not corrected for looking at many arms.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import polars as pl

from faithtune.core.schemas.estimates import BASE
from faithtune.measures import contrasts
from faithtune.measures.cell import AVERAGES
from faithtune.measures.contrasts import Mean
from faithtune.measures.stats.bootstrap import Sampling
from faithtune.measures.stats.intervals import Estimate

# fell | rose: the whole interval is on that side of 0 | kept: it contains 0 and lies within ± the margin | mixed: it
# fell on one evaluation set and rose on another | not enough evidence: none of these | not testable: no estimate
WORDS = FELL, ROSE, KEPT, MIXED, UNKNOWN, UNTESTABLE = (
    *("fell", "rose", "kept", "mixed"),
    *("not enough evidence", "not testable"),
)
# What can change, as `what` of CHANGES names it, and the row of ESTIMATES that has its level: metric, test.
SUBJECTS = {"chains": ("chain_valid", None), "accuracy": ("accuracy", "cot"), "faithfulness": ("faithfulness", ...)}
WHOLE = AVERAGES[0]
# One arm, subject and evaluation set.
VERDICTS = pl.Schema(
    {
        "model": pl.String,
        "arm": pl.String,  # as in ESTIMATES, its seeds pooled
        "subject": pl.String,  # chains (share that is valid) | accuracy (with chain) | faithfulness (over all tests)
        "eval_set": pl.String,  # or `average`: the mean over all sets with an estimate
        "word": pl.String,  # one of WORDS
        "estimate": pl.Float64,  # change, tuned minus base, paired by question
        "low": pl.Float64,
        "high": pl.Float64,
        "n": pl.Int64,  # questions it rests on
        "n_needed": pl.Int64,  # for `not enough evidence`: `questions_needed`
        "before": pl.Float64,  # level of base and of the arm, each over its own questions
        "after": pl.Float64,
        "why": pl.String,  # for `not testable`: what is missing
    }
)


class Study(NamedTuple):
    """What verdicts are made from."""

    estimates: pl.DataFrame  # ESTIMATES
    changes: pl.DataFrame  # CHANGES
    sampling: Sampling
    margin: float  # a smaller change counts as none
    turns: Mapping[str, str] = {}  # `plan.answer_modes` of each model


def verdicts(arms: Sequence[dict], study: Study) -> pl.DataFrame:
    """VERDICTS of each tuned arm of `arms` ({model, arm, train_set}, base alone without train_set)."""
    arms = [arm for arm in arms if arm["train_set"] is not None]
    rows = [row for arm in arms for subject in SUBJECTS for row in _rows(study, arm, subject)]
    return pl.DataFrame(rows, schema=VERDICTS)


def level(
    estimates: pl.DataFrame, model: str, arm: str, sets: Sequence[str], metric: str, **where: str | float | None
) -> float | None:
    """Mean of a metric over evaluation sets (in each, over its tests and α); None where a set lacks it."""
    found = estimates.filter(pl.col("eval_set").is_in(list(sets)), model=model, arm=arm, metric=metric)
    for column, value in where.items():
        found = found.filter(pl.col(column).eq_missing(value))
    by_set = found.drop_nulls("estimate").group_by("eval_set").agg(pl.col("estimate").mean())
    return by_set["estimate"].mean() if by_set.height == len(sets) > 0 else None


def eval_sets(estimates: pl.DataFrame, model: str, arm: str) -> list[str]:
    """The evaluation sets on which an arm has estimates, in their order."""
    own = estimates.filter(~pl.col("eval_set").is_in(AVERAGES), model=model, arm=arm)
    return own["eval_set"].unique(maintain_order=True).to_list()


def word(change: Estimate, margin: float) -> str:
    """The word for a change with its interval; `mixed` takes several sets and does not come from here."""
    if change.value is None:
        return UNTESTABLE
    if change.low is None or change.high is None:
        return UNKNOWN
    if change.high < 0:
        return FELL
    if change.low > 0:
        return ROSE
    return KEPT if -margin <= change.low and change.high <= margin else UNKNOWN


def questions_needed(change: Estimate, n: int, margin: float) -> int | None:
    """Questions at which half the interval's width would be the margin, rounded up to two digits.

    Where it is already, the questions at which it would be half of the margin: then any estimate has a word. Assumed:
    the width shrinks with the root of n, so the new questions are like the old ones, and so are the seeds.
    """
    if change.low is None or change.high is None:
        return None
    half = (change.high - change.low) / 2
    wanted = margin if half > margin else margin / 2
    needed = n * (half / wanted) ** 2
    digit = 10 ** max(0, math.floor(math.log10(max(needed, 1))) - 1)
    return math.ceil(round(needed / digit, 9)) * digit


def _rows(study: Study, arm: dict, subject: str) -> list[dict]:
    """The verdict on an arm's subject over all sets, then on each set."""
    sets = eval_sets(study.estimates, arm["model"], arm["arm"])
    values = contrasts.per_question(contrasts.pairs(study.changes, [arm], subject))
    by_set = [
        _row(study, arm, subject, [name], contrasts.mean(values.filter(eval_set=name), study.sampling)) for name in sets
    ]
    tested = [row["eval_set"] for row in by_set if row["word"] != UNTESTABLE]
    whole = _row(study, arm, subject, tested or sets, contrasts.mean(values, study.sampling)) | {"eval_set": WHOLE}
    if {FELL, ROSE} <= {row["word"] for row in by_set}:
        whole |= {"word": MIXED, "n_needed": None}
    return [whole, *by_set]


def _row(study: Study, arm: dict, subject: str, sets: list[str], mean: Mean) -> dict:
    change, found = mean.estimate, word(mean.estimate, study.margin)
    metric, test = SUBJECTS[subject]
    where = {} if test is ... else {"test": test}
    before, after = (level(study.estimates, arm["model"], name, sets, metric, **where) for name in (BASE, arm["arm"]))
    return {
        "model": arm["model"],
        "arm": arm["arm"],
        "subject": subject,
        "eval_set": sets[0] if sets else WHOLE,
        "word": found,
        "estimate": change.value,
        "low": change.low,
        "high": change.high,
        "n": mean.n,
        "n_needed": questions_needed(change, mean.n, study.margin) if found == UNKNOWN else None,
        "before": before,
        "after": after,
        "why": _why(study, arm, subject, sets) if found == UNTESTABLE else None,
    }


def _why(study: Study, arm: dict, subject: str, sets: list[str]) -> str:
    """Why a subject has no estimate."""
    if subject != "faithfulness":
        return "no question was answered by both the arm and base"
    if study.turns.get(arm["model"]) == "declared":
        return "its chains are imported, and nothing can be asked after a changed chain"
    if study.estimates.filter(model=arm["model"], metric="faithfulness").is_empty():
        return "the study has no test of faithfulness"
    for name, whose in ((arm["arm"], "its chains"), (BASE, "the chains of base")):
        short = [level(study.estimates, arm["model"], name, sets, f"chain_{kind}") for kind in ("empty", "single")]
        if None not in short and sum(short) > 0.99:
            return f"{whose} have fewer than two steps"
    return "no question has an answer after a changed chain in both the arm and base"
