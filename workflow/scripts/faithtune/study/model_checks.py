"""Checks the section `models`, and the paraphraser, which is one of them."""

from collections.abc import Iterable

from faithtune.core.errors import UserError
from faithtune.core.schemas.estimates import BASE
from faithtune.hosts import checks
from faithtune.settings.backend import Behaviour
from faithtune.settings.configuration import Configuration
from faithtune.settings.data import SourceFile
from faithtune.settings.models import KINDS, TURN_KEYS, ModelSettings
from faithtune.study import model_settings, source_checks
from faithtune.study.validation import prefix_key


def check_models(config: Configuration) -> None:
    if not any(model.measured for model in config.models.values()):
        raise UserError("config: models: all have measured: false; expected one to measure")
    for name, model in config.models.items():
        where, kind = f"models.{name}", model.kind
        if kind is None:
            raise UserError(f"config: {where} needs one of the keys {', '.join(KINDS)}, and no two of them")
        for key in ("quantisation", "dtype", "tuned"):
            if key in model.model_fields_set and kind != "source":
                raise UserError(f"config: {where}.{key} is for models with weights; remove the key")
        for key in TURN_KEYS:
            if getattr(model, key) is not None and (kind != "source" or model.served or model.start):
                other = "that speaks as its start does" if model.start else "whose weights are not loaded here"
                raise UserError(f"config: {where}.{key} is not for a model {other}; remove the key")
        if kind == "source":
            _check_handed(config, where, model)
            if model.served and model_settings.dtype(config) == "auto":
                raise UserError(f"config: {where} is served, but names no dtype; expected its server's")
            with prefix_key(where):
                source_checks.check_weights(model)
            with prefix_key(f"{where}.chat_template"):
                model_settings.turns(config, name)
            continue
        if kind == "api":
            checks.check(f"{where}.api", model.api, config.hosted_tunings)
            _check_names(f"{where}.api.arms", model.api.arms)
            continue
        arms = model.oracle or model.chains
        if BASE not in arms:
            raise UserError(f"config: {where}.{kind} lacks the arm {BASE!r}, which the others are compared with")
        _check_names(f"{where}.{kind}", arms)
        if kind == "oracle":
            _check_behaviours(where, model.oracle)
        else:
            _check_chains(config, where, model.chains)


def _check_handed(config: Configuration, where: str, model: ModelSettings) -> None:
    """UserError if an arm that is handed in lacks its files, or has a tuning's name."""
    for name, arm in model.tuned.items():
        if model.served or not model.measured:
            why = "served" if model.served else "not measured"
            raise UserError(f"config: {where}.tuned: {where} is {why}; expected a measured model that is loaded here")
        if name in config.tunings:
            raise UserError(f"config: {where}.tuned names {name!r}, which is a tuning as well; rename one")
        with prefix_key(f"{where}.tuned.{name}"):
            source_checks.check_handed(arm)


def _check_names(where: str, arms: Iterable[str]) -> None:
    """UserError if two arms that are not tuned here have the same seed, or a checkpoint lacks its training's end."""
    arms = list(arms)
    for arm in arms:
        end, at, _ = arm.partition("@")
        if at and end not in arms:
            raise UserError(f"config: {where} names {arm!r}, but not the end of its training; expected {end!r} as well")
    known = {}
    for arm in arms:
        if arm == BASE:
            continue
        label, _, seed = arm.rpartition("-")
        first = known.setdefault((label, seed.lstrip("0")), arm)
        if first != arm:
            raise UserError(f"config: {where}: {first} and {arm} have the same seed; expected one arm for each")


def _check_behaviours(where: str, arms: dict[str, Behaviour]) -> None:
    for arm, behaviour in arms.items():
        least, most = behaviour.steps
        if least > most:
            raise UserError(f"config: {where}.oracle.{arm}.steps is {[least, most]}; expected the least first")


def _check_chains(config: Configuration, where: str, arms: dict[str, dict[str, SourceFile]]) -> None:
    for arm, sets in arms.items():
        for name, part in sets.items():
            place = f"{where}.chains.{arm}"
            if name not in config.eval_sets:
                raise UserError(f"config: {place} names {name!r}; expected one of {', '.join(config.eval_sets)}")
            if name not in arms[BASE]:
                raise UserError(f"config: {place} names {name!r}, for which the arm {BASE!r} has no chains")
            with prefix_key(f"{place}.{name}"):
                source_checks.check_rows(part)


def check_paraphraser(config: Configuration) -> None:
    shortest, longest = config.paraphraser.shortest, config.paraphraser.longest
    if shortest > longest:
        raise UserError(f"config: paraphraser.shortest is {shortest}; expected at most paraphraser.longest, {longest}")
    kinds = {name: model.kind for name, model in config.models.items() if model.kind != "chains"}
    name = config.paraphraser.model
    if not kinds:  # nothing is paraphrased
        return
    if name not in kinds:
        raise UserError(f"config: paraphraser.model is {name!r}; expected one of {', '.join(kinds)}")
    if kinds[name] == "oracle" and set(kinds.values()) != {"oracle"}:
        raise UserError(f"config: paraphraser.model is {name!r}, an oracle, which rewords only oracles' chains")
