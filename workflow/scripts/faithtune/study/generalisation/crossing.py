"""Which arms of a study answer after the chains of other arms of their model (the section `crossing`)."""

from typing import NamedTuple

from faithtune.core.errors import UserError
from faithtune.core.schemas.estimates import BASE
from faithtune.settings.configuration import Configuration
from faithtune.study import plan
from faithtune.study.plan import Arm


class Crossing(NamedTuple):
    """An arm answers after the chains that another arm of its model wrote."""

    model: str
    reader: str
    writer: str
    eval_set: str


def crossings(config: Configuration) -> list[Crossing]:
    """All of them; none without the section. Chains from files are read by no model, and checkpoints are left out."""
    asked = config.crossing
    if asked is None:
        return []
    found = []
    for arms in _by_model(config).values():
        for reader in arms:
            for writer in arms:
                if _meet(reader, writer, asked.arms):
                    found += [Crossing(reader.model, reader.name, writer.name, name) for name in _sets(config, writer)]
    return found


def pairs(config: Configuration) -> list[dict]:
    """{model, against, arm}: the names of two arms that read each other's chains, the earlier in the tables first."""
    found = {}
    arms, first = plan.arms(config), {}
    for i, arm in enumerate(arms):
        first.setdefault((arm.model, arm.label), i)
    # By labels, so that the seeds of two arms have one order.
    place = {(arm.model, arm.name): first[arm.model, arm.label] for arm in arms}
    for model, reader, writer, _ in crossings(config):
        against, arm = sorted((reader, writer), key=lambda name: place[model, name])
        found[model, against, arm] = {"model": model, "against": against, "arm": arm}
    return list(found.values())


def check(config: Configuration) -> None:
    """UserError for a crossing that cannot be."""
    if config.crossing is None:
        return
    for name in config.crossing.eval_sets or []:
        if name not in config.eval_sets:
            raise UserError(f"config: crossing.eval_sets names {name!r}; expected one of {', '.join(config.eval_sets)}")
    if not crossings(config):
        raise UserError(
            "config: crossing: no model has two arms that can be asked; expected a tuned arm beside base, of a model"
            " with source, api or oracle"
        )


def _by_model(config: Configuration) -> dict[str, list[Arm]]:
    found: dict[str, list[Arm]] = {}
    for arm in plan.arms(config):
        if arm.eval_sets and not arm.place and config.models[arm.model].kind != "chains":
            found.setdefault(arm.model, []).append(arm)
    return found


def _meet(reader: Arm, writer: Arm, which: str) -> bool:
    if reader.name == writer.name:
        return False
    return BASE in (reader.name, writer.name) or (which == "all" and reader.seed == writer.seed)


def _sets(config: Configuration, writer: Arm) -> list[str]:
    chosen = config.crossing.eval_sets
    return [name for name in writer.eval_sets if chosen is None or name in chosen]
