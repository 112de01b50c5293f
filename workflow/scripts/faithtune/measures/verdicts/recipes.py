"""Recipes side by side: what tuned arms of one model changed, against base and against each other.

Every number is a mean over evaluation sets, paired by question (`contrasts`). Two arms are compared on the questions
that have a change in both.
"""

import itertools
from collections.abc import Iterator, Sequence

import polars as pl

from faithtune.core.schemas.estimates import BASE
from faithtune.measures import contrasts
from faithtune.measures.contrasts import Mean
from faithtune.measures.stats import significance
from faithtune.measures.stats.bootstrap import Sampling

# What is compared, as `what` of CHANGES names it, and the greatest possible difference from base and between two arms.
SUBJECTS = {"accuracy": (1.0, 1.0), "lift": (2.0, 2.0), "faithfulness": (1.0, 2.0), "chains": (1.0, 1.0)}
# What is compared between any two arms of a model, also where neither is the reference.
ALWAYS = ("accuracy", "faithfulness")
# What the other arm is to the first; p_holm is corrected over each of the first two.
FAMILIES = FROM_BASE, FROM_REFERENCE, BETWEEN = ("base", "reference", "others")
# A difference between a tuned arm and base, or between two tuned arms of a model, over all evaluation sets.
RECIPES = pl.Schema(
    {
        "model": pl.String,
        "arm": pl.String,  # as in ESTIMATES, its seeds pooled
        "against": pl.String,  # base, the arm's reference, or an arm before it in the tables
        # accuracy (with chain) | lift (accuracy with chain minus without) | faithfulness | chains (share that is valid)
        "subject": pl.String,
        "test": pl.String,  # of faithfulness; null: the mean over all tests
        "estimate": pl.Float64,  # arm minus `against`, paired by question
        "low": pl.Float64,
        "high": pl.Float64,
        "p": pl.Float64,  # two-sided, not corrected
        "n": pl.Int64,  # questions it rests on
        "family": pl.String,  # base | reference | others: what `against` is to the arm
        "p_holm": pl.Float64,  # p corrected over the family; null for others
        # p corrected over all pairs of the model's tuned arms, in accuracy and in faithfulness over all tests; null for
        # other differences
        "p_pairs": pl.Float64,
    }
)


def recipes(
    arms: Sequence[dict], changes: pl.DataFrame, sampling: Sampling, reference: str | None = None
) -> pl.DataFrame:
    """RECIPES of a study with two tuned arms or more; only arms of one model are compared with each other.

    arms: `compared.table_arms`; changes: CHANGES; reference: the name of a tuning, or the label of an arm.
    """
    everywhere, rows = [arm for arm in arms if arm["train_set"] is not None], []
    for model in dict.fromkeys(arm["model"] for arm in everywhere if len(everywhere) > 1):
        tuned = [arm for arm in everywhere if arm["model"] == model]
        rows += [row for arm in tuned for row in _from_base(changes, arm, sampling)]
        for earlier, later in itertools.combinations(tuned, 2):
            rows += _between(changes, *_ordered(earlier, later, tuned, reference), sampling)
    frame = pl.DataFrame(rows, schema=RECIPES)
    in_pairs = (pl.col("family") != FROM_BASE) & pl.col("subject").is_in(ALWAYS) & pl.col("test").is_null()
    frame = _corrected(frame, "p_holm", pl.when(pl.col("family") != BETWEEN).then("family"))
    return _corrected(frame, "p_pairs", pl.when(in_pairs).then("model"))


def reference_of(arm: dict, tuned: Sequence[dict], reference: str | None) -> dict | None:
    """The arm of `tuned` that an arm is compared with: the reference's on the same training set, or its only arm.

    None for the arms of the reference.
    """
    named = [one for one in tuned if reference is not None and reference in (one["tuning"], one["arm"])]
    same = [one for one in named if one["train_set"] == arm["train_set"]] or named
    return same[0] if len(same) == 1 and arm not in named else None


def _ordered(earlier: dict, later: dict, tuned: Sequence[dict], reference: str | None) -> tuple[dict, dict, bool]:
    """Of two arms the one that is compared, the other, and whether that is its reference."""
    for arm, other in ((earlier, later), (later, earlier)):
        if reference_of(arm, tuned, reference) == other:
            return arm, other, True
    return later, earlier, False


def _from_base(changes: pl.DataFrame, arm: dict, sampling: Sampling) -> Iterator[dict]:
    for subject, (bound, _) in SUBJECTS.items():
        pairs = contrasts.pairs(changes, [arm], subject)
        for test, values in _by_test(pairs, subject):
            mean = contrasts.mean(contrasts.per_question(values), sampling, bound)
            yield _row(arm, BASE, FROM_BASE, subject, test, mean)


def _between(changes: pl.DataFrame, arm: dict, other: dict, is_reference: bool, sampling: Sampling) -> Iterator[dict]:
    for subject, (_, bound) in SUBJECTS.items():
        if not is_reference and subject not in ALWAYS:
            continue
        pairs = contrasts.pairs(changes, [arm, other], subject)
        for test, values in _by_test(pairs, subject) if is_reference else [(None, pairs)]:
            both = contrasts.side_by_side(*(values.filter(arm=one["arm"]) for one in (arm, other)))
            difference = both.with_columns(value=pl.col("value") - pl.col("value_other"))
            mean = contrasts.mean(difference, sampling, bound)
            yield _row(arm, other["arm"], FROM_REFERENCE if is_reference else BETWEEN, subject, test, mean)


def _by_test(pairs: pl.DataFrame, subject: str) -> Iterator[tuple[str | None, pl.DataFrame]]:
    """The pairs over all tests, then the pairs of each test of faithfulness, where there are several."""
    yield None, pairs
    tests = pairs["test"].unique(maintain_order=True) if subject == "faithfulness" else []
    for test in tests if len(tests) > 1 else []:
        yield test, pairs.filter(test=test)


def _row(arm: dict, against: str, family: str, subject: str, test: str | None, mean: Mean) -> dict:
    where = {"model": arm["model"], "arm": arm["arm"], "against": against, "family": family}
    found = mean.estimate._asdict()
    return where | {"subject": subject, "test": test, "estimate": found.pop("value"), **found, "n": mean.n}


def _corrected(rows: pl.DataFrame, name: str, family: pl.Expr) -> pl.DataFrame:
    """The rows with p corrected over each family in the column `name`; null where the family is."""

    def holm(ps: pl.Series) -> pl.Series:
        return pl.Series(significance.holm(ps.to_list()), dtype=pl.Float64)

    corrected = pl.col("p").map_batches(holm, return_dtype=pl.Float64).over(family)
    return rows.with_columns(pl.when(family.is_not_null()).then(corrected).alias(name))
