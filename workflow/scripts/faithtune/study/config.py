"""Completes the configuration and checks it as a whole; `settings` has the types and ranges of each section.

All errors are found here, before any job starts, and are one line each. Only `check_files` takes long.
"""

from pathlib import Path

from faithtune.core.errors import UserError, short_repr
from faithtune.data import prompts, readers, sources
from faithtune.interventions.registry import NEEDED_BY, REWRITING, TESTS
from faithtune.settings.configuration import Configuration
from faithtune.settings.models import KINDS
from faithtune.settings.tunings import (
    CheckpointSettings,
    HostedCheckpointSettings,
    HostedTuningSettings,
    TuningSettings,
)
from faithtune.study import (
    audit,
    compared,
    lineage,
    model_checks,
    model_settings,
    plan,
    probing,
    source_checks,
    validation,
)
from faithtune.study.generalisation import crossing, shifts
from faithtune.study.recipes import train_sets, vary
from faithtune.study.validation import prefix_key


def load(raw: dict, files: bool = False) -> Configuration:
    """The configuration `raw` with all defaults filled in; UserError with the first wrong key.

    files: also compare local files with their checksums, which reads them (`check_files`).
    """
    given = audit.expand(raw)
    varied = vary.expand(given.raw)
    with audit.naming(given.places), vary.naming(varied.points):
        config = validation.configuration(varied.raw)
        lineage.check_models(config)
        _complete(config)
        _check_tests(config)
        _check_sets(config)
        model_checks.check_models(config)
        model_settings.dtype(config)
        model_checks.check_paraphraser(config)
        _check_tunings(config)
        lineage.check_arms(config)
        _check_compared(config)
        crossing.check(config)
        shifts.check(config)
        probing.check(config)
        with prefix_key("prompts"):
            config.prompts = source_checks.find_prompts(config.prompts)
            _check_prompts(config)
        if files:  # here, so that an error names the key as the user wrote it
            check_files(config)
        audit.limit_questions(config, given.max_questions)
    return config


def _complete(config: Configuration) -> None:
    """Fill in the defaults that depend on other sections."""
    named = {kind: [] for kind in (*KINDS, None)}
    for name, model in config.models.items():
        named[model.kind].append(name)
    if config.paraphraser.model is None:
        config.paraphraser.model = next(iter([*named["source"], *named["api"], *named["oracle"]]), None)
    for name, tuning in config.tunings.items():
        tuning.models = lineage.default_models(config, name) if tuning.models is None else tuning.models
    hosts = {name: config.models[name].api for name in named["api"] if config.models[name].measured}
    tuned_by_host = [name for name, host in hosts.items() if "tune" in host.abilities]
    for tuning in config.hosted_tunings.values():
        tuning.models = tuned_by_host if tuning.models is None else tuning.models
    for name, data_set in config.data_sets.items():
        data_set.reader = data_set.reader or ("table" if data_set.columns else name)


def check_files(config: Configuration) -> None:
    """UserError with the first local file that differs from its checksum; reads all files with a checksum."""
    for where, part in plan.files(config).items():
        source = sources.parse(part.source)
        if source.kind == "file" and part.checksum is not None:
            with prefix_key(where):
                sources.verify(source.location, part.checksum)


def _check_tests(config: Configuration) -> None:
    for i, name in enumerate(config.tests):
        if name not in TESTS:
            raise UserError(f"config: tests.{i} is {short_repr(name)}; expected one of {', '.join(TESTS)}")


def _check_sets(config: Configuration) -> None:
    for name, data_set in config.data_sets.items():
        where = f"data_sets.{name}"
        with prefix_key(f"{where}.reader"):
            module = readers.module(data_set.reader)
        with prefix_key(where):
            source_checks.check_table(data_set)
        for split in ("train", "eval"):
            part = data_set.split(split)
            if part is None:
                continue
            if hasattr(module, "generate"):
                if (part.n or 1) > module.MOST:
                    raise UserError(f"config: {where}.{split}.n is {part.n}; expected at most {module.MOST}")
                if part.source is not None:
                    raise UserError(f"config: {where}.{split}.source: {name} is generated; remove the key")
            elif part.source is None:
                raise UserError(f"config: {where}.{split} lacks the key 'source'")
            else:
                with prefix_key(f"{where}.{split}"):
                    source_checks.check_rows(part)
    for name in config.eval_sets:
        source_checks.check_set(config, "eval_sets", name, "eval")
        if name.startswith("average"):
            raise UserError(f"config: eval_sets names {name!r}, a name of the tables' own; rename it")
    for name in config.compute.shards:
        if name not in config.eval_sets:
            raise UserError(f"config: compute.shards names {name!r}; expected one of eval_sets: {config.eval_sets}")


def _check_tunings(config: Configuration) -> None:
    for name, tuning in config.tunings.items():
        where = f"tunings.{name}"
        if tuning.method == "sft" and tuning.beta is not None:
            raise UserError(f"config: {where}.beta is for dpo, kto, orpo and grpo, but method is sft; remove the key")
        if tuning.method != "grpo" and tuning.grpo is not None:
            raise UserError(f"config: {where}.grpo is for grpo, but method is {tuning.method}; remove the section")
        if tuning.method == "grpo" and tuning.target != "native":
            raise UserError(f"config: {where}.target: grpo learns from chains that the model writes; remove the key")
        if tuning.adapter == "ia3" and tuning.targets == "all-linear":
            raise UserError(f"config: {where}.targets is all-linear, but adapter is ia3; expected names of layers")
        if tuning.method == "kto" and tuning.micro_batch_size < 2:
            raise UserError(f"config: {where}.micro_batch_size is 1; expected at least 2, because kto compares in it")
        if tuning.batch_size % tuning.micro_batch_size:
            raise UserError(f"config: {where}.micro_batch_size must divide batch_size {tuning.batch_size}")
        if not tuning.models:
            some = any(model.kind == "source" for model in config.models.values())
            lacking = "measured model is left to tune" if some else "model has a source"
            raise UserError(f"config: {where}: no {lacking}; expected one to tune, or no tunings")
        for model_name in tuning.models:
            if model_name not in config.models or config.models[model_name].kind != "source":
                raise UserError(f"config: {where}.models names {model_name!r}, which is no model with a source")
        for model_name, model in config.models.items():
            if model_name not in tuning.models:
                continue
            if tuning.adapter == "full" and model.served:
                raise UserError(
                    f"config: {where}.adapter is full, but models.{model_name} is served; a server takes adapters"
                )
            nf4 = model.quantisation == "nf4"
            if (tuning.adapter == "qlora" and not nf4) or (tuning.adapter in ("lora", "full") and nf4):
                raise UserError(
                    f"config: {where}.adapter is {tuning.adapter} but models.{model_name}.quantisation is"
                    f" {model.quantisation}; expected qlora with nf4, lora or full with none, because an arm is"
                    " measured on the base it was tuned on"
                )
        _check_own(where, tuning)
        _check_checkpoints(config, where, tuning)
        train_sets.check(config, where, tuning)
    tunable = [name for name, model in config.models.items() if model.api and "tune" in model.api.abilities]
    for name, tuning in config.hosted_tunings.items():
        where = f"hosted_tunings.{name}"
        if name in config.tunings:
            raise UserError(f"config: {where} has a namesake in tunings, and so have its arms; rename one")
        for model in tuning.models:
            if model not in tunable:
                raise UserError(
                    f"config: {where}.models names {model!r}; expected a model with api and the ability tune"
                )
        if config.budget_usd is not None and tuning.n_epochs is None:
            raise UserError(f"config: {where}.n_epochs is not given; expected a number, because there is a budget_usd")
        _check_epochs(config, where, tuning)
        train_sets.check(config, where, tuning)


def _check_own(where: str, tuning: TuningSettings) -> None:
    own = tuning.own
    if own and tuning.target != "own":
        raise UserError(f"config: {where}.own is for target own, but target is {tuning.target}; remove the key")
    if own and own.keep > own.samples:
        raise UserError(f"config: {where}.own.keep is {own.keep}; expected at most own.samples, {own.samples}")


def _check_checkpoints(config: Configuration, where: str, tuning: TuningSettings) -> None:
    saved = tuning.checkpoints
    if saved is None:
        return
    if sum(key is not None for key in (saved.steps, saved.shares, saved.log)) != 1:
        raise UserError(f"config: {where}.checkpoints needs one of the keys steps, shares, log, and no two of them")
    _check_asked(config, where, saved)


def _check_epochs(config: Configuration, where: str, tuning: HostedTuningSettings) -> None:
    saved, n_epochs = tuning.checkpoints, tuning.n_epochs
    if saved is None:
        return
    if n_epochs is None:
        raise UserError(f"config: {where}.n_epochs is not given; expected a number, because there are checkpoints")
    for epoch in saved.epochs:
        if epoch >= n_epochs:
            raise UserError(
                f"config: {where}.checkpoints names epoch {epoch}, but n_epochs is {n_epochs}; expected epochs before"
                " the last, whose end is measured anyway"
            )
    _check_asked(config, where, saved)


def _check_asked(config: Configuration, where: str, saved: CheckpointSettings | HostedCheckpointSettings) -> None:
    for name in saved.eval_sets or []:
        if name not in config.eval_sets:
            raise UserError(
                f"config: {where}.checkpoints.eval_sets names {name!r}; expected one of {', '.join(config.eval_sets)}"
            )


def _check_compared(config: Configuration) -> None:
    known = dict.fromkeys(
        x for arm in compared.table_arms(config) if arm["tuning"] for x in (arm["tuning"], arm["arm"])
    )
    there, reference = ", ".join(known) or "none", config.measures.reference
    for name in config.measures.headline or []:
        if name not in known:
            raise UserError(f"config: measures.headline names {name!r}; expected tunings or arms of the study: {there}")
    if reference is not None and reference not in known:
        raise UserError(
            f"config: measures.reference is {reference!r}; expected a tuning or an arm of the study: {there}"
        )


def _check_prompts(config: Configuration) -> None:
    folder = Path(config.prompts)
    kinds = {readers.kind(data_set) for data_set in config.data_sets.values()}
    needed = {f"{form}_{kind}.txt": "{question}" for form in ("cot", "no_cot") for kind in sorted(kinds)}
    for stage, form in REWRITING.items():
        if not NEEDED_BY[stage].isdisjoint(config.tests):
            names = [path.name for path in folder.glob(f"{form}_*.txt")] or [f"{form}_1.txt"]
            needed |= dict.fromkeys(names, "{step}")
    if any(model.api and model.api.endpoint == "chat" for model in config.models.values()):
        needed |= {"chat_answer.txt": "", "chat_continue.txt": ""}
    source_checks.check_templates(folder, needed)
    prompts.read_templates(sorted(folder.glob("*.txt")))  # a table shows all of them
