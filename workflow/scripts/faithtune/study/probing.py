"""Which arms are looked into, and on which evaluation sets (the section `probes`)."""

from faithtune.core.errors import UserError
from faithtune.settings.configuration import Configuration
from faithtune.study import plan
from faithtune.study.plan import Arm


def probed(config: Configuration) -> list[tuple[Arm, str]]:
    """Each arm with the evaluation sets: measured, no checkpoint, and its weights loaded here. None without the
    section."""
    if config.probes is None:
        return []
    chosen = config.probes.eval_sets
    return [
        (arm, name)
        for arm in plan.arms(config)
        for name in arm.eval_sets
        if _is_loaded(config, arm) and not arm.place and (chosen is None or name in chosen)
    ]


def check(config: Configuration) -> None:
    """UserError for probes of sets that are not evaluated, or where no weights are here."""
    if config.probes is None:
        return
    for name in config.probes.eval_sets or []:
        if name not in config.eval_sets:
            raise UserError(f"config: probes.eval_sets names {name!r}; expected one of {', '.join(config.eval_sets)}")
    if not probed(config):
        raise UserError(
            "config: probes: no measured model has its weights here; expected a model with source that is not served,"
            " or no probes"
        )


def _is_loaded(config: Configuration, arm: Arm) -> bool:
    model = config.models[arm.model]
    return model.kind == "source" and not model.served
