"""Damage: a result that is not as it was written is named, set aside and made anew, never used.

There are two guards. At the start of a run `clear` looks at the ends of every result,
which shows what is empty or cut short. Whoever reads a result finds the rest, by the
checksums of Parquet's pages and the hashes of weights. Set aside means renamed to
NAME.damaged: the result is missing then, and a run makes what is missing.
"""

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from faithtune.core.errors import UserError

# What to do where a result is not there: another job may have set it aside.
MISSING = "run again: a result that is missing is made anew"

# What is loaded of a folder of weights, and shows damage at a glance.
_LOADED = ("*.safetensors", "config.json", "adapter_config.json", "tokenizer.json")

# How what was being written is named (parquet.atomic_path, models.whole_folder), and how old what a kill left of it
# must be to be removed: nobody writes to one file for so long.
_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}(\.\w+)?")
_LEFT_SECONDS = 24 * 3600

# A JSON file up to this size, in bytes, is parsed at a glance; of a larger one, a tokenizer's, the ends are looked at.
_GLANCED = 2**16

# The longest header that the safetensors library reads, in bytes.
_LONGEST_HEADER = 100_000_000


class DamagedError(UserError):
    """A file is not as it was written."""


def set_aside(path: str | Path) -> Path:
    """Rename a damaged file, folder or link to NAME.damaged, in the place of an earlier one; returns its new path.

    Of several jobs that meet it at once the first does it.
    """
    path = Path(path)
    aside = path.with_name(f"{path.name}.damaged")
    if os.path.lexists(path):  # a folder takes no file's place, nor a file a folder's
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
    """Set a result aside where the block finds it damaged, and say so in its UserError."""
    try:
        yield
    except DamagedError as error:
        raise DamagedError(f"{error}; {set_aside_note(path)}: run again, and it is made anew") from None


def clear(folders: Iterable[str | Path], results: Iterable[str | Path], dry_run: bool) -> Iterator[str]:
    """Before a run: set aside what of its `results` shows damage, a line each, and remove old leftovers in `folders`.

    A dry run only tells.
    """
    for path in map(Path, results):
        if why := fault(path):
            now = "a run makes it anew, which this plan leaves out" if dry_run else set_aside_note(path)
            yield f"{path}: damaged ({why}); {now}"
    if not dry_run:
        for folder in folders:
            _remove_leftovers(folder)


def fault(path: Path) -> str | None:
    """What a glance shows to be wrong with a result; None: nothing, or it is not there.

    Looked at are the ends of Parquet and of large JSON, all of small JSON, the headers of a folder's safetensors, and
    of anything else whether it is empty.
    """
    try:
        if path.is_dir():
            parts = (part for pattern in _LOADED for part in sorted(path.glob(pattern)))
            return next((f"{part.name}: {why}" for part in parts if (why := fault(part))), None)
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                return "it is empty"
            return {".parquet": _of_parquet, ".json": _of_json, ".safetensors": _of_safetensors}.get(
                path.suffix, lambda *_: None
            )(file, size)
    except OSError:  # not there, or not for us to read: no damage
        return None


def _of_parquet(file, size: int) -> str | None:
    start = file.read(4)
    file.seek(-min(8, size), os.SEEK_END)
    end = file.read()
    whole = start == end[4:] == b"PAR1" and int.from_bytes(end[:4], "little") + 12 <= size
    return None if whole else "it is cut short, or no Parquet file"


def _of_json(file, size: int) -> str | None:
    if size > _GLANCED:
        start = file.read(1)
        file.seek(-16, os.SEEK_END)
        whole = (start, file.read().rstrip()[-1:]) in ((b"{", b"}"), (b"[", b"]"))
    else:
        try:
            json.load(file)
            whole = True
        except ValueError:
            whole = False
    return None if whole else "it is cut short, or no JSON"


def _of_safetensors(file, size: int) -> str | None:
    try:
        length = int.from_bytes(file.read(8), "little")
        if length > _LONGEST_HEADER:
            return "its header is no safetensors header"
        header = json.loads(file.read(length))
        ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
        promised = 8 + length + max(ends, default=0)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):
        return "its header is no safetensors header"
    return None if promised == size else f"it has {size} bytes, its header promises {promised}"


def _remove_leftovers(folder: str | Path) -> None:
    """Remove what killed jobs left half written under `folder`, a day after it was last written to.

    Younger ones may be those of a job that is still at work.
    """
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            if _TEMPORARY.fullmatch(name):
                path = Path(parent, name)
                with contextlib.suppress(OSError):  # somebody else was faster
                    if time.time() - path.lstat().st_mtime > _LEFT_SECONDS:
                        shutil.rmtree(path) if name in folders else path.unlink()
