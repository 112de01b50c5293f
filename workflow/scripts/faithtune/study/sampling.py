"""Which chains the study draws for the target `own`: of which model, on which training questions, and how."""

from typing import NamedTuple

from faithtune.core.schemas.estimates import data_sets_of
from faithtune.settings.chains import SamplingSettings
from faithtune.settings.configuration import Configuration
from faithtune.study import plan
from faithtune.study.plan import Arm


class Sampled(NamedTuple):
    """Chains that a model draws for the training questions of a data set."""

    model: str
    data_set: str
    how: SamplingSettings
    n: int | None  # for so many questions, the first by their ids, from which a tuning takes its own; None: for all

    @property
    def name(self) -> str:
        """Its part of the names of files: n240-t0.8-s0-m4."""
        return f"{'' if self.n is None else f'n{self.n}-'}{self.how.way}-m{self.how.samples}"

    @property
    def path(self) -> str:
        """Its part of the paths of its files. Tunings that draw alike have one file."""
        return f"{self.model}/{self.data_set}/{self.name}"


def of_arm(arm: Arm) -> list[Sampled]:
    """The chains from which an arm learns, one entry for each of its data sets; none for other targets.

    `grpo` has chains of its own as well, but the training writes them.
    """
    own = getattr(arm.recipe, "own", None)
    if own is None:
        return []
    return [Sampled(arm.model, name, own.sampling, arm.data.n) for name in data_sets_of(arm.train_set)]


def of_study(config: Configuration) -> dict[str, Sampled]:
    """All chains that are drawn, by their paths."""
    return {one.path: one for arm in plan.arms(config) for one in of_arm(arm)}


def names(config: Configuration) -> dict[str, list[str]]:
    """MODEL/SET -> the names (`Sampled.name`) of what is drawn of them."""
    found: dict[str, list[str]] = {}
    for one in of_study(config).values():
        found.setdefault(f"{one.model}/{one.data_set}", []).append(one.name)
    return found
