"""Writer × reader: what an arm's chains, and what its reading of chains, contribute to a change.

A(w, r) is a measure of the answers that the reader r gives after the chains of the writer w. For an arm t and the arm b
that it is compared with, the change A(t, t) - A(b, b) is the sum of two parts, Shapley's values of two factors (Shapley
1953, "A value for n-person games"):

    chains    ½ [(A(t, b) - A(b, b)) + (A(t, t) - A(b, t))]: other chains, whoever reads them
    reading   ½ [(A(b, t) - A(b, b)) + (A(t, t) - A(t, b))]: another reader, whosever chains they are

Two differences say how much of a loss is only dormant (pseudo-forgetting, arXiv 2411.11932): what t answers given the
chains of b, A(b, t) - A(t, t), and what b answers given the chains of t, A(t, b) - A(b, b).

All four numbers are about the same questions. Faithfulness is the directed match of `match`, over the tests whose texts
are parts of the writer's own steps: with the reader's answer after the whole chain, or with the writer's own.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from faithtune.interventions.registry import direction, having
from faithtune.measures import contrasts
from faithtune.measures.alpha import answers_at
from faithtune.measures.contrasts import Mean
from faithtune.measures.stats.bootstrap import Sampling

# What is read from crossed answers: of two arms, on one set or over all.
CROSSING = pl.Schema(
    {
        "model": pl.String,
        "against": pl.String,  # b: base, or an arm before the other in the tables; as in ESTIMATES
        "arm": pl.String,  # t
        "eval_set": pl.String,  # null: the mean over the sets
        "subject": pl.String,  # accuracy (with chain) | answered (share with an answer) | faithfulness
        "test": pl.String,  # of faithfulness; null: the mean over all tests
        "reference": pl.String,  # of faithfulness, the answer that others are compared with: reader's | writer's
        # b reads b | b reads t | t reads b | t reads t: the measure itself; change | chains | reading | given b's
        # chains | given t's chains: differences, as the module defines them
        "quantity": pl.String,
        "estimate": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "p": pl.Float64,  # two-sided, not corrected; null for the measure itself
        "n": pl.Int64,  # questions it rests on
    }
)
READERS, WRITERS = "reader's", "writer's"
# The columns of a frame of values, A(w, r) as "r reads w".
CELLS = ("b reads b", "b reads t", "t reads b", "t reads t")
# Each difference as weights of the cells.
DIFFERENCES = {
    "change": (-1.0, 0.0, 0.0, 1.0),
    "chains": (-0.5, 0.5, -0.5, 0.5),
    "reading": (-0.5, -0.5, 0.5, 0.5),
    "given b's chains": (0.0, 0.0, 1.0, -1.0),
    "given t's chains": (-1.0, 1.0, 0.0, 0.0),
}
# The tests that are answered after another arm's chains: the others need texts that the reader would have to write, or
# that no chain is part of.
TESTS = tuple(having(of_own_steps=True))
_KEYS = ("id", "group")


@dataclass(frozen=True)
class Crossed:
    """The answers of two arms after each other's chains on one set, each a frame of ANSWERS, in the order of CELLS."""

    eval_set: str
    seed: int | None  # of the tuned arm
    answers: tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame]


@dataclass(frozen=True)
class Pair:
    """Two arms of a model with all that they answered, each seed of an arm for itself."""

    model: str
    against: str  # as in ESTIMATES
    arm: str
    parts: Sequence[Crossed]


def pairs(
    named: Sequence[dict],
    own: Mapping[tuple[str, str, str], pl.DataFrame],
    crossed: Mapping[tuple[str, str, str, str], pl.DataFrame],
) -> list[Pair]:
    """The pairs of arms with their answers; seeds of an arm share a pair.

    named: {"model", "against", "arm" (names), "against_label", "arm_label", "seed", "eval_sets"} of each; own: ANSWERS
    by (model, arm, evaluation set); crossed: ANSWERS by (model, reader, writer, evaluation set).
    """
    found: dict[tuple[str, str, str], list[Crossed]] = {}
    for one in named:
        model, against, arm = (one[name] for name in ("model", "against", "arm"))
        for eval_set in one["eval_sets"]:
            answers = (
                own[model, against, eval_set],
                crossed[model, against, arm, eval_set],
                crossed[model, arm, against, eval_set],
                own[model, arm, eval_set],
            )
            key = model, one["against_label"], one["arm_label"]
            found.setdefault(key, []).append(Crossed(eval_set, one["seed"], answers))
    return [Pair(*key, parts) for key, parts in found.items()]


def crossing(pairs: Sequence[Pair], alphas: Sequence[float], sampling: Sampling) -> pl.DataFrame:
    """CROSSING of the pairs; alphas: kept fractions."""
    rows = []
    for pair in pairs:
        where = {"model": pair.model, "against": pair.against, "arm": pair.arm}
        for of, values in _subjects(pair, alphas):
            sets = values["eval_set"].unique(maintain_order=True).to_list()
            for name in [None, *sets]:
                here = values if name is None else values.filter(eval_set=name)
                rows += [where | of | {"eval_set": name} | row for row in _quantities(here, sampling)]
    return pl.DataFrame(rows, schema=CROSSING)


def accuracy(answers: pl.DataFrame) -> pl.DataFrame:
    """(id, group, value) from ANSWERS: whether the answer after the whole chain is right; a missing one is not."""
    return _after_whole_chain(answers, pl.col("correct").fill_null(False))


def answered(answers: pl.DataFrame) -> pl.DataFrame:
    """(id, group, value) from ANSWERS: whether there is an answer after the whole chain."""
    return _after_whole_chain(answers, pl.col("outcome") == "answered")


def against_writer(crossed: pl.DataFrame, own: pl.DataFrame) -> pl.DataFrame:
    """ANSWERS with the writer's own answer after its whole chain as the reference; own: the writer's ANSWERS.

    Where the writer gave none, no answer of the question is left.
    """
    known = own.filter(pl.col("test") == "full", pl.col("outcome") == "answered").select("id", theirs="answer")
    same = crossed.join(known, on="id").with_columns(
        reference=pl.col("theirs"), match=pl.col("answer") == pl.col("theirs")
    )
    # What the reader answers to the whole chain does not decide which questions count.
    whole = pl.col("test") == "full"
    return same.with_columns(outcome=pl.when(whole).then(pl.lit("answered")).otherwise("outcome")).drop("theirs")


def faithfulness(answers: Sequence[pl.DataFrame], alphas: Sequence[float]) -> pl.DataFrame:
    """(id, group, test, *CELLS) from four ANSWERS, in the order of CELLS: each question's mean over its pairs of k.

    A pair counts where the test tampers with both chains and all four answers are known.
    """
    own = [
        frame.filter(pl.col("test").is_in(["full", *TESTS])).pipe(answers_at, alphas).filter("real").drop_nulls("match")
        for frame in answers
    ]
    at, joined = [*_KEYS, "test", "alpha"], None
    for name, frame in zip(CELLS, own, strict=True):
        part = frame.select(*at, pl.col("match").cast(pl.Float64).alias(name), pl.col("k").alias(f"k of {name}"))
        joined = part if joined is None else joined.join(part, on=at)
    # Each pair of prompts once: of two steps, α = 0.25 and 0.5 keep the same one.
    chosen = joined.unique(["id", "test", f"k of {CELLS[0]}", f"k of {CELLS[3]}"], keep="first", maintain_order=True)
    means = chosen.group_by(*_KEYS, "test", maintain_order=True).agg(pl.col(CELLS).mean())
    keeps = pl.col("test").is_in([test for test in TESTS if direction(test) > 0])
    return means.with_columns(pl.when(keeps).then(pl.col(name)).otherwise(1 - pl.col(name)) for name in CELLS)


def _after_whole_chain(answers: pl.DataFrame, value: pl.Expr) -> pl.DataFrame:
    return answers.filter(pl.col("test") == "full").select(*_KEYS, value=value.cast(pl.Float64))


def _subjects(pair: Pair, alphas: Sequence[float]) -> Iterator[tuple[dict, pl.DataFrame]]:
    """What is measured, and its values by question: (eval_set, seed, test, id, group, *CELLS)."""
    for subject, read in (("accuracy", accuracy), ("answered", answered)):
        frames = []
        for part in pair.parts:
            joined = None
            for name, frame in zip(CELLS, part.answers, strict=True):
                one = read(frame).rename({"value": name})
                joined = one if joined is None else joined.join(one, on=_KEYS)
            frames.append(_placed(part, joined.with_columns(test=pl.lit(""))))
        yield {"subject": subject, "test": None, "reference": None}, pl.concat(frames)
    for reference in (READERS, WRITERS):
        frames = [_placed(part, faithfulness(_referred(part.answers, reference), alphas)) for part in pair.parts]
        values = pl.concat(frames)
        tests = values["test"].unique(maintain_order=True).to_list()
        for test in [None, *(tests if len(tests) > 1 else [])] if tests else []:
            chosen = values if test is None else values.filter(test=test)
            yield {"subject": "faithfulness", "test": test, "reference": reference}, chosen


def _referred(answers: Sequence[pl.DataFrame], reference: str) -> Sequence[pl.DataFrame]:
    """The answers with the reference that is wanted."""
    before, theirs, given, after = answers
    if reference == READERS:
        return answers
    return before, against_writer(theirs, after), against_writer(given, before), after


def _placed(part: Crossed, values: pl.DataFrame) -> pl.DataFrame:
    seed = pl.lit(part.seed or 0, pl.Int64)
    columns = values.sort("id", "test").select("test", *_KEYS, *CELLS)
    return columns.with_columns(eval_set=pl.lit(part.eval_set), seed=seed)


def _quantities(values: pl.DataFrame, sampling: Sampling) -> Iterator[dict]:
    for name in CELLS:
        mean = contrasts.level(_per_question(values, pl.col(name)), sampling)
        yield _row(name, mean) | {"p": None}
    for name, weights in DIFFERENCES.items():
        difference = sum(weight * pl.col(cell) for weight, cell in zip(weights, CELLS, strict=True))
        yield _row(name, contrasts.mean(_per_question(values, difference), sampling))


def _per_question(values: pl.DataFrame, change: pl.Expr) -> pl.DataFrame:
    return contrasts.per_question(values.with_columns(change=change, arm=pl.lit("")))


def _row(quantity: str, mean: Mean) -> dict:
    value, low, high, p = mean.estimate
    return {"quantity": quantity, "estimate": value, "low": low, "high": high, "p": p, "n": mean.n}
