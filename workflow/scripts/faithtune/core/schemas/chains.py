"""Chains of thought."""

import polars as pl

# An arm's chain of thought for a question.
CHAINS = pl.Schema(
    {
        "id": pl.String,
        "text": pl.String,  # the assistant's whole turn, from "Step 1:" on
        "steps": pl.List(pl.String),  # s_1 ... s_N, without markers and the final-answer line
        "n_steps": pl.Int32,  # N; 0 is a collapsed chain
        "n_copied": pl.Int32,  # steps copied from the prompt template's example, but for one word in five at most
        "n_tokens": pl.Int32,  # new tokens; null if the tokenizer is not known
        "outcome": pl.String,  # of the free text: answered | unanswered | truncated
        "why": pl.String,  # of an unanswered text: refused | ambiguous; null if it declares nothing
        "free_answer": pl.String,  # declared in the free text; null unless answered
        "span": pl.List(pl.Int32),  # of the declared answer in the text: start, end; null unless answered
        "lenient": pl.String,  # the answer by the lenient extractor; null if it finds none, and if truncated
    }
)
