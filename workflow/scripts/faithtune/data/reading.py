"""All questions of one source, by the reader of its data set."""

import polars as pl

from faithtune.core.errors import prefix_errors, warn
from faithtune.data import questions, readers, sources
from faithtune.settings.data import SplitSelection


def read(selection: SplitSelection, split: str, path: str | None) -> tuple[pl.DataFrame, int | None]:
    """(QUESTIONS of the source of a split, the number of its rows that were left out because they do not fit).

    path: the source's file, if there is one. The number is None for readers that do not leave out such rows.
    """
    module, file = readers.module(selection.reader), selection.files[split]
    if file.source is None:
        return questions.frame(module.generate(module.MOST, selection.seed), selection.data_set, split), None
    records, where = sources.read(file.source, path, file.checksum), f"data_sets.{selection.data_set}.{split}"
    if selection.table is None:
        with prefix_errors(where):
            return questions.frame(module.questions(records), selection.data_set, split, records), None
    with prefix_errors(f"{where}: {file.source}"):
        rows, faults = module.read(records, selection.table)
        if faults:
            print(*faults, sep="\n")
            warn(f"{where}: {file.source}: {len(faults)} of {len(records)} rows left out; the first is {faults[0]}")
        frame = questions.frame(rows, selection.data_set, split, records)
        if selection.table.columns.group:
            # Without records a question's source_id is its place in the file.
            places = questions.frame(rows, selection.data_set, split)["source_id"].cast(pl.Int64)
            named = [rows[place]["group"] for place in places]
            groups = [None if name is None else questions.digest("group", name) for name in named]
            frame = frame.with_columns(pl.Series("group", groups, dtype=pl.String).fill_null(frame["group"]))
        return frame, len(faults)
