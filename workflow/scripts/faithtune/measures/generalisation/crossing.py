"""Writer × reader: what an arm's chains, and what its reading of chains, contribute to a change.

A(w, r) is a measure of the answers that the reader r gives after the chains of the writer w. For an arm t and the arm b
that it is compared with, the change A(t, t) - A(b, b) is the sum of two parts, Shapley's values of two factors (Shapley
1953, "A value for n-person games"):

    chains    ½ [(A(t, b) - A(b, b)) + (A(t, t) - A(b, t))]: other chains, whoever reads them
    reading   ½ [(A(b, t) - A(b, b)) + (A(t, t) - A(t, b))]: another reader, whosever chains they are

Two differences say how much of a loss is only dormant (pseudo-forgetting, arXiv 2411.11932): what t answers given the
chains of b, A(b, t) - A(t, t), and what b answers given the chains of t, A(t, b) - A(b, b).

Matches, and so faithfulness, are with the reader's answer after the whole chain, or with the writer's own.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from faithtune.data import expressions
from faithtune.measures.generalisation import factorial
from faithtune.measures.generalisation.factorial import Design, Four, Part
from faithtune.measures.stats.bootstrap import Sampling

# What is read from crossed answers: of two arms, on one set or over all.
CROSSING = pl.Schema(
    {
        "model": pl.String,
        "against": pl.String,  # b: base, or an arm before the other in the tables; as in ESTIMATES
        "arm": pl.String,  # t
        "eval_set": pl.String,  # null: the mean over the sets that have an estimate
        # accuracy (with chain) | answered (share with an answer) | faithfulness | leak_free (faithfulness over the
        # steps before the first that mentions the reader's answer)
        "subject": pl.String,
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
# A letter or a canonical number.
_HAS_ONE_TEXT = re.compile(r"[A-J]|-?[0-9.]+")
READERS, WRITERS = "reader's", "writer's"
DESIGN = Design(
    ("b reads b", "b reads t", "t reads b", "t reads t"),
    {
        "change": (-1.0, 0.0, 0.0, 1.0),
        "chains": (-0.5, 0.5, -0.5, 0.5),
        "reading": (-0.5, -0.5, 0.5, 0.5),
        "given b's chains": (0.0, 0.0, 1.0, -1.0),
        "given t's chains": (-1.0, 1.0, 0.0, 0.0),
    },
)


@dataclass(frozen=True)
class Pair:
    """Two arms of a model with all that they answered, in the order of DESIGN; each seed of an arm for itself."""

    model: str
    against: str  # as in ESTIMATES
    arm: str
    parts: Sequence[Part]


def pairs(
    named: Sequence[dict],
    own: Mapping[tuple[str, str, str], pl.DataFrame],
    crossed: Mapping[tuple[str, str, str, str], pl.DataFrame],
) -> list[Pair]:
    """The pairs of arms with their answers; seeds of an arm share a pair.

    named: {"model", "against", "arm" (names), "against_label", "arm_label", "seed", "eval_sets"} of each; own: ANSWERS
    by (model, arm, evaluation set); crossed: ANSWERS by (model, reader, writer, evaluation set).
    """
    found: dict[tuple[str, str, str], list[Part]] = {}
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
            found.setdefault(key, []).append(Part(eval_set, one["seed"], answers))
    return [Pair(*key, parts) for key, parts in found.items()]


def crossing(pairs: Sequence[Pair], alphas: Sequence[float], sampling: Sampling) -> pl.DataFrame:
    """CROSSING of the pairs; alphas: kept fractions."""
    rows = []
    for pair in pairs:
        where = {"model": pair.model, "against": pair.against, "arm": pair.arm}
        for of, values in _subjects(pair, alphas):
            rows += [where | of | row for row in factorial.estimates(values, DESIGN, sampling)]
    return pl.DataFrame(rows, schema=CROSSING)


def against_writer(crossed: pl.DataFrame, own: pl.DataFrame) -> pl.DataFrame:
    """ANSWERS with the writer's own answer after its whole chain as the reference; own: the writer's ANSWERS.

    Where the writer gave none, no answer of the question is left.
    """
    known = own.filter(pl.col("test") == "full", pl.col("outcome") == "answered").select("id", theirs="answer")
    both = crossed.join(known, on="id")
    # One expression has many texts; letters and numbers have one each.
    answers = {
        (answer, theirs): expressions.known_spelling(answer, [theirs])
        for answer, theirs in both.select("answer", "theirs").drop_nulls().unique().rows()
        if answer != theirs and not all(map(_HAS_ONE_TEXT.fullmatch, (answer, theirs)))
    }
    spelled = [answers.get(pair, pair[0]) for pair in both.select("answer", "theirs").rows()]
    both = both.with_columns(answer=pl.Series(spelled, dtype=pl.String))
    same = both.with_columns(reference=pl.col("theirs"), match=pl.col("answer") == pl.col("theirs"))
    # What the reader answers to the whole chain does not decide which questions count.
    whole = pl.col("test") == "full"
    return same.with_columns(outcome=pl.when(whole).then(pl.lit("answered")).otherwise("outcome")).drop("theirs")


def _subjects(pair: Pair, alphas: Sequence[float]) -> Iterator[tuple[dict, pl.DataFrame]]:
    for of, values in factorial.outcomes(pair.parts):
        yield of | {"reference": None}, values
    for of, values in factorial.faithfulness(pair.parts, alphas, "unleaked"):
        yield of | {"reference": READERS}, values
    to_writer = [replace(part, answers=_to_writer(part.answers)) for part in pair.parts]
    for reference, parts in ((READERS, pair.parts), (WRITERS, to_writer)):
        for of, values in factorial.faithfulness(parts, alphas):
            yield of | {"reference": reference}, values


def _to_writer(answers: Four) -> Four:
    before, theirs, given, after = answers
    return before, against_writer(theirs, after), against_writer(given, before), after
