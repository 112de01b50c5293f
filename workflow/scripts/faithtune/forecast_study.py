"""The forecast of a whole study: its hosted arms, and of the others what a hosted paraphraser is asked for them.

What is there already is read where jobs keep it: chains, rewritten steps and rests under `results/`, rows in the
row store, money in the spend ledger.
"""

from pathlib import Path

import polars as pl

from faithtune import arms, forecast, hosted, parquet, prices, store, study, tokens
from faithtune.desk import Party
from faithtune.host import Host

_SCHEMAS = {
    "chains": parquet.CHAINS,
    "paraphrases": parquet.PARAPHRASES,
    "mistakes": parquet.MISTAKES,
    "regenerations": parquet.REGENERATIONS,
}
_RESULTS = Path("results")


def rows(config: dict, questions: dict[str, pl.DataFrame], templates: dict[str, str], table: prices.Prices):
    """Rows of FORECAST; questions: by SET.eval, and SET.train of what hosts tune on."""
    name = config["paraphraser"]["model"]
    writer = party(config, name, study.BASE, templates, table) if name and _hosted(config, name) else None
    found = []
    for arm in study.arms(config):
        asker = None
        if _hosted(config, arm["model"]):
            asker = party(config, arm["model"], arm["arm"], templates, table)
            if study.is_tuned(config, arm):
                base = party(config, arm["model"], study.BASE, templates, table)
                settings, done = study.tuning_spec(config, arm), _card(arm["model"], arm["arm"]) is not None
                asked = questions[f"{arm['train_set']}.train"]
                found.append(forecast.tuning(base, arm, asked, templates, settings, done))
        if not asker and (not writer or study.kind(config["models"][arm["model"]]) == "chains"):
            continue
        for eval_set in study.eval_sets(config, arm):
            names = {"model": arm["model"], "arm": arm["arm"], "eval_set": eval_set, "shard": ""}
            files = _files(f"{arm['model']}/{arm['arm']}/{eval_set}.parquet")
            found += forecast.forecast(
                names,
                questions[f"{eval_set}.eval"],
                templates,
                config,
                files,
                asker,
                writer,
                lambda one, stage, names=names: _rows(arms.shelf(one.identity, stage, names)),
            )
    return found


def party(config: dict, model: str, arm: str, templates: dict[str, str], table: prices.Prices) -> Party:
    """An arm at its host. One whose tuning is to come is priced as what is tuned from its model."""
    section, card = config["models"][model]["api"], _card(model, arm)
    api = arms.at_host(study.backend(config, model, arm), {"arm": card} if card else {})
    api |= {"model": api["model"] or f"ft:{section['model']}"}
    host = Host(model, api["model"], api["endpoint"], tuple(api["abilities"]), None, api["extra"], None)
    return Party(
        host,
        prices.price_of(table, host.model),
        section["mode"] == "batch",
        hosted.tokenizer_of(api),
        tokens.counter("api", api["tokenizer"]),
        hosted.most_tokens(api),
        templates,
        hosted.identity(api),
    )


def _rows(shelf: Path) -> dict[str, dict]:
    """What is kept of an arm's stage on a set, in however many shards."""
    return store.kept(shelf, *arms.others(shelf))


def _hosted(config: dict, model: str) -> bool:
    return study.kind(config["models"][model]) == "api"


def _card(model: str, arm: str) -> str | None:
    path = _RESULTS / "arms" / model / arm / "arm.json"
    return str(path) if path.exists() else None


def _files(pair: str) -> dict[str, pl.DataFrame]:
    """What is there of an arm on a set, by stage."""
    paths = {stage: _RESULTS / stage / pair for stage in _SCHEMAS}
    return {stage: parquet.load(path, _SCHEMAS[stage]) for stage, path in paths.items() if path.exists()}
