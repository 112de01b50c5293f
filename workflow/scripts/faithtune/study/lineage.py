"""Which tuned arms a model comes from, and so the order in which tunings follow one another.

A model with the source `arm:MODEL/ARM` starts from what a tuning of the study made of another model. Trainings follow
one another through such models, and only through them: a tuning may tune a model that comes from one of its own arms.
"""

from faithtune.core.errors import UserError
from faithtune.core.schemas.estimates import data_sets_of
from faithtune.settings.configuration import Configuration
from faithtune.study import plan


def lineage(config: Configuration, model: str) -> list[str]:
    """The arms that a model comes from, MODEL/ARM, in the order of their trainings; empty for other sources."""
    found = []
    while start := config.models[model].start:
        found.insert(0, "/".join(start))
        model = start[0]
    return found


def sequences(config: Configuration) -> list[list[dict]]:
    """Tunings that follow one another and are all measured: the stages of each sequence, as `forgetting.Stage`.

    A sequence ends with an arm whose model starts from a measured arm; the seeds of its last stage are pooled.
    """
    by_path, found = {arm.path: arm for arm in plan.arms(config)}, {}
    for last in by_path.values():
        if not last.recipe or last.place or not last.eval_sets:
            continue
        stages = []
        for arm in [*(by_path[path] for path in lineage(config, last.model)), last]:
            stages = [*stages, arm] if arm.eval_sets else []
        if len(stages) > 1:
            found[tuple(arm.path for arm in stages[:-1]), last.label] = [
                {"model": arm.model, "arm": arm.label, "seed": None if arm is last else arm.seed}
                | {"learns": [name for name in data_sets_of(arm.train_set) if name in config.eval_sets]}
                for arm in stages
            ]
    return list(found.values())


def check_models(config: Configuration) -> None:
    """UserError if a model starts from an unknown model, from one without weights, or, through others, from itself."""
    sources = [name for name, model in config.models.items() if model.kind == "source"]
    for name in sources:
        chain, at = [], name
        while start := config.models[at].start:
            where = f"config: models.{at}.source"
            if start[0] not in sources:
                others = ", ".join(other for other in sources if other != at) or "none"
                raise UserError(f"{where} names the model {start[0]!r}; expected one with a source: {others}")
            chain.append(f"{at} starts from {'/'.join(start)}")
            at = start[0]
            if at == name:
                raise UserError(
                    f"config: models.{name}.source: {', '.join(chain)}: a cycle; expected weights at the beginning"
                )
            if len(chain) > len(sources):  # the cycle does not contain `name`, and is reported at its own models
                break


def check_arms(config: Configuration) -> None:
    """UserError if a model starts from an arm that the study does not tune."""
    tuned = [arm for arm in plan.arms(config) if arm.recipe]
    for name, model in config.models.items():
        if model.start and model.source.removeprefix("arm:") not in [arm.path for arm in tuned]:
            known = ", ".join(arm.name for arm in tuned if arm.model == model.start[0]) or "none"
            raise UserError(
                f"config: models.{name}.source names the arm {model.start[1]!r} of {model.start[0]};"
                f" expected one that this study tunes: {known}"
            )


def default_models(config: Configuration, tuning: str) -> list[str]:
    """The models that a tuning tunes if it names none.

    Measured models with a source, except those that come from an arm of this tuning, which nobody asked to be tuned by
    it twice; and the models from whose arm of this tuning another model starts.
    """
    starts = [model.start for model in config.models.values() if model.start]
    wanted = {name for name, arm in starts if _tuning(arm) == tuning}
    return [
        name
        for name, model in config.models.items()
        if model.kind == "source" and (name in wanted or (model.measured and not _comes_from(config, name, tuning)))
    ]


def _comes_from(config: Configuration, model: str, tuning: str) -> bool:
    return any(_tuning(path.partition("/")[2]) == tuning for path in lineage(config, model))


def _tuning(arm: str) -> str:
    return arm.split("-")[0]
