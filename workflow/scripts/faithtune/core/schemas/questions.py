"""Questions of all data sets."""

import polars as pl

# A question to measure on (eval) or to train on (train). The file's key-value metadata has `skipped`, the number of
# rows that were left out because they did not fit, if the reader is `table`.
QUESTIONS = pl.Schema(
    {
        "id": pl.String,  # 16 hex digits, derived from the content
        "source_id": pl.String,  # its id in its file, or its index there, from 0
        "data_set": pl.String,  # the data set's name in the configuration
        "split": pl.String,  # train | eval
        "kind": pl.String,  # choice | number | expression
        "context": pl.String,  # the passage that the question is about; null if there is none
        "question": pl.String,  # the question itself
        "options": pl.List(pl.String),  # texts, A first; empty for other kinds than choice
        "answer": pl.String,  # the letter (A, B, ...), the number ("-12.5") or the expression (LaTeX), canonical
        "rationale": pl.String,  # worked solution, one step a line, without an answer line; null if there is none
        "group": pl.String,  # questions of one group are not independent (a shared context)
    }
)
