r"""Rows of any columns, by the settings of the data set; here its form of multiple choice that is most common.

    {"prompt": "Which organ makes insulin?", "choices": ["The liver", "The pancreas"], "label": 1}

    columns: {question: prompt, options: choices, answer: label}

The trap: a label says neither whether it counts from 0 or from 1, nor whether "B" is a letter or a text. What fits all
rows of the file decides; if two readings fit and differ, the settings must say it.
"""

import re

from faithtune.core.errors import UserError, short_repr
from faithtune.data import questions
from faithtune.data.table import answers, cells
from faithtune.data.table.cells import BadRow
from faithtune.data.table.options import Options, options
from faithtune.settings.data import TableSettings, plain_text

Parts = tuple[str, Options | None, dict]  # answer, options, and the other texts by the names of `questions.choice`


def kind(settings: TableSettings) -> str:
    """Rows with options are choices, others ask for a number or an expression."""
    return settings.kind if settings.columns.options is None else "choice"


def rationale(settings: TableSettings) -> str | None:
    """A solution that ends in the answer, in one column, is worked for every row; one in another column is optional."""
    columns = settings.columns
    if columns is None or columns.rationale is None:
        return None
    return "native" if columns.rationale == columns.answer else "optional"


def read(records: list[dict], settings: TableSettings) -> tuple[list[dict | None], list[str]]:
    """(for each record a dict for `questions.frame`, what is wrong with those that do not fit).

    Where `group` is among the columns, a dict has the key `group` as well: a text, or None. A record that does not fit,
    or that `where` leaves out, is None. Raises UserError if more than `max_bad_rows` do not fit, a column is in no
    record, or the answers of the file can be read in two ways.
    """
    if not records:
        raise UserError("the file has no rows; expected at least one question")
    cells.check(records, _paths(settings))
    wanted = [place for place, row in enumerate(records) if _is_wanted(row, settings)]
    if not wanted:
        raise UserError(f"no row is left by where: {_values(records, settings)}")
    parts, faults = {}, {}
    for place in wanted:
        try:
            parts[place] = _parts(records[place], settings)
        except BadRow as fault:
            faults[place] = str(fault)
    if kind(settings) == "choice":
        found, unanswered = _choices(parts, settings, settings.max_bad_rows - len(faults))
        faults |= unanswered
    else:
        make = questions.number if kind(settings) == "number" else questions.expression
        found = {place: make(answer=answer, **texts) for place, (answer, _, texts) in parts.items()}
    if by := settings.columns.group:
        found = {place: row | {"group": plain_text(cells.cell(records[place], by))} for place, row in found.items()}
    return [found.get(place) for place in range(len(records))], _allowed(faults, len(wanted), settings.max_bad_rows)


def _choices(parts: dict[int, Parts], settings: TableSettings, most_bad: int) -> tuple[dict[int, dict], dict[int, str]]:
    """(questions, what is wrong with answers that name no option), each by its row."""
    rows = [(answer, given) for answer, given, _ in parts.values()]
    indices = answers.read(rows, settings.answer_from, max(0, most_bad))
    found, faults = {}, {}
    for (place, (answer, given, texts)), index in zip(parts.items(), indices, strict=True):
        if index is None:
            right = answers.expected(given, settings.answer_from)
            faults[place] = f"{settings.columns.answer} is {short_repr(answer)}; expected {right}"
        else:
            found[place] = questions.choice(options=given.texts, answer=questions.LETTERS[index], **texts)
    return found, faults


def _paths(settings: TableSettings) -> dict[str, str]:
    """The columns that the settings name, by their keys."""
    paths = {f"columns.{key}": value for key, value in settings.columns if isinstance(value, str)}
    given = settings.columns.options
    paths |= {f"columns.options.{i}": path for i, path in enumerate(given if isinstance(given, list) else [])}
    return paths | {f"where.{path}": path for path in settings.where or {}}


def _is_wanted(row: dict, settings: TableSettings) -> bool:
    wanted = (settings.where or {}).items()
    return all(plain_text(cells.cell(row, path)) in values for path, values in wanted)


def _values(records: list[dict], settings: TableSettings) -> str:
    """What the columns of `where` hold, for an error."""
    found = []
    for path in settings.where:
        values = dict.fromkeys(plain_text(cells.cell(row, path)) for row in records)
        found.append(f"{path} has {', '.join(short_repr(value) for value in list(values)[:10])}")
    return "; ".join(found)


def _parts(row: dict, settings: TableSettings) -> Parts:
    """The parts of a row's question; BadRow if one of them does not fit."""
    columns = settings.columns
    question = cells.text(row, columns.question)
    if question is None:
        raise BadRow(f"{columns.question} is missing or empty; expected a text")
    given = None if columns.options is None else options(row, columns.options, settings.options_split)
    answer, start = _answer(row, settings)
    canonical, right = questions.CANONICAL.get(kind(settings), (None, None))
    if canonical and canonical(answer) is None:
        latex = kind(settings) == "number" and "\\" in answer
        hint = "" if settings.answer_pattern else ", or the key answer_pattern"
        hint = ", or the key kind: expression" if latex else hint
        raise BadRow(f"{columns.answer} is {short_repr(answer)}; expected {right}{hint}")
    texts = {"question": question, "context": columns.context and cells.text(row, columns.context)}
    worked = columns.rationale and cells.lines(row, columns.rationale)
    if worked and columns.rationale == columns.answer:
        worked = worked[:start].strip() or None  # the chain must not end with the answer
    return answer, given, texts | {"rationale": worked}


def _answer(row: dict, settings: TableSettings) -> tuple[str, int | None]:
    """The answer, and where `answer_pattern` finds it in its text."""
    path = settings.columns.answer
    text = cells.single(row, path)
    if settings.answer_pattern is None:
        return text, None
    *_, last = None, *re.finditer(settings.answer_pattern, text)
    if last is None or last[last.re.groups] is None:
        raise BadRow(f"{path} is {short_repr(text)}; expected what answer_pattern finds")
    return last[last.re.groups].strip(), last.start()


def _allowed(faults: dict[int, str], rows: int, most: int) -> list[str]:
    """The faults of rows in their order, each with its row from 1; UserError with the first if there are too many."""
    lines = [f"row {place + 1}: {faults[place]}" for place in sorted(faults)]
    if len(lines) > most:
        more = f" ({len(lines)} of {rows} rows do not fit; max_bad_rows is {most})" if len(lines) > 1 else ""
        raise UserError(lines[0] + more)
    return lines
