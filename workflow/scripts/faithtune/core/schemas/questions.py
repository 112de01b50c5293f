"""Questions, of every data set."""

import polars as pl

# A question, to be asked (eval) or trained on (train).
QUESTIONS = pl.Schema(
    {
        "id": pl.String,  # 16 hex digits, derived from the content
        "source_id": pl.String,  # what its file calls it: the row's id, or its place counted from 0
        "data_set": pl.String,  # the data set's name in the configuration
        "split": pl.String,  # train | eval
        "kind": pl.String,  # choice | number
        "context": pl.String,  # a passage the question is about; null without one
        "question": pl.String,  # what is asked
        "options": pl.List(pl.String),  # the texts, A first; empty for kind number
        "answer": pl.String,  # the letter (A, B, ...) or the number in canonical form ("-12.5")
        "rationale": pl.String,  # worked solution, one step a line, no answer line; null without one
        "group": pl.String,  # questions of one group are not independent (a shared context)
    }
)
