"""What linear probes write (`linear`) and estimates of them read; apart, as those need no scikit-learn."""

import polars as pl

MEASURE = "linear"
PARTS = STATES, TEXT, SHUFFLED, BASE = ("states", "text", "shuffled", "base")
N_FOLDS = 5

# The score of a question for an option, from a probe that was fitted on other groups of questions.
SCORES = pl.Schema(
    {
        "id": pl.String,
        "measure": pl.String,  # "linear"
        "part": pl.String,  # states | text | shuffled | base: what the probe reads, see `linear`
        "layer": pl.Int32,  # index in the states; null for the text
        "option": pl.String,  # the letter that the probe separates from all others
        "value": pl.Float64,  # out-of-fold probability of the option, as if it were as frequent as the others together
    }
)
