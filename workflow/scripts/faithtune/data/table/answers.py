"""Which option an answer names: by its letter, its text, or its number from 0 or from 1.

A file says it once: all its rows are read in the same way. If they can be read in two ways, nobody guesses.
"""

import re
from collections.abc import Callable, Sequence

from faithtune.core.errors import UserError, short_repr
from faithtune.data.questions import LETTERS
from faithtune.data.table.options import LETTERED, Options

Row = tuple[str, Options]  # an answer and the options of its row

# "(B)", "b.", "B)".
_LETTER = re.compile(r"\(?([A-Ja-j])[.):]?")


def _by_letter(answer: str, options: Options) -> int | None:
    if answer in options.labels:
        return options.labels.index(answer)
    match = _LETTER.fullmatch(answer)
    letter = match[1].upper() if match and options.lettered else None
    return options.labels.index(letter) if letter in options.labels else None


def _by_text(answer: str, options: Options) -> int | None:
    """None as well if two options have the text."""
    same = [index for index, text in enumerate(options.texts) if text == answer]
    whole = LETTERED.fullmatch(answer) if options.lettered and not same else None  # "B. to sleep"
    if whole and options.labels.count(letter := whole[1].upper()):
        index = options.labels.index(letter)
        same = [index] if options.texts[index] == whole[2] else []
    return same[0] if len(same) == 1 else None


def _by_number(first: int) -> Callable[[str, Options], int | None]:
    def read(answer: str, options: Options) -> int | None:
        # isdecimal alone takes digits of all scripts
        index = int(answer) - first if answer.isascii() and answer.isdecimal() and len(answer) < 10 else -1
        return index if 0 <= index < len(options.texts) else None

    return read


READINGS = {"letter": _by_letter, "text": _by_text, 0: _by_number(0), 1: _by_number(1)}


def read(rows: Sequence[Row], answer_from: int | str | None, most_bad: int) -> list[int | None]:
    """For each row the index of its right option, or None if its answer fits in no way that fits the file.

    answer_from: a key of READINGS; if None, the one that fits all rows, or else all but at most `most_bad`. Raises
    UserError if several fit and differ. If none fits, the one that fits most rows is taken.
    """
    if answer_from is not None:
        return [READINGS[answer_from](*row) for row in rows]
    found = {name: [_unless_labelled(name, *row) for row in rows] for name in READINGS}
    bad = {name: indices.count(None) for name, indices in found.items()}
    least = min(bad.values())
    fitting = [name for name in found if bad[name] <= (0 if least == 0 else most_bad)]
    if not fitting:
        return found[min(bad, key=bad.get)]
    first = fitting[0]
    for other in fitting[1:]:
        for row, one, two in zip(rows, found[first], found[other], strict=True):
            if one != two:
                ways = " or ".join(map(str, fitting))
                raise UserError(
                    f"its answers can be read in more than one way: {short_repr(row[0])} is {_words(first, one, row)}"
                    f" or {_words(other, two, row)}; expected the key answer_from: {ways}"
                )
    return found[first]


def expected(options: Options, answer_from: int | str | None) -> str:
    """What would be right as the answer of a row, in words."""
    last = len(options.texts) - 1
    words = {
        "letter": f"one of {', '.join(options.labels)}",
        "text": "the text of one option",
        0: f"a whole number from 0 to {last}",
        1: f"a whole number from 1 to {last + 1}",
    }
    if answer_from is not None:
        return words[answer_from]
    return f"{words['letter']}, {words['text']}, or its number, as in the other rows of the file"


def _unless_labelled(name: int | str, answer: str, options: Options) -> int | None:
    """Options with labels of their own, such as 1 to 4, are not counted as well."""
    if name in (0, 1) and not options.lettered:
        return None
    return READINGS[name](answer, options)


def _words(name: int | str, index: int | None, row: Row) -> str:
    what = "no option" if index is None else f"option {LETTERS[index]}"
    return f"{what} by {name}" if isinstance(name, str) else f"{what} counted from {name}"
