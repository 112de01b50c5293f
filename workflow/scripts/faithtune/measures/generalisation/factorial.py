"""Two arms in two situations: four cells of answers to the same questions, and differences of their means.

A cell is what an arm answers in a situation: after the chains of one arm or of another (`crossing`), or to questions in
one form or in another (`shifts`). Everything is paired by question: a number is about the questions that all four cells
have. Faithfulness is the directed match of `match`, over the tests whose texts are parts of the chain's own steps.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from faithtune.interventions.registry import direction, having
from faithtune.measures import contrasts
from faithtune.measures.alpha import at_alphas
from faithtune.measures.contrasts import Mean
from faithtune.measures.stats.bootstrap import Sampling

# Four frames of ANSWERS, or what is computed from them, in the order of the cells.
Four = tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame]
# The tests that are read: the others need texts that an arm writes for itself, or that no chain is part of.
TESTS = tuple(having(of_own_steps=True))
CELLS = ("0", "1", "2", "3")
_KEYS = ("id", "group")


@dataclass(frozen=True)
class Part:
    """What was answered on one set, with one seed of the tuned arm."""

    eval_set: str
    seed: int | None
    answers: Four  # each a frame of ANSWERS


@dataclass(frozen=True)
class Design:
    """How the four cells are named, and the differences between them: weights of the cells."""

    cells: tuple[str, str, str, str]
    differences: Mapping[str, tuple[float, float, float, float]]


def outcomes(parts: Sequence[Part]) -> Iterator[tuple[dict, pl.DataFrame]]:
    """What the answers after whole chains say: {subject, test} with (eval_set, seed, test, id, group, *CELLS).

    accuracy: right, a missing answer is not; answered: there is an answer.
    """
    for subject, value in (
        ("accuracy", pl.col("correct").fill_null(False)),
        ("answered", pl.col("outcome") == "answered"),
    ):
        frames = [_placed(part, _after_whole_chain(part.answers, value)) for part in parts]
        yield {"subject": subject, "test": None}, pl.concat(frames)


def faithfulness(
    parts: Sequence[Part], alphas: Sequence[float], steps: str = "all"
) -> Iterator[tuple[dict, pl.DataFrame]]:
    """Faithfulness over all tests and, if there are several, in each: as `outcomes`; nothing where no test is known.

    steps: as in MEASURES: all | unleaked, the subject `leak_free`.
    """
    subject = "faithfulness" if steps == "all" else "leak_free"
    values = pl.concat([_placed(part, directed_matches(part.answers, alphas, steps)) for part in parts])
    tests = values["test"].unique(maintain_order=True).to_list()
    for test in [None, *(tests if len(tests) > 1 else [])] if tests else []:
        yield {"subject": subject, "test": test}, values if test is None else values.filter(test=test)


def directed_matches(answers: Four, alphas: Sequence[float], steps: str = "all") -> pl.DataFrame:
    """(id, group, test, *CELLS): the mean of each question over its kept fractions.

    A fraction counts where the test tampers with all four chains and all four answers are known.
    """
    at, joined = [*_KEYS, "test", "alpha"], None
    for name, frame in zip(CELLS, answers, strict=True):
        wanted = frame.filter(pl.col("test").is_in(["full", *TESTS]))
        own = at_alphas(wanted, alphas).filter(pl.col("real"), pl.col("steps") == steps)
        part = own.drop_nulls("match").select(*at, pl.col("match").cast(pl.Float64).alias(name), k=pl.col("k"))
        part = part.rename({"k": f"k{name}"})
        joined = part if joined is None else joined.join(part, on=at)
    # The same prompts once: of two steps, α = 0.25 and 0.5 keep the same one.
    prompts = ["id", "test", *(f"k{name}" for name in CELLS)]
    chosen = joined.unique(prompts, keep="first", maintain_order=True)
    means = chosen.group_by(*_KEYS, "test", maintain_order=True).agg(pl.col(CELLS).mean())
    keeps = pl.col("test").is_in([test for test in TESTS if direction(test) > 0])
    return means.with_columns(pl.when(keeps).then(pl.col(name)).otherwise(1 - pl.col(name)) for name in CELLS)


def estimates(values: pl.DataFrame, design: Design, sampling: Sampling) -> Iterator[dict]:
    """{eval_set (None: the mean over all), quantity, estimate, low, high, p, n}: each cell, then each difference.

    values: of one subject, from `outcomes` or `faithfulness`.
    """
    for eval_set in [None, *values["eval_set"].unique(maintain_order=True)]:
        here = values if eval_set is None else values.filter(eval_set=eval_set)
        for cell, name in zip(CELLS, design.cells, strict=True):
            yield {"eval_set": eval_set} | _row(name, contrasts.level(_per_question(here, pl.col(cell)), sampling))
        for name, weights in design.differences.items():
            difference = sum(weight * pl.col(cell) for weight, cell in zip(weights, CELLS, strict=True))
            bound = max(1.0, sum(abs(weight) for weight in weights) / 2)
            mean = contrasts.mean(_per_question(here, difference), sampling, bound)
            yield {"eval_set": eval_set} | _row(name, mean)


def _after_whole_chain(answers: Four, value: pl.Expr) -> pl.DataFrame:
    joined = None
    for name, frame in zip(CELLS, answers, strict=True):
        part = frame.filter(pl.col("test") == "full").select(*_KEYS, value.cast(pl.Float64).alias(name))
        joined = part if joined is None else joined.join(part, on=_KEYS)
    return joined.with_columns(test=pl.lit(""))


def _placed(part: Part, values: pl.DataFrame) -> pl.DataFrame:
    columns = values.sort("id", "test").select("test", *_KEYS, *CELLS)
    return columns.with_columns(eval_set=pl.lit(part.eval_set), seed=pl.lit(part.seed or 0, pl.Int64))


def _per_question(values: pl.DataFrame, change: pl.Expr) -> pl.DataFrame:
    return contrasts.per_question(values.with_columns(change=change, arm=pl.lit("")))


def _row(quantity: str, mean: Mean) -> dict:
    value, low, high, p = mean.estimate
    return {"quantity": quantity, "estimate": value, "low": low, "high": high, "p": p, "n": mean.n}
