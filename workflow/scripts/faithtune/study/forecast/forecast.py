"""The forecast of a whole study: its hosted arms, and of the others what a hosted paraphraser is asked for them.

What is there already is read where jobs keep it: chains, rewritten steps and rests under `results/`, rows in the
row store, money in the spend ledger.
"""

from pathlib import Path

import polars as pl

from faithtune.arms import cached_arm, row_store
from faithtune.core import parquet
from faithtune.core.schemas.chains import CHAINS
from faithtune.core.schemas.estimates import BASE
from faithtune.core.schemas.interventions import MISTAKES, PARAPHRASES, REGENERATIONS
from faithtune.hosts import session
from faithtune.hosts.host import Host
from faithtune.hosts.spend import prices
from faithtune.models import token_counts
from faithtune.settings.configuration import Configuration
from faithtune.study import plan
from faithtune.study.forecast import stages
from faithtune.study.forecast.dry_host import HostedArm

_SCHEMAS = {
    "chains": CHAINS,
    "paraphrases": PARAPHRASES,
    "mistakes": MISTAKES,
    "regenerations": REGENERATIONS,
}
_RESULTS = Path("results")


def rows(config: Configuration, questions: dict[str, pl.DataFrame], templates: dict[str, str], table: prices.Prices):
    """Rows of FORECAST; questions: by SET.eval, and SET.train of what hosts tune on."""
    name = config.paraphraser.model
    writer = party(config, name, BASE, templates, table) if name and _hosted(config, name) else None
    found = []
    for arm in plan.arms(config):
        asker = None
        if _hosted(config, arm["model"]):
            asker = party(config, arm["model"], arm["arm"], templates, table)
            if plan.is_tuned(config, arm):
                base = party(config, arm["model"], BASE, templates, table)
                settings, done = plan.tuning_spec(config, arm), _card(arm["model"], arm["arm"]) is not None
                asked = questions[f"{arm['train_set']}.train"]
                found.append(stages.tuning(base, arm, asked, templates, settings, done))
        if not asker and (not writer or config.models[arm["model"]].kind == "chains"):
            continue
        for eval_set in plan.eval_sets(config, arm):
            names = {"model": arm["model"], "arm": arm["arm"], "eval_set": eval_set, "shard": ""}
            files = _files(f"{arm['model']}/{arm['arm']}/{eval_set}.parquet")
            found += stages.forecast(
                names,
                questions[f"{eval_set}.eval"],
                templates,
                config,
                files,
                asker,
                writer,
                lambda one, stage, names=names: _rows(cached_arm.shelf(one.identity, stage, names)),
            )
    return found


def party(config: Configuration, model: str, arm: str, templates: dict[str, str], table: prices.Prices) -> HostedArm:
    """An arm at its host. One whose tuning is to come is priced as what is tuned from its model."""
    section, card = config.models[model].api, _card(model, arm)
    api = cached_arm.at_host(plan.backend(config, model, arm), {"arm": card} if card else {})
    api |= {"model": api["model"] or f"ft:{section.model}"}
    host = Host(model, api["model"], api["endpoint"], tuple(api["abilities"]), None, api["extra"], None)
    return HostedArm(
        host,
        prices.price_of(table, host.model),
        section.mode == "batch",
        session.tokenizer_of(api),
        token_counts.counter("api", api["tokenizer"]),
        session.token_upper_bound(api),
        templates,
        session.identity(api),
    )


def _rows(shelf: Path) -> dict[str, dict]:
    """What is kept of an arm's stage on a set, in however many shards."""
    return row_store.kept(shelf, *cached_arm.others(shelf))


def _hosted(config: Configuration, model: str) -> bool:
    return config.models[model].kind == "api"


def _card(model: str, arm: str) -> str | None:
    path = _RESULTS / "arms" / model / arm / "arm.json"
    return str(path) if path.exists() else None


def _files(pair: str) -> dict[str, pl.DataFrame]:
    """What is there of an arm on a set, by stage."""
    paths = {stage: _RESULTS / stage / pair for stage in _SCHEMAS}
    return {stage: parquet.load(path, _SCHEMAS[stage]) for stage, path in paths.items() if path.exists()}
