"""What an arm is tuned on: a data set, SET+SET, or a mixture of shares; and what each of its data sets teaches."""

import math

from faithtune.core.errors import UserError
from faithtune.core.schemas.estimates import data_sets_of, mixture_label
from faithtune.data import readers
from faithtune.settings.configuration import Configuration
from faithtune.settings.data import Mixture, TrainingData
from faithtune.settings.tunings import WITH_WRONG_ANSWERS, HostedTuningSettings, TuningSettings
from faithtune.study import source_checks


def name(train_set: str | Mixture) -> str:
    """Its part of an arm's name."""
    return train_set if isinstance(train_set, str) else train_set.name


def label(train_set: str | Mixture) -> str:
    """`train_set` of ESTIMATES: a mixture with its data sets."""
    return train_set if isinstance(train_set, str) else mixture_label(train_set.name, train_set.shares)


def mixture_labels(config: Configuration) -> dict[str, str]:
    """The label of each mixture of the study by its name, for arms that were tuned on it elsewhere."""
    recipes = (config.tunings | config.hosted_tunings).values()
    return {name(one): label(one) for recipe in recipes for one in recipe.train_sets}


def training_data(
    config: Configuration, tuning: TuningSettings | HostedTuningSettings, train_set: str | Mixture
) -> TrainingData:
    """Which questions a tuning takes from the data sets of a training set, and what they teach."""
    targets = {part: _target(config, tuning, part) for part in data_sets_of(label(train_set))}
    if isinstance(train_set, str):
        return TrainingData(targets=targets, n=tuning.n)
    targets |= {part: taught for part, taught in train_set.targets.items() if part in targets}
    return TrainingData(targets=targets, shares=train_set.shares, equal=train_set.equal, n=train_set.n or tuning.n)


def target(data: TrainingData) -> str:
    """What the training set teaches as a whole: rationale, answer_only or own; `mixed` where its data sets differ."""
    taught = set(data.targets.values())
    return taught.pop() if len(taught) == 1 else "mixed"


def _target(config: Configuration, tuning: TuningSettings | HostedTuningSettings, data_set: str) -> str:
    if tuning.method == "grpo":
        return "own"
    if tuning.target != "native":
        return tuning.target
    return "rationale" if readers.rationale(config.data_sets[data_set]) == "native" else "answer_only"


def check(config: Configuration, where: str, tuning: TuningSettings | HostedTuningSettings) -> None:
    """UserError with the first training set of a tuning that cannot be made; where: the tuning's place."""
    for train_set in tuning.train_sets:
        parts, at = data_sets_of(label(train_set)), f"config: {where}.train_sets"
        if len(set(parts)) < len(parts):
            raise UserError(f"{at}: {train_set} names a data set twice")
        for part in parts if isinstance(train_set, str) else train_set.of:
            source_checks.check_set(config, f"{where}.train_sets", part, "train")
        if isinstance(train_set, Mixture):
            _check_mixture(config, f"{at}: {train_set.name}", tuning, train_set)
        data = training_data(config, tuning, train_set)
        for part, taught in data.targets.items():
            made_up = tuning.method in WITH_WRONG_ANSWERS and taught != "own"
            if made_up and readers.kind(config.data_sets[part]) == "expression":
                raise UserError(
                    f"config: {where}.method is {tuning.method}, but no wrong answer can be made up for {part}'s"
                    " expressions; expected sft, or the target own"
                )
            if taught == "rationale" and readers.rationale(config.data_sets[part]) is None:
                raise UserError(f"config: {where}.target is rationale, but {part} has none; expected answer_only")
        there = _check_size(config, f"config: {where}", train_set, data)
        if tuning.method == "grpo" and there is not None and there < tuning.batch_size:
            raise UserError(
                f"config: {where}.batch_size is {tuning.batch_size}, but {name(train_set)} has {there} questions, and"
                f" grpo takes so many a step; expected at most {there}"
            )


def _check_mixture(
    config: Configuration, at: str, tuning: TuningSettings | HostedTuningSettings, mixture: Mixture
) -> None:
    if mixture.name in config.data_sets:
        raise UserError(f"{at} is the name of a data set; expected another name for the mixture")
    for part in mixture.targets:
        if part not in mixture.of:
            raise UserError(f"{at}: targets names {part!r}; expected one of {', '.join(mixture.of)}")
        if tuning.method == "grpo":
            raise UserError(f"{at}: targets: grpo learns from chains that the model writes; remove the key")
    if mixture.n is not None and tuning.n is not None:
        raise UserError(f"{at}: n stands in the mixture and in the tuning; remove one of them")
    if tuning.target == "own":
        why = "with own chains not every question has an example, so shares cannot be kept"
        raise UserError(f"{at}: {why}; expected SET+SET")
    if mixture.equal == "tokens" and isinstance(tuning, HostedTuningSettings):
        raise UserError(f"{at}: equal is tokens, but only a host knows how it counts them; expected examples")
    if mixture.equal == "tokens" and tuning.method == "grpo":
        raise UserError(f"{at}: equal is tokens, but grpo learns from chains not yet written; expected examples")


def _check_size(config: Configuration, where: str, train_set: str | Mixture, data: TrainingData) -> int | None:
    """How many examples a training set has; None if only its data say that.

    UserError if it asks for more than `n` of its data sets allows.
    """
    most = {part: config.data_sets[part].train.n for part in data.targets}
    if data.equal == "tokens" or None in most.values():
        return data.n
    if data.shares is None:
        there = sum(most.values())
    else:
        end = min(most[part] / share for part, share in data.shares.items())
        there = sum(math.ceil(end * share - 0.5) for share in data.shares.values())  # as `mixing` takes them
    if data.n is not None and data.n > there:
        asked = f"train_sets: {train_set.name}: n" if isinstance(train_set, Mixture) and train_set.n else "n"
        few = f"{name(train_set)} has {there}" + (" at these shares" if data.shares else "")
        raise UserError(f"{where}.{asked} is {data.n}, but {few} (data_sets.SET.train.n); expected at most {there}")
    return there if data.n is None else data.n
