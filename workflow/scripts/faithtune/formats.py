"""The rows that the bytes of a data file hold."""

import csv
import io
import json

import polars as pl

from faithtune.errors import UserError


def rows(data: bytes, suffix: str, place: str) -> list[dict]:
    """The rows of a .jsonl, .json, .csv or .parquet file as dicts.

    .json may hold one array or, like .jsonl, one object a line. CSV values are
    text. `place` names the file in a UserError, which tells the line where
    there is one.
    """
    if suffix == ".parquet":
        try:
            return pl.read_parquet(io.BytesIO(data)).to_dicts()
        except pl.exceptions.PolarsError as error:
            raise UserError(f"{place}: not a readable Parquet file ({error})") from None
    if suffix not in (".json", ".jsonl", ".csv"):
        raise UserError(f"{place}: its name ends with {suffix!r}; expected .jsonl, .json, .csv or .parquet")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{place}: not UTF-8 text ({error})") from None
    return _csv(text, place) if suffix == ".csv" else _json(text, place)


def _csv(text: str, place: str) -> list[dict]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    found = []
    try:
        for row in reader:
            # DictReader files surplus fields under None and fills missing ones with None.
            if None in row or None in row.values():
                raise csv.Error(f"expected the {len(reader.fieldnames)} fields of the header")
            found.append(row)
    except csv.Error as error:
        raise UserError(f"{place}: line {reader.line_num}: not CSV ({error})") from None
    return found


def _json(text: str, place: str) -> list[dict]:
    array = text.lstrip().startswith("[")
    # Cut at \n alone: splitlines() also cuts at separators that may stand inside a JSON string.
    pieces = [(1, text)] if array else [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    found = []
    for line, piece in pieces:
        try:
            value = json.loads(piece)
        except json.JSONDecodeError as error:
            raise UserError(f"{place}: line {line + error.lineno - 1}: not JSON ({error.msg})") from None
        found.extend(value if array else [value])
    if not all(isinstance(row, dict) for row in found):
        raise UserError(f"{place}: expected one JSON object a line, or an array of objects")
    return found
