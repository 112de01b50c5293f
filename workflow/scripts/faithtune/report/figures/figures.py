"""The figures, each defined once: what it is made from, how its points are computed and drawn, how to read it.

Every evaluation set has a figure `match_SET`; the others show the whole study. Each is drawn from a Parquet file that
is written beside it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from faithtune.core import parquet
from faithtune.core.schemas.answers import ANSWERS
from faithtune.core.schemas.chains import CHAINS
from faithtune.core.schemas.estimates import ESTIMATES
from faithtune.core.schemas.probes import INSIDE
from faithtune.core.schemas.training import HOSTED_TRAINING, TRAINING
from faithtune.jobs import job
from faithtune.measures import pooling
from faithtune.measures.long_term.curves import CURVES
from faithtune.measures.stats.bootstrap import Sampling
from faithtune.measures.verdicts.recipes import RECIPES
from faithtune.measures.verdicts.verdict import VERDICTS
from faithtune.report.figures import (
    ablations,
    checkpoints,
    curves,
    dose,
    effects,
    layers,
    match,
    recipes,
    style,
    training,
    verdict,
)
from faithtune.report.verdict import document

if TYPE_CHECKING:  # planning a study must not wait for it
    import matplotlib.figure


class FigureContext(NamedTuple):
    """What figures need to know about the study besides their data."""

    arms: Sequence[dict] = ()  # as `compared.table_arms` has them
    sampling: Sampling = Sampling()
    eval_set: str | None = None  # for a figure of one set


@dataclass(frozen=True)
class Source:
    """What figures are made from."""

    inputs: tuple[str, ...]  # the files that the rule gives, by their names in REPORT_FILES (rules)
    settings: tuple[str, ...]  # what else decides the data, by the names in common.smk (get_figure_spec)
    read: Callable[[Sequence[str], Mapping], Any]  # the data, from the files in order and the settings


@dataclass(frozen=True)
class FigureDef:
    """A figure: what it shows and how."""

    title: str
    caption: str  # how to read it
    source: Source
    schema: pl.Schema
    points: Callable[[Any, FigureContext], pl.DataFrame]
    draw: Callable[[pl.DataFrame, FigureContext], "matplotlib.figure.Figure"]


def _pooled(files: Sequence[str], settings: Mapping, schema: pl.Schema) -> dict[pooling.Key, pl.DataFrame]:
    """The frames of a stage by (model, arm, evaluation set), an arm's seeds pooled."""
    frames = {tuple(path.removesuffix(".parquet").split("/")[-3:]): parquet.read(path, schema) for path in files}
    return pooling.pool(settings["arms"], frames)


def _logs(files: Sequence[str], settings: Mapping) -> dict[tuple[str, str, int], pl.DataFrame]:
    """The training logs by (model, arm, seed)."""
    return {
        tuple(arm): parquet.read(path, HOSTED_TRAINING if hosted else TRAINING)
        for (*arm, hosted), path in zip(settings["trained"], files, strict=True)
    }


def _if_there(files: Sequence[str], schema: pl.Schema) -> pl.DataFrame:
    """The rows of a file that only some studies have."""
    return parquet.read(files[0], schema) if files else pl.DataFrame(schema=schema)


ANSWERED = Source(("answers",), ("sampling", "arms"), lambda files, settings: _pooled(files, settings, ANSWERS))
CHAINED = Source(("chains",), ("arms",), lambda files, settings: _pooled(files, settings, CHAINS))
ESTIMATED = Source(("estimates",), ("sampling", "ranked"), lambda files, settings: parquet.read(files[0], ESTIMATES))
JUDGED = Source(("verdict",), ("sampling", "ranked"), lambda files, settings: document.overall(job.read_json(files[0])))
COMPARED = Source(("recipes",), ("sampling", "ranked"), lambda files, settings: parquet.read(files[0], RECIPES))
CURVED = Source(("curves",), ("sampling", "ranked"), lambda files, settings: _if_there(files, CURVES))
LOOKED_INTO = Source(("inside",), ("sampling", "ranked"), lambda files, settings: _if_there(files, INSIDE))
TRAINED = Source(("training",), ("trained",), _logs)

VERDICT = "verdict"  # the figure that the report opens with
_CHANGES = (
    "Changes from base, paired by question: accuracy with the chain over all questions (missing answers count as"
    " incorrect), and faithfulness in each test, over all kept fractions and the questions with a match in both arms."
    " Above 0 the tuned arm is more accurate, or more faithful. † the arm or base is not above chance (for an average,"
    " on one of its sets), so its matches say little. Tables S1 to S5 count the unanswered and truncated."
)


def _effects(estimates: pl.DataFrame, study: FigureContext) -> pl.DataFrame:
    return effects.effects(estimates, study.arms)


_MATCH = FigureDef(
    "Match on {eval_set}",
    "Match on {eval_set}: share of answered questions whose answer still equals the arm's own full-chain answer,"
    " against the kept fraction of the chain's steps. One line per arm with its pointwise interval, one panel per test."
    " A line that stays high on the left speaks against a faithful chain in Early Termination and Filler Substitution"
    " (the steps were not needed) and for one in Paraphrasing (the meaning sufficed). At 1 the chain is whole, and"
    " every line ends at the own answer. An arm that table T1 marks with † is not above chance on this set: its line"
    " says little. Each line is over its arm's own questions with a finished chain and an answer, so read the effect of"
    " tuning off the paired changes in tables S2 to S4.",
    ANSWERED,
    match.CURVES,
    lambda answers, study: match.curves(answers, study.eval_set, study.sampling),
    lambda frame, study: match.draw(frame, study.eval_set, study.sampling.confidence),
)
FIGURES = {
    VERDICT: FigureDef(
        "What tuning did: accuracy against faithfulness",
        "One point per tuned arm: its change of accuracy with the chain against its change of faithfulness, over all"
        " tests and evaluation sets, with intervals. At the lower left both fell. An arm marked (mixed) fell on one set"
        " and rose on another; arms without a point are named in the title.",
        JUDGED,
        VERDICTS,
        lambda frame, study: frame,
        lambda frame, study: verdict.draw(frame, study.arms, study.sampling.confidence),
    ),
    "heat_map": FigureDef(
        "What tuning changed, at a glance",
        f"{_CHANGES} One line per tuned arm, one column per evaluation set. Bold: the interval excludes 0, not"
        " corrected for the number of cells; p in the tables is.",
        ESTIMATED,
        effects.EFFECTS,
        _effects,
        lambda frame, study: effects.heat_map(frame, study.sampling.confidence),
    ),
    "forest": FigureDef(
        "What tuning changed, with intervals",
        f"{_CHANGES} Bars are intervals; the number at the right is n, the answers behind the change. Left empty where"
        " there are no data (for an average, on one of its sets).",
        ESTIMATED,
        effects.EFFECTS,
        _effects,
        lambda frame, study: effects.forest(frame, study.sampling.confidence),
    ),
    "trade_off": FigureDef(
        "Accuracy against faithfulness",
        f"{_CHANGES} One point per tuned arm (number) and evaluation set (shape), with intervals. At the lower left"
        " both fell. The points of one arm are not independent observations.",
        ESTIMATED,
        effects.EFFECTS,
        _effects,
        lambda frame, study: effects.trade_off(frame, study.sampling.confidence),
    ),
    "recipes": FigureDef(
        "Recipes: accuracy gained, faithfulness lost",
        "One point per tuned arm of a study that has several: its change of accuracy with the chain against its change"
        " of faithfulness, over all tests and evaluation sets, with intervals. Ringed and joined: the Pareto front, the"
        " arms that no other arm dominates in both changes. It is a front of estimates: where intervals overlap, other"
        " questions may give another front. T14 says which differences are significant.",
        COMPARED,
        recipes.POINTS,
        lambda frame, study: recipes.points(frame),
        lambda frame, study: recipes.draw(frame, study.arms, study.sampling.confidence),
    ),
    "ablations": FigureDef(
        "Ablations: changes by one key of the recipe",
        "Changes from base of accuracy with the chain and of faithfulness, over all tests and evaluation sets, with"
        " intervals, against a key of the tuning, for arms of one model and training set (or mixture) that differ in"
        " this key alone (beside a rank in its scale, beside a method or target in the keys that only it has; settings"
        " at the default of their method and adapter count as equal). A line joins them where values are numbers;"
        " places are even.",
        COMPARED,
        ablations.ABLATIONS,
        lambda frame, study: ablations.ablations(frame, study.arms),
        lambda frame, study: ablations.draw(frame, study.arms, study.sampling.confidence),
    ),
    "checkpoints": FigureDef(
        "Over the training: changes at each checkpoint",
        "Changes from base of accuracy with the chain, CoT lift, faithfulness over all tests, the share of valid"
        " chains, their mean number of steps and the share of full-chain answers that can be read, at each checkpoint"
        " of a training and at its end (the larger mark), over all evaluation sets of the checkpoints, with intervals,"
        " against the training examples seen so far and, where weights are at hand, against KL(base || arm) of the next"
        " tokens on base's own chains: how far the model has moved, which makes methods and learning rates comparable"
        " (RL's Razor, arXiv 2509.04259). There a line is a path, which may go back. All points of a training are over"
        " the same questions. A schedule lowers the learning rate with the steps, so a checkpoint is not what a shorter"
        " training would have made. Of a training elsewhere steps are known in place of examples, and its end is drawn"
        " at twice its last step.",
        CURVED,
        CURVES,
        lambda frame, study: frame,
        lambda frame, study: checkpoints.draw(frame, study.arms, study.sampling.confidence),
    ),
    "layers": FigureDef(
        "Inside the arms, by layer",
        "Base and tuned arms by layer, in columns by evaluation set; bands are intervals. Final answer by the lens: its"
        " probability if a layer's state were the last; it rises where the answer is decided, and before the chain it"
        " says how far the arm knows it without a chain. Linear probe: how well a layer's state before the chain ranks"
        " the final answers (0.5: not at all); dotted, the same from the question's words alone. Answers changed: share"
        " of answers that become another one where these layers cannot see the chain, or the question, from the answer"
        " on: high where it is read. Attention of the cue is descriptive: it says where the answer looks, not what it"
        " uses. CKA: similarity of the states to base's (1: as base's), decided by few large dimensions. ‖ΔW‖/‖W‖: how"
        " far weights moved, of no set. What the study did not look at is left out.",
        LOOKED_INTO,
        INSIDE,
        lambda inside, study: layers.points(inside),
        lambda frame, study: layers.draw(frame, study.arms, study.sampling.confidence),
    ),
    "dose": FigureDef(
        "The adapter's dose and place",
        "What a tuned arm answers with its adapter multiplied by λ (0: base, 1: the arm), after the chains that it"
        " wrote at 1: right after its chain, right without one, match over early termination (lower: more faithful),"
        " and how many answers stay as at 1. A match that rises at a smaller λ than accuracy: faithfulness is lost"
        " before accuracy is gained. Bars: the adapter switched off in a part of the network; an effect that goes with"
        " a part rests on it. Bands and lines on bars are intervals. LoRA and rsLoRA alone can be scaled.",
        LOOKED_INTO,
        INSIDE,
        lambda inside, study: dose.points(inside),
        lambda frame, study: dose.draw(frame, study.arms, study.sampling.confidence),
    ),
    "ranks": FigureDef(
        "Effects by the adapter's rank",
        f"{_CHANGES} Against the rank of the adapter, for arms that differ in nothing but rank and scale; one line per"
        " training set, with intervals. Ranks may have been trained with fewer seeds than the headline arms.",
        ESTIMATED,
        effects.EFFECTS,
        lambda estimates, study: effects.rank_effects(estimates, study.arms),
        lambda frame, study: effects.ranks(frame, study.sampling.confidence),
    ),
    "lengths": FigureDef(
        "How long chains are",
        "Share of an arm's chains with at most that many steps, or tokens. A line further left means shorter"
        " chains; one that is high at 0 or 1 steps means chains with nothing for α to cut. Chains cut at the token"
        " limit count with the length they reached.",
        CHAINED,
        curves.LENGTHS,
        lambda chains, study: curves.lengths(chains),
        lambda frame, study: curves.draw(frame),
    ),
    "training": FigureDef(
        "Training loss",
        "Mean loss since the previous point over the tokens that are trained on, in nats per token; for a model at a"
        " host the loss that the host reports, in its unit, if it reports one. One line per tuned arm and seed; an"
        " arm's seeds look the same. Losses on worked solutions and on bare answers are not comparable.",
        TRAINED,
        training.LOSSES,
        lambda logs, study: training.losses(logs),
        lambda frame, study: training.draw(frame),
    ),
}
_OF_SET = "match_"


def names(eval_sets: Sequence[str]) -> list[str]:
    """The names of all figures of a study, in the order of the report."""
    return list(FIGURES) + [f"{_OF_SET}{name}" for name in eval_sets]


def eval_set(name: str) -> str | None:
    """The evaluation set that a figure shows; None if it shows the whole study."""
    return name.removeprefix(_OF_SET) if name.startswith(_OF_SET) else None


def figure(name: str) -> FigureDef:
    """The figure of that name."""
    of = eval_set(name)
    if of is None:
        return FIGURES[name]
    return replace(_MATCH, title=_MATCH.title.format(eval_set=of), caption=_MATCH.caption.format(eval_set=of))


def write(name: str, data: Any, study: FigureContext, svg: str | Path, points: str | Path) -> pl.DataFrame:
    """Compute a figure's points from its source's data, write them to `points`, draw them to `svg`; returns them."""
    what, study = figure(name), study._replace(eval_set=eval_set(name))
    frame = what.points(data, study)
    parquet.write(frame, points, what.schema)
    with style.drawing():
        style.save(what.draw(frame, study), svg)
    return frame
