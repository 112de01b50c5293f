"""Damaged results: a result that differs from what was written is reported, set aside and made again, never used.

Results appear by a rename after fsync (`parquet.atomic_path`, `weights.atomic_folder`), so no crash leaves a part of
one. Damage from elsewhere is found by the reader of a result: Parquet pages have checksums, weights and downloads
have hashes, JSON must parse. Set aside means renamed to NAME.damaged: the result is then missing, and a run makes
what is missing. Figures and text tables have no reader here, so `check_results` looks for empty ones before a run.
"""

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from faithtune.core.errors import UserError

# Advice if a result is not there: another job may have set it aside.
MISSING = "run again: a missing result is made again"

# Names of unfinished files and folders (parquet.atomic_path, weights.atomic_folder), and the age at which a killed
# job's leftovers are removed: no job writes to one file for so long.
_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}(\.\w+)?")
_LEFT_SECONDS = 24 * 3600


class DamagedError(UserError):
    """A file differs from what was written."""


def set_aside(path: str | Path) -> Path:
    """Rename a damaged file, folder or link to NAME.damaged, replacing an earlier one; returns the new path.

    If several jobs meet it at once, the first one renames it.
    """
    path = Path(path)
    aside = path.with_name(f"{path.name}.damaged")
    if os.path.lexists(path):  # a folder cannot replace a file, nor a file a folder
        if aside.is_dir() and not aside.is_symlink():
            shutil.rmtree(aside, ignore_errors=True)
        elif path.is_dir() and not path.is_symlink():
            aside.unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.replace(path, aside)
    return aside


def set_aside_note(path: str | Path) -> str:
    """Set a result aside; says where it is now, or that it could not be renamed."""
    try:
        return f"it is now {set_aside(path)}"
    except OSError as error:
        return f"it could not be renamed ({error.strerror}), delete it"


@contextlib.contextmanager
def setting_aside(path: str | Path) -> Iterator[None]:
    """Set a result aside if the block finds it damaged, and say so in the UserError."""
    try:
        yield
    except DamagedError as error:
        raise DamagedError(f"{error}; {set_aside_note(path)}: run again, and it is made again") from None


def check_results(folders: Iterable[str | Path], results: Iterable[str | Path], dry_run: bool) -> Iterator[str]:
    """Set empty files among the `results` aside, yielding a line for each, and remove old leftovers in `folders`.

    A dry run only yields the lines.
    """
    for path in map(Path, results):
        if path.is_file() and path.stat().st_size == 0:
            now = "a run makes it again, which this plan leaves out" if dry_run else set_aside_note(path)
            yield f"{path}: damaged (it is empty); {now}"
    if not dry_run:
        for folder in folders:
            _remove_leftovers(folder)


def _remove_leftovers(folder: str | Path) -> None:
    """Remove unfinished files of killed jobs under `folder`, a day after the last write.

    Younger ones may belong to a running job.
    """
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            if _TEMPORARY.fullmatch(name):
                path = Path(parent, name)
                with contextlib.suppress(OSError):  # another process was faster
                    if time.time() - path.lstat().st_mtime > _LEFT_SECONDS:
                        shutil.rmtree(path) if name in folders else path.unlink()
