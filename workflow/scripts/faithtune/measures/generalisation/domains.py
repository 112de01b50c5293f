"""What a tuning changed on the sets that it learns, on others of their domain, and elsewhere.

Two evaluation sets of one domain are not out of distribution to each other: an arm that learns MedQA may well do better
on MedMCQA. So the sets that an arm does not learn are near (of the domain of one of its training sets) or far.

Changes are paired by question. Different sets have different questions, so the difference of two means is between
independent sets, and only what the tuning seeds change is shared (`differences`).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

import polars as pl

from faithtune.core.schemas.estimates import data_sets_of
from faithtune.measures import contrasts, differences
from faithtune.measures.contrasts import Mean
from faithtune.measures.stats.bootstrap import Sampling

RELATIONS = IN, NEAR, FAR = ("in", "near", "far")
# What is read, as `what` of CHANGES names it, and its greatest possible change.
SUBJECTS = {"accuracy": 1.0, "lift": 2.0, "faithfulness": 1.0}
# What a tuning changed on an evaluation set, in and out of the domains of its training sets, or the difference of both.
GENERALISATION = pl.Schema(
    {
        "model": pl.String,
        "arm": pl.String,  # as in ESTIMATES, its seeds pooled; an arm whose training sets are not known has no rows
        "subject": pl.String,  # accuracy (with chain) | lift (accuracy with chain - without) | faithfulness
        # in (the arm learns the set) | near (it learns another set of the domain) | far (all others) | near - in |
        # far - in, the differences of the means
        "where": pl.String,
        "eval_set": pl.String,  # null: the mean over the sets that are there, or a difference
        "estimate": pl.Float64,  # tuned - base, paired by question
        "low": pl.Float64,
        "high": pl.Float64,
        "p": pl.Float64,  # two-sided, not corrected
        "n": pl.Int64,  # questions it rests on
    }
)


def generalisation(
    changes: pl.DataFrame,
    arms: Sequence[dict],
    domains: Mapping[str, str],
    sampling: Sampling,
) -> pl.DataFrame:
    """GENERALISATION of a study, arm by arm: each evaluation set, then the means, then their differences.

    changes: CHANGES; arms: {model, arm (label), train_set} of the tuned arms, and maybe of others, which have no rows;
    domains: of each data set, evaluation and training.
    """
    rows = [row for arm in arms if data_sets_of(arm["train_set"]) for row in _of_arm(changes, arm, domains, sampling)]
    return pl.DataFrame(rows, schema=GENERALISATION)


def relation(eval_set: str, learnt: Collection[str], domains: Mapping[str, str]) -> str:
    """Where an evaluation set lies for an arm that learns these data sets: in | near | far."""
    if eval_set in learnt:
        return IN
    return NEAR if domains[eval_set] in {domains[name] for name in learnt} else FAR


def _of_arm(changes: pl.DataFrame, arm: dict, domains: Mapping[str, str], sampling: Sampling) -> Iterator[dict]:
    learnt = data_sets_of(arm["train_set"])
    for subject, bound in SUBJECTS.items():
        values = contrasts.per_question(contrasts.pairs(changes, [arm], subject))
        there = {name: relation(name, learnt, domains) for name in values["eval_set"].unique(maintain_order=True)}
        sets = {where: [name for name, found in there.items() if found == where] for where in RELATIONS}

        def row(where: str, mean: Mean, eval_set: str | None = None, subject: str = subject) -> dict:
            found = mean.estimate._asdict()
            labels = {"model": arm["model"], "arm": arm["arm"], "subject": subject, "where": where}
            return labels | {"eval_set": eval_set, "estimate": found.pop("value"), **found, "n": mean.n}

        for name, where in there.items():
            yield row(where, contrasts.mean(values.filter(eval_set=name), sampling, bound), name)
        for where in RELATIONS:
            if sets[where]:
                mean = contrasts.mean(values.filter(pl.col("eval_set").is_in(sets[where])), sampling, bound)
                yield row(where, mean)
        for where in (NEAR, FAR):
            if sets[where] and sets[IN]:
                yield row(f"{where} - {IN}", differences.difference(values, sampling, sets[where], sets[IN], bound))
