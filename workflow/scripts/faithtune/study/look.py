"""Some questions of a data set as a model sees them, before anything is run."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from faithtune.core.errors import UserError
from faithtune.data import forms, prompts, reading, sources, splits, turns
from faithtune.settings.configuration import Configuration
from faithtune.study import model_settings, plan


def questions(config: Configuration, data_set: str, results: Path) -> pl.DataFrame:
    """QUESTIONS that the study takes from a data set: of its eval split, or else of its train split.

    Reads the source, not what an earlier run made of it. UserError if there is no such data set, or its file is not
    there.
    """
    if data_set not in config.data_sets:
        raise UserError(f"config: data_sets has no {data_set!r}; there are {', '.join(config.data_sets)}")
    split = "eval" if config.data_sets[data_set].eval else "train"
    if config.data_sets[data_set].split(split) is None:
        raise UserError(f"config: data_sets.{data_set} has neither eval nor train; expected one of them")
    asked = plan.selection(config, data_set, split)
    paths = {part: _file(file.source, results) for part, file in asked.files.items()}
    found = splits.questions_of(asked, lambda part: reading.read(asked, part, paths[part])[0])
    return splits.select(found, asked.n)


def tokenizer(config: Configuration, results: Path) -> tuple[str | None, object, prompts.Turns]:
    """(model, tokenizer, turns) of the first model whose weights are in the results or in a local folder.

    No model, if none is.
    """
    for name, model in config.models.items():
        source = Path(model.source or "")
        for folder in (results / f"models/{name}/weights", *([source] if model.source else [])):
            if (folder / "tokenizer.json").is_file():
                from faithtune.models import loading  # takes seconds

                asked, file = model_settings.turns(config, name), model.chat_template
                found = turns.settle(folder, asked, f"models.{name}", file)
                return name, loading.load_tokenizer(folder), prompts.Turns.of(found)
    return None, prompts.PLAIN, prompts.USUAL


def text(
    question: dict,
    templates: Mapping[str, str],
    loaded: object,
    forced_start: bool,
    spoken: prompts.Turns = prompts.USUAL,
) -> str:
    """What a model is asked about a question (a row of QUESTIONS), with chain and without.

    loaded: a tokenizer, which also counts the tokens; with prompts.PLAIN characters are counted.
    """
    form = forms.form_of(spoken)
    parts = [f"=== question {question['source_id']}, right answer:{prompts.answer_text(question)}"]
    starts = (("cot", "with chain", form.start(forced_start)), ("no_cot", "without chain", form.answer("")))
    for name, words, start in starts:
        asked = prompts.render(loaded, prompts.user_turn(templates, name, question), start, spoken)
        plain = loaded is prompts.PLAIN
        length = f"{len(asked)} characters" if plain else f"{len(prompts.token_ids(loaded, asked))} tokens"
        parts.append(f"--- {words}, {length}\n{asked}")
    return "\n\n".join(parts)


def _file(source: str | None, results: Path) -> str | None:
    """The file of a source; UserError if it is not downloaded."""
    if source is None or sources.parse(source).kind == "file":
        return source
    path = results / "downloads" / sources.download_name(sources.parse(source))
    if not path.exists():
        raise UserError(f"{path}: not downloaded yet; expected it there (snakemake fetch downloads all sources)")
    return str(path)
