"""The columns of a file by their usual names, for questions that come without settings."""

import re
from collections.abc import Iterable, Sequence

from faithtune.core.errors import UserError

# The usual names of each part of a question, in lower case.
USUAL = {
    "context": ("context", "passage", "paragraph", "article", "body"),
    "question": ("question", "prompt", "problem", "input"),
    "options": ("options", "choices"),
    "answer": ("answer", "label", "answerkey", "answer_key", "cop", "gold", "target"),
    "rationale": ("rationale", "solution", "explanation"),
}
# Of these, answers that only name an option.
_NAMES_AN_OPTION = ("label", "answerkey", "answer_key", "cop")
# A column with one of several options: (prefix, place), such as A, opa, option_1, answer0.
_ONE_OPTION = re.compile(r"(|(?i:op|opt|option|choice|answer|ending)_?)((?<!^)[a-j0-9]|[A-J])")
_PLACES = ("abcdefghij", "ABCDEFGHIJ", "0123456789", "123456789")
# The mark before the number at the end of a worked solution, as in GSM8K.
_MARK, _PATTERN = "#### ", "#### (.+)"


def find(records: Sequence[dict]) -> dict:
    """The keys `columns` and perhaps `answer_pattern` of `reader: table` for rows whose columns have usual names.

    >>> find([{"prompt": "Why?", "choices": ["a", "b"], "label": 0}])
    {'columns': {'question': 'prompt', 'options': 'choices', 'answer': 'label'}}

    UserError if a question or its answer has no such name, or two columns could be one part.
    """
    names = list(dict.fromkeys(str(name) for row in records for name in row))
    found = {part: [name for name in names if name.lower() in usual] for part, usual in USUAL.items()}
    found["options"] += _several(names)
    if not found["options"]:
        found["answer"] = found["answer"] or [name for name in found["rationale"] if _is_marked(records, name)]
        if naming := [name for name in found["answer"] if name.lower() in _NAMES_AN_OPTION]:
            lacking = f"no column has a usual name of the options ({', '.join(USUAL['options'])})"
            raise UserError(f"{naming[0]} should name an option, but {lacking}; {_there(names)}")
    for part, those in found.items():
        if len(those) > 1:
            raise UserError(f"{' and '.join(map(str, those))} could each be the {part}; {_there(names)}")
    columns = {part: those[0] for part, those in found.items() if those}
    for part in ("question", "answer"):
        if part not in columns:
            raise UserError(f"no column has a usual name of the {part} ({', '.join(USUAL[part])}); {_there(names)}")
    if "options" in columns:
        return {"columns": columns}
    # Rows that hold a list may be choices whose options have another name: their answers would be read as numbers.
    if lists := [name for name in set(names) - set(columns.values()) if _is_nested(records, name)]:
        raise UserError(f"{min(lists)} could be the options; {_there(names)}")
    if _is_marked(records, columns["answer"]):
        return {"columns": columns | {"rationale": columns["answer"]}, "answer_pattern": _PATTERN}
    return {"columns": columns}


def _several(names: Iterable[str]) -> list[list[str]]:
    """The options that stand in a column each, if there are any."""
    found: dict[str, dict[str, str]] = {}
    for name in names:
        if match := _ONE_OPTION.fullmatch(name):
            found.setdefault(match[1], {})[match[2]] = name
    rows = [sorted(by_place.items()) for by_place in found.values() if len(by_place) > 1]
    return [
        [name for _, name in row] for row in rows if any(places.startswith("".join(dict(row))) for places in _PLACES)
    ]


def _is_marked(records: Iterable[dict], name: str) -> bool:
    """Whether a column is a worked solution in each row, with the answer at its end."""
    return all(_MARK in str(row.get(name)) for row in records)


def _is_nested(records: Iterable[dict], name: str) -> bool:
    return any(isinstance(row.get(name), list | dict) for row in records)


def _there(names: Sequence[str]) -> str:
    return f"its columns are {', '.join(names)}"
