"""Files from users: their text, and the rows of data files."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow.parquet

from faithtune.core.damage import DamagedError
from faithtune.core.errors import UserError, short_repr

SUFFIXES = (".jsonl", ".json", ".csv", ".parquet")


def contents(path: str | Path) -> bytes:
    """The bytes of a file; UserError if it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


def text(data: bytes, place: str) -> str:
    """Decode UTF-8 text; UserError with `place` if it is not."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{place}: not UTF-8 text ({error})") from None


def not_text(value: object) -> str | None:
    """Why a value is not text: words that follow its name; None for text."""
    if not isinstance(value, str):
        return f"is {short_repr(value)}; expected a text"
    try:
        value.encode()
    except UnicodeEncodeError as error:
        return f"holds {value[error.start]!r}, half a character, at place {error.start}; expected whole characters"
    return None


def records(data: str, place: str, columns: tuple[str, ...] | None = None) -> Iterator[tuple[int, dict]]:
    """(line, row) of CSV text, each row a dict by the names of the header.

    columns: the header that is required, if any. Raises UserError with `place` and the line.
    """
    reader = csv.DictReader(io.StringIO(data, newline=""), strict=True)
    try:
        names = reader.fieldnames or []
        if columns is not None and tuple(names) != columns:
            raise UserError(
                f"{place}: line 1: its columns are {short_repr(','.join(names))}; expected {','.join(columns)}"
            )
        if twice := [name for name in names if names.count(name) > 1]:
            raise csv.Error(f"its header has {twice[0]!r} twice")
        for row in reader:
            # DictReader files surplus fields under None and fills missing ones with None.
            if None in row or None in row.values():
                raise csv.Error(f"expected the {len(names)} fields of the header")
            yield reader.line_num, row
    except csv.Error as error:
        raise UserError(f"{place}: line {reader.line_num}: not CSV ({error})") from None


def rows(data: bytes, suffix: str, place: str) -> list[dict]:
    """The rows of a .jsonl, .json, .csv or .parquet file as dicts.

    .json may hold one array or, like .jsonl, one object a line. CSV values are text. place: names the file in a
    UserError, which also names the line if it is known.
    """
    check_suffix(suffix, place)
    suffix = suffix.lower()
    if suffix == ".parquet":
        try:
            table = pyarrow.parquet.ParquetFile(io.BytesIO(data), page_checksum_verification=True).read()
            return pl.from_arrow(table).to_dicts()
        except (OSError, pyarrow.ArrowException, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise DamagedError(f"{place}: not a readable Parquet file ({error})") from None
    whole = text(data, place)
    return [row for _, row in records(whole, place)] if suffix == ".csv" else _json(whole, place)


def check_suffix(suffix: str, place: str) -> None:
    """UserError with `place` if `rows` does not read files with this suffix."""
    if suffix.lower() not in SUFFIXES:
        raise UserError(
            f"{place}: its name ends with {suffix!r}; expected {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
        )


def _json(whole: str, place: str) -> list[dict]:
    array = whole.lstrip().startswith("[")
    # Split at \n only: splitlines() also splits at separators that a JSON string may contain.
    pieces = [(1, whole)] if array else [(n, line) for n, line in enumerate(whole.split("\n"), 1) if line.strip()]
    found = []
    for line, piece in pieces:
        try:
            value = json.loads(piece)
        except json.JSONDecodeError as error:
            raise UserError(f"{place}: line {line + error.lineno - 1}: not JSON ({error.msg})") from None
        except RecursionError:
            raise UserError(f"{place}: from line {line} on: its brackets are nested too deeply") from None
        except ValueError as error:  # a number with thousands of digits
            raise UserError(f"{place}: from line {line} on: cannot be read ({error})") from None
        found.extend(value if array else [value])
    if not all(isinstance(row, dict) for row in found):
        raise UserError(f"{place}: expected one JSON object a line, or an array of objects")
    return found
