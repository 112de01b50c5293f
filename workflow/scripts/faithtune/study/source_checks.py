"""Checks of the sources of models, questions, chains and prompts, and of how rows are read, before any job starts."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from faithtune.core import paths, user_files
from faithtune.core.errors import UserError
from faithtune.data import prompts, sources
from faithtune.settings.configuration import Configuration
from faithtune.settings.data import TABLE_KEYS, DataSetSettings, SourceFile, SplitSettings
from faithtune.settings.models import HandedArm, ModelSettings
from faithtune.tuning import handed


def check_set(config: Configuration, where: str, name: str, split: str) -> None:
    """UserError if the configuration has no such data set, or the data set no such split; where: the place of name."""
    if name not in config.data_sets:
        known = ", ".join(config.data_sets)
        raise UserError(f"config: {where} names {name!r}, which is not in data_sets (there are {known})")
    if config.data_sets[name].split(split) is None:
        raise UserError(f"config: {where} names {name!r}, so data_sets.{name} needs the key {split!r}")


def check_rows(part: SourceFile | SplitSettings) -> None:
    """UserError if the source of questions or chains is not a file that `user_files.rows` reads."""
    source = _source(part)
    if source.kind == "hub" and source.member is None:
        raise UserError(f"source {source}: it lacks a configuration and split; expected :CONFIG/SPLIT at its end")
    if source.kind == "file" and Path(source.location).is_dir():
        raise UserError(f"{source} is a folder; expected a file")
    if source.kind != "hub":  # saved as Parquet
        user_files.check_suffix(_suffix(source), str(source))


def check_table(data_set: DataSetSettings) -> None:
    """UserError if a data set lacks the columns that its reader needs, or has keys that its reader does not know."""
    if data_set.reader != "table":
        for key in TABLE_KEYS:
            if key in data_set.model_fields_set:
                raise UserError(f"{key} is for reader: table; remove the key, or the reader {data_set.reader!r}")
    elif data_set.columns is None:
        raise UserError("reader table needs the key 'columns', such as {question: prompt, answer: label}")
    elif data_set.columns.options is None and (data_set.answer_from is not None or data_set.options_split is not None):
        key = "options_split" if data_set.answer_from is None else "answer_from"
        raise UserError(f"{key} is for questions with options; expected the key 'options' in columns")
    elif data_set.kind == "expression" and data_set.columns.options is not None:
        raise UserError("kind is expression, but columns has the key 'options'; remove one of them")
    elif data_set.columns.rationale == data_set.columns.answer and data_set.answer_pattern is None:
        raise UserError("columns name one column for rationale and answer; expected the key answer_pattern as well")


def check_weights(part: ModelSettings) -> None:
    """UserError if the source of a model is not a folder, a GGUF file, a model on the hub or an arm of the study."""
    if part.start:
        if part.checksum is not None:
            raise UserError(f"{part.source} is made by this study and has no checksum; remove the key")
        return
    source = _source(part)
    if source.kind == "url":
        raise UserError(f"source {source}: expected a model from wheel:, hub:, a folder or a GGUF file")
    if source.kind == "hub" and source.member is not None:
        raise UserError(f"source {source}: a model has no configuration and split; remove :{source.member}")
    if source.kind == "file" and Path(source.location).is_dir():
        if part.checksum is not None:
            raise UserError(f"{source} is a folder, which has no checksum; remove the key")
    elif source.kind != "hub" and _suffix(source).lower() != ".gguf":
        raise UserError(f"{source}: its name ends with {_suffix(source)!r}; expected .gguf or a folder")


def find_prompts(folder: str) -> str:
    """The folder, relative to the working directory or else to the workflow's repository; else UserError."""
    found = next((path for path in (folder, str(paths.REPOSITORY / folder)) if Path(path).is_dir()), None)
    if found is None:
        raise UserError(f"there is no folder {folder}, here or in {paths.REPOSITORY}")
    return found


def check_templates(folder: Path, needed: Mapping[str, str]) -> None:
    """UserError if a template lacks its file or its field; needed: the field that each file must contain, or ""."""
    for name, field in needed.items():
        path = folder / name
        if not path.is_file():
            raise UserError(f"there is no {path}")
        lines = prompts.read_template(path).splitlines()
        if field not in "\n".join(lines[:-1] if field == "{step}" else lines):
            before = "" if field == "{question}" else " before the last line, which opens the assistant's turn"
            raise UserError(f"{path}: it must contain {field}{before}")


def check_handed(arm: HandedArm) -> None:
    """UserError if an arm that is handed in has no folder of safetensors, local or on the hub."""
    if arm.kind is None:
        raise UserError("expected one of the keys adapter and weights, and not both")
    source = sources.parse(arm.source)
    if source.kind not in ("file", "hub") or source.member is not None:
        raise UserError(f"{arm.kind} {source}: expected a folder or hub:ID@COMMIT")
    if source.kind == "file":
        _check_path(source.location)
        handed.check_files(Path(source.location), arm.kind)


def _suffix(source: sources.Source) -> str:
    name = source.location if source.kind == "file" else source.member or sources.download_name(source)
    return PurePosixPath(name).suffix


def _source(part: SourceFile | SplitSettings | ModelSettings) -> sources.Source:
    source = sources.parse(part.source)
    sources.check(source, part.checksum)
    if source.kind == "file":
        _check_path(source.location)
        if not Path(source.location).is_dir():
            sources.verify(source.location, None)
    return source


def _check_path(path: str) -> None:
    """UserError if a path contains braces, which Snakemake would read as wildcards."""
    if set(path) & set("{}"):
        raise UserError(f"{path}: expected a path without braces; rename it")
