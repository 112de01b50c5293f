"""The figures: what each is made from, how its points come about, how it is drawn, how it is read.

A figure `match_SET` there is of each evaluation set; the others are of the whole study. Each is
drawn from a Parquet file that lies beside it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from faithtune.core import parquet
from faithtune.measures.stats.bootstrap import Sampling
from faithtune.report.figures import curves, effects, match, style, training

if TYPE_CHECKING:  # planning a study must not wait for it
    import matplotlib.figure


class FigureContext(NamedTuple):
    """What figures need to know of the study beside its frames."""

    arms: Sequence[dict] = ()  # as `plan.table_arms` has them
    sampling: Sampling = Sampling()
    eval_set: str | None = None  # of a figure of one set


@dataclass(frozen=True)
class Figure:
    """A figure."""

    title: str
    caption: str  # how to read it
    source: str  # what its points are made from: answers | estimates | chains | training
    schema: pl.Schema
    points: Callable[[Any, FigureContext], pl.DataFrame]
    draw: Callable[[pl.DataFrame, FigureContext], "matplotlib.figure.Figure"]


_CHANGES = (
    "Changes from base on the same questions: of accuracy with chain, over all questions, those without an answer as"
    " not correct; and of faithfulness in each test over all kept fractions, over the questions with a match in both"
    " arms. Above 0 the tuned arm is more accurate, or more faithful. †: the arm or base is not above chance there (of"
    " an average: on one of its sets), so that its matches mean little. How many were unanswered or truncated, tables"
    " T1 to T4 say."
)


def _effects(estimates: pl.DataFrame, study: "FigureContext") -> pl.DataFrame:
    return effects.effects(estimates, study.arms)


_MATCH = Figure(
    "Match on {eval_set}",
    "Share of the answered questions of {eval_set} whose answer still equals the arm's own full-chain answer (match),"
    " against the fraction of the chain's steps that was kept; one line an arm, with its pointwise interval, and one"
    " panel a test. A line that stays high on the left speaks against a faithful chain in Early Termination and Filler"
    " Substitution (the steps were not needed) and for one in Paraphrasing (the meaning sufficed); at 1 the chain is"
    " whole and every line ends at the own answer. An arm that table T1 marks with † is not above chance on this set:"
    " its line says little. Each line is over its arm's own questions with a finished chain and an answer: for the"
    " effect of tuning read the paired changes in tables T2 to T4.",
    "answers",
    match.CURVES,
    lambda answers, study: match.curves(answers, study.eval_set, study.sampling),
    lambda frame, study: match.draw(frame, study.eval_set, study.sampling.confidence),
)
FIGURES = {
    "heat_map": Figure(
        "What tuning changed, at a glance",
        f"{_CHANGES} A line a tuned arm, a column an evaluation set. Bold: the interval leaves 0 out, not corrected for"
        " there being many; the tables' p is.",
        "estimates",
        effects.EFFECTS,
        _effects,
        lambda frame, study: effects.heat_map(frame, study.sampling.confidence),
    ),
    "forest": Figure(
        "What tuning changed, with intervals",
        f"{_CHANGES} Bars are intervals, the number at the right is n, the answers that the change rests on. Nothing"
        " stands where there is nothing to estimate it from: of an average, on one of its sets.",
        "estimates",
        effects.EFFECTS,
        _effects,
        lambda frame, study: effects.forest(frame, study.sampling.confidence),
    ),
    "trade_off": Figure(
        "Accuracy against faithfulness",
        f"{_CHANGES} A point a tuned arm and evaluation set, its arm by number, its set by shape; the bars are"
        " intervals. At the lower left both fell. Points of one arm are no independent observations.",
        "estimates",
        effects.EFFECTS,
        _effects,
        lambda frame, study: effects.trade_off(frame, study.sampling.confidence),
    ),
    "ranks": Figure(
        "Effects by the adapter's rank",
        f"{_CHANGES} Against the rank of the adapter, of arms that differ in nothing else but its scale; a line a"
        " training set, the bars are intervals. Ranks may have been trained with fewer seeds than the headline's.",
        "estimates",
        effects.EFFECTS,
        lambda estimates, study: effects.rank_effects(estimates, study.arms),
        lambda frame, study: effects.ranks(frame, study.sampling.confidence),
    ),
    "lengths": Figure(
        "How long chains are",
        "Share of an arm's chains that have at most so many steps, or tokens. A line further left is of shorter chains;"
        " one that is high at 0 or 1 steps is of chains in which α has nothing to cut. Chains cut at the token limit"
        " count with the length they reached.",
        "chains",
        curves.LENGTHS,
        lambda chains, study: curves.lengths(chains),
        lambda frame, study: curves.draw(frame),
    ),
    "training": Figure(
        "Training loss",
        "Mean loss over the tokens that are learnt since the point before, nats a token; of a model at a host what the"
        " host tells, in its unit, and nothing where it tells no loss. A line a tuned arm and seed, an arm's seeds"
        " alike. Losses of worked solutions and of bare answers are no measure of each other.",
        "training",
        training.LOSSES,
        lambda logs, study: training.losses(logs),
        lambda frame, study: training.draw(frame),
    ),
}
_OF_SET = "match_"


def names(eval_sets: Sequence[str]) -> list[str]:
    """All figures of a study, in the order of the report."""
    return list(FIGURES) + [f"{_OF_SET}{name}" for name in eval_sets]


def eval_set(name: str) -> str | None:
    """The evaluation set that a figure is of; None where it is of the whole study."""
    return name.removeprefix(_OF_SET) if name.startswith(_OF_SET) else None


def figure(name: str) -> "Figure":
    """A figure by its name."""
    of = eval_set(name)
    if of is None:
        return FIGURES[name]
    return replace(_MATCH, title=_MATCH.title.format(eval_set=of), caption=_MATCH.caption.format(eval_set=of))


def write(name: str, data: Any, study: FigureContext, svg: str | Path, points: str | Path) -> pl.DataFrame:
    """Draw a figure of its source's data to `svg` and its points to the file `points`; returns these."""
    what, study = figure(name), study._replace(eval_set=eval_set(name))
    frame = what.points(data, study)
    parquet.write(frame, points, what.schema)
    with style.drawing():
        style.save(what.draw(frame, study), svg)
    return frame
