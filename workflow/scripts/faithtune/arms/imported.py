"""Chains that somebody else's model wrote: read from a file, no model is asked.

A row of the file names its question and holds the text:

    {"id": "0000", "text": "Step 1: The chairman is ... Final Answer: A"}

`id` is faithtune's id of the question (column `id` of QUESTIONS) or what the
data set's own file calls it (`source_id`: its id there, else its row counted
from 0; leading zeros of a number do not count). In place of `text`, `completions`
may hold a list of texts: the first counts. `finished` (true where it is not
given) says whether the model ended by itself.

There is no cue to answer after, so the answer is the one that the free text
declares (`read_from` chain); there is none without the chain, and nothing can
be tampered with.
"""

from collections.abc import Sequence

import polars as pl

from faithtune.arms import chains
from faithtune.core import user_files
from faithtune.core.errors import UserError, short_repr
from faithtune.core.schemas.answers import ANSWERS
from faithtune.core.schemas.chains import CHAINS


def read(records: Sequence[dict], questions: pl.DataFrame, place: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(CHAINS, ANSWERS with a row `full` each) of those `questions` of which `records` hold a chain.

    UserError naming `place` where a record lacks its id or text or these are no text, two
    chains are of one question, or none is of any. How many questions have no chain is printed.
    """
    known = {row["id"]: row for row in questions.iter_rows(named=True)}
    named = {_plain(row["source_id"]): row["id"] for row in known.values()} | {key: key for key in known}
    if not records:
        raise UserError(f"{place}: it has no rows; expected a chain at least")
    found: dict[str, dict] = {}
    for line, record in enumerate(records, 1):
        row = f"{place}: row {line}"
        text, identifier = _text(record, row), _identifier(record, row)
        key = named.get(_plain(identifier))
        if key is None:  # a question that is not asked: another sample of the same data set
            continue
        if key in found:
            raise UserError(f"{row}: a second chain of question {identifier!r}; expected one")
        found[key] = {"text": text, "finished": _finished(record, row)}
    if not found:
        wanted = ", ".join(list(named)[:2])
        raise UserError(
            f"{place}: none of its ids (such as {short_repr(records[0]['id'])}) is one of the {questions.height}"
            f" questions' (such as {wanted})"
        )
    print(f"{len(found)} of {questions.height} questions have a chain")
    rows = [chains.read(known[key], made["text"], made["finished"], None) for key, made in found.items()]
    frame = pl.DataFrame(rows, schema=CHAINS)
    order = questions.select("id").join(frame, on="id", maintain_order="left")
    return order.select(*CHAINS), answers(order, questions)


def answers(frame: pl.DataFrame, questions: pl.DataFrame) -> pl.DataFrame:
    """ANSWERS of chains (CHAINS): what their free text declares, test `full`."""
    joined = frame.join(questions.select("id", "group", gold="answer"), on="id", maintain_order="left")
    answer = pl.col("free_answer")
    filled = joined.with_columns(
        test=pl.lit("full"),
        k=pl.col("n_steps"),
        answer=answer,
        correct=answer == pl.col("gold"),
        reference=answer,
        match=pl.when(answer.is_not_null()).then(True),
        text=pl.lit(None),
        read_from=pl.lit("chain"),
    )
    missing = [pl.lit(None).alias(name) for name in ANSWERS if name not in filled.columns]
    return filled.with_columns(missing).select(pl.col(name).cast(kind) for name, kind in ANSWERS.items())


def _text(record: dict, place: str) -> str:
    name, value = "text", record.get("text")
    completions = record.get("completions")
    if isinstance(completions, list) and completions:
        name, value = "the first of completions", completions[0]
    if value is None:
        raise _missing("text", record, place)
    if fault := user_files.not_text(value):
        raise UserError(f"{place}: {name} {fault}")
    return value


def _identifier(record: dict, place: str) -> str:
    value = record.get("id")
    if value is None:
        raise _missing("id", record, place)
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise UserError(f"{place}: id is {short_repr(value)}; expected a text or a whole number")
    return str(value)


def _missing(name: str, record: dict, place: str) -> UserError:
    return UserError(f"{place}: it has no {name}; expected the columns id and text (there are {', '.join(record)})")


def _finished(record: dict, place: str) -> bool:
    value = record.get("finished")
    if value is None:
        return True
    known = {"true": True, "1": True, "false": False, "0": False}.get(str(value).lower())
    if known is None:
        raise UserError(f"{place}: finished is {short_repr(value)}; expected true or false")
    return known


def _plain(identifier: str) -> str:
    return (
        str(int(identifier)) if identifier.isascii() and identifier.isdigit() and len(identifier) < 16 else identifier
    )
