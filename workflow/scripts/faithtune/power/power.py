"""How many questions and tuning seeds a study needs: the least change that it finds with 80 % power, by oracles.

Oracles of known rates go through all stages once (`oracle_study`): a base, and SEEDS tunings that change nothing on
average. Studies are then drawn from them: questions with replacement, and some of the seeds. A study finds a true
change d if the interval of its estimate excludes 0. As its own estimate is off by e, with half-width h, that is where
d + e > h. So the least change that a share `POWER` of the studies finds is that quantile of h - e: no assumption of
normality, and the price of few seeds is in it.

Base and tuned arms draw independently here. In a real study a question that is hard before tuning is hard after it,
which pairing makes use of: it finds somewhat smaller changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from faithtune.measures import accuracy, contrasts, match
from faithtune.measures.cell import Cell
from faithtune.measures.stats.bootstrap import Sampling
from faithtune.power import oracle_study
from faithtune.settings.backend import Behaviour

QUESTIONS, SEEDS = 400, 30  # to draw from
STUDIES = 200  # drawn for each size
POWER = 0.8
KINDS = ("accuracy", "faithfulness")
# The least change that a study finds with POWER, in shares (0.1: 10 points).
DETECTABLE = pl.Schema(
    {
        "questions": pl.Int64,  # on each evaluation set
        "seeds": pl.Int64,  # tunings with the same recipe
        "sets": pl.Int64,  # evaluation sets that the change is the mean over
        "accuracy": pl.Float64,  # with chain
        "faithfulness": pl.Float64,  # mean over tests and kept fractions
    }
)


@dataclass(frozen=True)
class Assumed:
    """What is assumed of the arms."""

    accuracy: float = 0.7  # with chain
    faithful: float = 0.7  # share of the answers that rest on the chain
    spread: float = 0.03  # standard deviation of both between seeds of a tuning


def simulate_changes(
    tests: Sequence[str], alphas: list[float], templates: dict[str, str], assumed: Assumed, seed: int
) -> pl.DataFrame:
    """Changes in QUESTIONS by SEEDS tunings that change nothing on average: (what, seed, id, test, change)."""
    draw = np.random.default_rng(seed)
    asked = oracle_study.made_up(QUESTIONS, 0)

    def run(which: int, rates: dict[str, float]):
        behaviour = Behaviour(seed=seed * (SEEDS + 1) + which, **rates)
        found = oracle_study.run_arm(asked, behaviour, templates, tests, alphas)
        frames = found.answers, found.chains, found.measures
        return [frame.with_columns(seed=pl.lit(which if which else None, pl.Int64)) for frame in frames]

    def right(answers: pl.DataFrame, chains: pl.DataFrame) -> pl.DataFrame:
        return accuracy.by_test(answers, chains, asked)["cot"]

    rates = {"accuracy": assumed.accuracy, "faithful": assumed.faithful}
    base = run(0, rates)
    found = []
    for which in range(1, SEEDS + 1):
        own = run(which, {name: np.clip(draw.normal(rate, assumed.spread), 0, 1) for name, rate in rates.items()})
        pairs = right(*own[:2]).join(right(*base[:2]), on="id", suffix="_base")
        found.append(pairs.with_columns(what=pl.lit("accuracy"), test=pl.lit(""), change=accuracy.change("correct")))
        for test in tests:
            cell = Cell(Sampling(), "oracle", "tuned", None, "boxes", test=test)
            changed = match.changes(cell, own[2], base[2])
            found.append(changed.select("id", "seed", "change", what=pl.lit("faithfulness"), test=pl.lit(test)))
    columns = ["what", "seed", "id", "test", pl.col("change").cast(pl.Float64)]
    return pl.concat([frame.select(columns) for frame in found])


def detectable(changes: pl.DataFrame, questions: int, seeds: int, sets: int, sampling: Sampling, seed: int) -> dict:
    """A row of DETECTABLE, from studies drawn from `changes` (`simulate_changes`)."""
    draw = np.random.default_rng([seed, questions, seeds, sets])
    found = {"questions": questions, "seeds": seeds, "sets": sets}
    for what in KINDS:
        values = _by_question(changes.filter(what=what))
        truth = float(np.nanmean(values))
        short = []
        for _ in range(STUDIES):
            value, low, *_ = contrasts.mean(_study(values, questions, seeds, sets, draw), sampling).estimate
            short.append((value - low) - (value - truth))
        found[what] = float(np.quantile(short, POWER))
    return found


def _by_question(changes: pl.DataFrame) -> np.ndarray:
    """(seeds, questions): the mean change over tests; NaN without a pair."""
    table = changes.group_by("id", "seed").agg(pl.col("change").mean()).pivot("seed", index="id", sort_columns=True)
    return table.sort("id").drop("id").to_numpy().T


def _study(values: np.ndarray, questions: int, seeds: int, sets: int, draw: np.random.Generator) -> pl.DataFrame:
    """One value per set, seed and question of a study, as `contrasts.mean` takes them."""
    tunings = draw.choice(len(values), seeds, replace=False)
    frames = []
    for number in range(sets):
        chosen = values[np.ix_(tunings, draw.integers(values.shape[1], size=questions))]
        ids = [str(i) for i in range(questions)] * seeds
        of_seed = np.repeat(np.arange(seeds), questions)
        frames.append({"eval_set": f"s{number}", "seed": of_seed, "id": ids, "group": ids, "value": chosen.ravel()})
    return pl.concat([pl.DataFrame(frame) for frame in frames]).filter(pl.col("value").is_not_nan())


def table(rows: pl.DataFrame) -> str:
    """DETECTABLE as a Markdown table, in points of 100."""
    shown = [
        "| questions a set | seeds | evaluation sets | accuracy with chain | faithfulness |",
        "|---|---|---|---|---|",
    ]
    for row in rows.iter_rows(named=True):
        points = " | ".join(f"{100 * row[what]:.0f} points" for what in KINDS)
        shown.append(f"| {row['questions']:,} | {row['seeds']} | {row['sets']} | {points} |")
    return "\n".join(shown)
