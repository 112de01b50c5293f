"""A study of oracles in one process, for tests: `power.oracle_study` with plain behaviours."""

import dataclasses

import polars as pl

from faithtune.interventions.registry import BY_STEPS, SWEEP
from faithtune.measures import alpha, estimates
from faithtune.measures.pooling import ArmResults, StudyResults
from faithtune.measures.stats.bootstrap import Sampling
from faithtune.power import oracle_study
from faithtune.power.oracle_study import COLOURS, MAX_NEW_TOKENS, cached, made_up  # noqa: F401 (for tests)
from faithtune.settings.backend import Behaviour
from frames import arm_of


def arm(
    asked: pl.DataFrame, behaviour: dict, templates: dict[str, str], again: int = 50, tests: tuple = (*BY_STEPS, SWEEP)
) -> ArmResults:
    """All that is asked of an oracle; its measures are those of `estimate`'s alphas."""
    return oracle_study.run_arm(asked, Behaviour(**behaviour), templates, tests, [], again)


def estimate(
    arms: dict[str, dict[str, ArmResults]],
    asked: dict[str, pl.DataFrame],
    alphas: list[float],
    replicates: int,
    seed: int,
    applied: dict[str, dict] | None = None,
) -> pl.DataFrame:
    """ESTIMATES of arms by name (the first is base) and evaluation set; arms LABEL-SEED are seeds of one label.

    applied: by label, what `arms.applied` found of an arm.
    """
    return estimate_both(arms, asked, alphas, replicates, seed, applied)[0]


def estimate_both(
    arms: dict[str, dict[str, ArmResults]],
    asked: dict[str, pl.DataFrame],
    alphas: list[float],
    replicates: int,
    seed: int,
    applied: dict[str, dict] | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(ESTIMATES, CHANGES), as `estimate`."""
    made = {("oracle", name, eval_set): one for name, sets in arms.items() for eval_set, one in sets.items()}
    named = [(name, None if name == "base" else "elsewhere", name.partition("-")[2]) for name in arms]
    results = {
        key: dataclasses.replace(one, measures=alpha.at_alphas(one.answers, alphas)) for key, one in made.items()
    }
    named = [arm_of("oracle", name, on, list(asked), int(seed) if seed else None) for name, on, seed in named]
    found = {("oracle", label): one for label, one in (applied or {}).items()}
    study = StudyResults(named, results, asked, alphas, found)
    return estimates.build(study, Sampling(replicates=replicates, seed=seed))
