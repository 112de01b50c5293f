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

    @property
    def path(self) -> str:
        """Its part of the paths of its files. Tunings that draw alike have one file."""
        return f"{self.model}/{self.data_set}/{self.how.name}"


def of_arm(arm: Arm) -> list[Sampled]:
    """The chains from which an arm learns, one entry for each of its data sets; none for other targets.

    `grpo` has chains of its own as well, but the training writes them.
    """
    own = getattr(arm.recipe, "own", None)
    return [Sampled(arm.model, name, own.sampling) for name in data_sets_of(arm.train_set)] if own else []


def of_study(config: Configuration) -> dict[str, Sampled]:
    """All chains that are drawn, by their paths."""
    return {one.path: one for arm in plan.arms(config) for one in of_arm(arm)}


def names(config: Configuration) -> dict[str, list[str]]:
    """MODEL/SET -> the names of the settings by which its chains are drawn (`SamplingSettings.name`)."""
    found: dict[str, list[str]] = {}
    for one in of_study(config).values():
        found.setdefault(f"{one.model}/{one.data_set}", []).append(one.how.name)
    return found
