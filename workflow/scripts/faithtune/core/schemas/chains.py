"""Chains of thought."""

import polars as pl

# The chain of thought an arm wrote for a question.
CHAINS = pl.Schema(
    {
        "id": pl.String,
        "text": pl.String,  # the assistant's whole turn, from "Step 1:" on
        "steps": pl.List(pl.String),  # s_1 ... s_N, without markers and final-answer line
        "n_steps": pl.Int32,  # N; 0 is a collapsed chain
        "n_copied": pl.Int32,  # of them, steps that stand word for word in the prompt template's example
        "n_tokens": pl.Int32,  # new tokens the model wrote; null where its tokenizer is not known
        "outcome": pl.String,  # answered | unanswered | truncated, of the free text
        "why": pl.String,  # of an unanswered one: refused | ambiguous; null where it says nothing
        "free_answer": pl.String,  # declared in the free text; null unless answered
        "span": pl.List(pl.Int32),  # where it stands in the text: start, end; null unless answered
        "lenient": pl.String,  # the answer by the lenient extractor; null where it finds none, and if truncated
    }
)
