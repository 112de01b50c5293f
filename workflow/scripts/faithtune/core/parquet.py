"""The Parquet files between stages: a documented schema each, written atomically.

A file is written under a temporary name beside its own, synced, then renamed, so that it appears only when complete.
Checksums reveal later damage; a damaged result is set aside (`damage`).
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow.parquet

from faithtune.core import damage
from faithtune.core.damage import DamagedError
from faithtune.core.errors import UserError


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; synced and renamed to it if the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write(frame: pl.DataFrame, path: str | Path, schema: pl.Schema, metadata: dict[str, str] | None = None) -> None:
    """Write `frame` atomically, with the columns and types of `schema` and a checksum on every page.

    metadata: the file's key-value metadata.
    """
    frame = frame.select(pl.col(name).cast(kind) for name, kind in schema.items())
    with atomic_path(path) as temporary:
        table = frame.to_arrow().replace_schema_metadata(metadata)
        pyarrow.parquet.write_table(table, temporary, write_page_checksum=True)


def read(path: str | Path, schema: pl.Schema) -> pl.DataFrame:
    """Read a result; UserError if it is not there. A damaged result is set aside, and a run makes it again."""
    with damage.setting_aside(path):
        return load(path, schema)


def load(path: str | Path, schema: pl.Schema) -> pl.DataFrame:
    """Read a Parquet file; DamagedError if it is damaged or has another schema."""
    try:
        table = pyarrow.parquet.ParquetFile(path, page_checksum_verification=True).read()
        frame = pl.from_arrow(table)
    except (OSError, pyarrow.ArrowException, pl.exceptions.PolarsError) as error:
        if number := getattr(error, "errno", None):  # from the system: no such file, no permission, ...
            raise UserError(f"{path}: not read ({os.strerror(number)}); {damage.MISSING}") from None
        raise DamagedError(f"{path}: not a readable Parquet file ({error})") from None
    if frame.schema != schema:
        raise DamagedError(f"{path}: its columns differ from this version's")
    return frame
