"""The forecast of a whole study: the calls of its hosted arms, and of a hosted paraphraser for the other arms.

Trainings here, and the chains that a model draws for them, ask no host and are no part of it; `snakemake -n` counts
their jobs. Uses what exists already: chains, rewritten steps and rests under `results/`, rows in the row store.
"""

import functools
from pathlib import Path

import polars as pl

from faithtune.arms import identity, row_store
from faithtune.arms.folders import StageRun
from faithtune.core import parquet
from faithtune.core.schemas.chains import CHAINS
from faithtune.core.schemas.estimates import BASE, data_sets_of
from faithtune.core.schemas.interventions import MISTAKES, PARAPHRASES, REGENERATIONS
from faithtune.data import splits
from faithtune.hosts import session
from faithtune.hosts.host import Host
from faithtune.hosts.spend import prices
from faithtune.models import token_counts
from faithtune.settings.configuration import Configuration
from faithtune.settings.tunings import HostedTraining
from faithtune.study import plan
from faithtune.study.forecast import stages
from faithtune.study.forecast.dry_run import HostedArm
from faithtune.study.generalisation import crossing, shifts
from faithtune.tuning import mixing

_SCHEMAS = {
    "chains": CHAINS,
    "paraphrases": PARAPHRASES,
    "mistakes": MISTAKES,
    "regenerations": REGENERATIONS,
}
_RESULTS = Path("results")


def rows(config: Configuration, questions: dict[str, pl.DataFrame], templates: dict[str, str], table: prices.Prices):
    """Rows of FORECAST; questions: by SET.eval, and by SET.train for sets that hosts tune on."""
    name = config.paraphraser.model
    paraphraser = hosted_arm(config, name, BASE, templates, table) if name and _hosted(config, name) else None
    found, arms = [], plan.arms(config)
    compared = {arm.model for arm in arms if arm.name != BASE and arm.eval_sets}
    for arm in arms:
        hosted = None
        if _hosted(config, arm.model):
            hosted = hosted_arm(config, arm.model, arm.name, templates, table)
            if arm.recipe and not arm.place:
                base = hosted_arm(config, arm.model, BASE, templates, table)
                settings, done = HostedTraining(**arm.training()), _card(arm.model, arm.name) is not None
                parts = [questions[f"{name}.train"] for name in data_sets_of(arm.train_set)]
                trained = mixing.training_questions(parts, arm.data)
                found.append(stages.tuning(base, arm.name, trained, settings, done))
        if not hosted and (not paraphraser or config.models[arm.model].kind == "chains"):
            continue
        for eval_set in arm.eval_sets:
            run = {"model": arm.model, "arm": arm.name, "eval_set": eval_set}
            present = stages.Present(_files(**run), functools.partial(_stored, run))
            checked = arm.model in compared and not arm.place and eval_set == config.eval_sets[0]
            asked = splits.select(questions[f"{eval_set}.eval"], arm.n)
            found += stages.forecast(run, asked, config, present, hosted, paraphraser, checked)
    return found + _shifted(config, questions, templates, table) + _crossed(config, questions, templates, table)


def _shifted(
    config: Configuration, questions: dict[str, pl.DataFrame], templates: dict[str, str], table: prices.Prices
) -> list[dict]:
    """The rows of evaluation sets in other forms."""
    found, other = [], shifts.templates(config)
    name = config.paraphraser.model
    rewrites = hosted_arm(config, name, BASE, templates, table) if name and _hosted(config, name) else None
    for arm, shift in shifts.shifted(config):
        asked, own = questions[f"{shift}.eval"], templates | other[shift]
        hosted = hosted_arm(config, arm.model, arm.name, own, table) if _hosted(config, arm.model) else None
        if hosted or rewrites:
            run = {"model": arm.model, "arm": arm.name, "eval_set": shift}
            present = stages.Present(_files(**run), functools.partial(_stored, run))
            found += stages.forecast(run, asked, config, present, hosted, rewrites)
    return found


def _crossed(
    config: Configuration, questions: dict[str, pl.DataFrame], templates: dict[str, str], table: prices.Prices
) -> list[dict]:
    """The rows of answers after other arms' chains."""
    found = []
    for model, reader, writer, eval_set in crossing.crossings(config):
        if not _hosted(config, model):
            continue
        run = {"model": model, "arm": reader, "eval_set": eval_set}
        arm = hosted_arm(config, model, reader, templates, table)
        asked = splits.select(questions[f"{eval_set}.eval"], config.crossing.n)
        of_writer = _files(model, writer, eval_set).items()
        read = {stage: frame.join(asked, on="id", how="semi") for stage, frame in of_writer}
        folder = StageRun("crossed", **run, writer=writer).rows_folder(arm.identity)
        present = stages.Present(read, lambda arm, stage, folder=folder: row_store.load_rows(folder))
        found.append(stages.crossed(run, asked, config, present, arm, _stored(run, arm, "answers")))
    return found


def hosted_arm(
    config: Configuration, model: str, arm: str, templates: dict[str, str], table: prices.Prices
) -> HostedArm:
    """An arm at its host. An arm that is not tuned yet has the price of arms tuned from its model."""
    section, card = config.models[model].api, _card(model, arm)
    hosted = identity.hosted_model(plan.backend(config, model, arm), {"arm": card} if card else {})
    hosted.model = hosted.model or f"ft:{section.model}"
    host = Host(model, hosted.model, hosted.endpoint, tuple(hosted.abilities), None, hosted.extra, None)
    return HostedArm(
        host,
        prices.price_of(table, host.model),
        section.mode == "batch",
        session.tokenizer_of(hosted),
        token_counts.token_counter("api", hosted.tokenizer),
        session.token_upper_bound(hosted),
        templates,
        session.identity(hosted),
    )


def _stored(run: dict, arm: HostedArm, stage: str) -> dict[str, dict]:
    """The stored rows of a stage, of any number of shards; arm: the arm that the stage runs."""
    of_stage = StageRun(stage, **run)
    return row_store.load_rows(of_stage.rows_folder(arm.identity), *of_stage.sibling_folders(arm.identity))


def _hosted(config: Configuration, model: str) -> bool:
    return config.models[model].kind == "api"


def _card(model: str, arm: str) -> str | None:
    path = _RESULTS / "arms" / model / arm / "arm.json"
    return str(path) if path.exists() else None


def _files(model: str, arm: str, eval_set: str) -> dict[str, pl.DataFrame]:
    """The frames of an arm on a set that exist, by stage."""
    paths = {stage: _RESULTS / stage / model / arm / f"{eval_set}.parquet" for stage in _SCHEMAS}
    return {stage: parquet.load(path, _SCHEMAS[stage]) for stage, path in paths.items() if path.exists()}
