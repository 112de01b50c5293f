r"""The options of a row, in any of the forms that data sets have.

    ["to eat", "to sleep"]                                       a list, or several columns
    {"A": "to eat", "B": "to sleep"}                             texts by their letters
    [{"label": "A", "text": "to eat"}, ...]                      a list of labels and texts
    {"label": ["A", "B"], "text": ["to eat", "to sleep"]}        lists of labels and texts
    "A. to eat\nB. to sleep"                                     one text

A text in a CSV file may hold any of the others as JSON or as Python writes it.
"""

import ast
import json
import re
from dataclasses import dataclass

from faithtune.core.errors import short_repr
from faithtune.core.user_files import not_text
from faithtune.data.questions import LETTERS
from faithtune.data.table.cells import MISSING, BadRow, cell
from faithtune.settings.data import plain_text

# A letter in front of an option: "A. ", "B) ", "(c) ", "d : ".
LETTERED = re.compile(r"\(?([A-Ja-j]) ?[.):]\s*(?=\S)(.*)", re.DOTALL)


@dataclass(frozen=True)
class Options:
    """The options of a row."""

    texts: list[str]
    labels: list[str]  # A, B, ... or the row's own, such as 1, 2, ...

    @property
    def lettered(self) -> bool:
        """Whether the labels are A, B, ... in this order, so that an answer may also be a number."""
        return self.labels == list(LETTERS[: len(self.texts)])


def options(row: dict, columns: str | list[str] | dict[str, str], split: str | None) -> Options:
    """The options of a row; columns, split: `options` and `options_split` of the settings.

    BadRow if they have none of the forms above, or are fewer than 2 or more than 10. Nulls and empty texts at the end
    are no options: files with columns have them for rows with fewer options.
    """
    if isinstance(columns, dict):
        return Options(list(columns.values()), list(columns))
    if isinstance(columns, list):
        values = [cell(row, column) for column in columns]
        return _from_values(", ".join(columns), [None if value is MISSING else value for value in values])
    value = cell(row, columns)
    if isinstance(value, str):
        value = _unpacked(columns, value, split)
    if isinstance(value, dict):
        return _from_dict(columns, value)
    if isinstance(value, list):
        if value and all(isinstance(part, dict) for part in value):
            value = {key: [part.get(key) for part in value] for key in value[0]}
            return _from_dict(columns, value)
        return _from_values(columns, value)
    found = "is missing" if value is MISSING else f"is {short_repr(value)}"
    raise BadRow(f"{columns} {found}; expected options: a list, a mapping, or a text")


def _unpacked(name: str, value: str, split: str | None) -> object:
    """The list or mapping that a text holds, or else the parts of the text."""
    if split is None and value.lstrip().startswith(("[", "{")):
        for parse in (json.loads, ast.literal_eval):
            try:
                return parse(value.strip())
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
        # Lines of it, such as those of an array as numpy prints it, are no options.
        raise BadRow(f"{name} is {short_repr(value)}; expected JSON, or the key options_split")
    return [part for part in re.split(split or r"\n", value) if part and part.strip()]


def _from_dict(name: str, value: dict) -> Options:
    if any(isinstance(part, list) for part in value.values()):
        texts, labels = value.get("text"), value.get("label")
        if not isinstance(texts, list) or not (labels is None or isinstance(labels, list)):
            raise BadRow(
                f"{name} has the keys {', '.join(map(str, value))}; expected text and, if they have any, label"
            )
        return _from_values(name, texts, labels)
    # In Parquet every row has all letters of the file, with null for those that the row lacks.
    known = {key: text for key, text in value.items() if text is not None}
    order = sorted(known, key=lambda key: (len(key), key))
    return _from_values(name, [known[key] for key in order], order)


def _from_values(name: str, values: list, labels: list | None = None) -> Options:
    """Options of their texts; without labels, the letters in front of the texts or else A, B, ..."""
    while values and values[-1] in (None, ""):
        values = values[:-1]
    texts = [plain_text(value) for value in values]
    for place, (value, text) in enumerate(zip(values, texts, strict=True), 1):
        if text is None or not text.strip() or not_text(text):
            raise BadRow(f"{name}: option {place} is {short_repr(value)}; expected a text")
    texts = [text.strip() for text in texts]
    if not 2 <= len(texts) <= len(LETTERS):
        raise BadRow(f"{name} has {len(texts)} option(s); expected 2 to {len(LETTERS)} (a text: see options_split)")
    if labels is None:
        return Options(_without_letters(texts), list(LETTERS[: len(texts)]))
    own = [(plain_text(label) or "").strip() for label in labels]
    if len(own) != len(texts) or len(set(own)) < len(own) or "" in own:
        raise BadRow(f"{name} has the labels {short_repr(labels)}; expected another label for each option")
    upper = [label.upper() for label in own]
    return Options(texts, upper if upper == list(LETTERS[: len(texts)]) else own)


def _without_letters(texts: list[str]) -> list[str]:
    """The texts without the letters A, B, ... in front of them, if all have them in this order."""
    found = [LETTERED.fullmatch(text) for text in texts]
    if [match and match[1].upper() for match in found] != list(LETTERS[: len(texts)]):
        return texts
    return [match[2] for match in found]
