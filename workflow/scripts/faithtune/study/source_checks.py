"""Checks of the sources of models, questions and chains, before any job starts."""

from pathlib import Path, PurePosixPath

from faithtune.core import user_files
from faithtune.core.errors import UserError
from faithtune.data import sources
from faithtune.settings.data import SourceFile, SplitSettings
from faithtune.settings.models import ModelSettings


def check_rows(part: SourceFile | SplitSettings) -> None:
    """UserError if the source of questions or chains is not a file that `user_files.rows` reads."""
    source = _source(part)
    if source.kind == "hub" and source.member is None:
        raise UserError(f"source {source}: it lacks a configuration and split; expected :CONFIG/SPLIT at its end")
    if source.kind == "file" and Path(source.location).is_dir():
        raise UserError(f"{source} is a folder; expected a file")
    if source.kind != "hub":  # saved as Parquet
        user_files.check_suffix(_suffix(source), str(source))


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
