"""The arms that tables and claims compare; tables pool seeds."""

from faithtune.settings.configuration import Configuration
from faithtune.settings.tunings import HostedTuningSettings, TuningSettings
from faithtune.study import plan
from faithtune.study.plan import Arm
from faithtune.study.recipes import train_sets, vary


def table_arms(config: Configuration) -> list[dict]:
    """Measured arms as in the tables, without checkpoints: {"model", "arm" (label), "train_set", …, "seeds" (pooled)}.

    Of an arm that is tuned here, `settings` are its recipe's (`vary.settings`); in place of the target native stands
    what it means on the data set, for sft. `defaults` names the settings at their defaults.
    """
    found: dict[tuple[str, str], dict] = {}
    for arm in plan.arms(config):
        if not arm.eval_sets or arm.place:
            continue
        facts = arm.facts()
        pooled = {key: facts[key] for key in ("model", "tuning", "train_set", "method", "adapter", "target", "rank")}
        pooled |= {"arm": arm.label, "seeds": []}
        if arm.recipe:
            pooled["settings"] = _settings(config, arm)
            pooled["defaults"] = _defaults(arm.recipe)
        found.setdefault((arm.model, arm.label), pooled)["seeds"].append(arm.seed)
    return list(found.values())


def _settings(config: Configuration, arm: Arm) -> dict:
    given = next(one for one in arm.recipe.train_sets if train_sets.label(one) == arm.train_set)
    settings = vary.settings(arm.recipe, given)
    if isinstance(given, str):
        as_sft = arm.recipe.model_copy(update={"method": "sft"})
        settings["target"] = train_sets.target(train_sets.training_data(config, as_sft, given))
    return settings


def _defaults(recipe: TuningSettings | HostedTuningSettings) -> list[str]:
    """The settings at the defaults that follow from method, adapter, rank and batch size; `target` is never named."""
    fields = type(recipe).model_fields
    deciding = [name for name in ("method", "adapter", "rank", "batch_size") if name in fields]
    usual = type(recipe)(train_sets=recipe.train_sets, **{name: getattr(recipe, name) for name in deciding})
    defaults = vary.settings(usual, "") | {name: fields[name].default for name in deciding}
    equal = [name for name, value in vary.settings(recipe, "").items() if defaults.get(name) == value]
    return [name for name in equal if name not in ("method", "adapter", "target", "train_set")]


def headline_arms(config: Configuration) -> list[dict]:
    """The `table_arms` that the claims are about: base, and the arms of the headline's tunings.

    `pooled` says whether the headline names the arm, by its tuning or by its label.
    """
    arms = table_arms(config)
    headline = {None, *(config.measures.headline or (arm["tuning"] for arm in arms))}
    arms = [arm | {"pooled": arm["tuning"] in headline or arm["arm"] in headline} for arm in arms]
    tunings = {arm["tuning"] for arm in arms if arm["pooled"]}
    return [arm for arm in arms if arm["tuning"] in tunings]
