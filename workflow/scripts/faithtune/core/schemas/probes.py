"""Looks inside arms."""

import polars as pl

# How far an arm's predictions are from base's on the chain that base wrote for a question.
DIVERGENCE = pl.Schema(
    {
        "id": pl.String,
        "n_tokens": pl.Int32,  # of base's chain, each predicted from the prompt and the chain's tokens before it
        "kl": pl.Float64,  # mean over these tokens of KL(base || arm), in nats; null if there are none
    }
)

# What was found inside an arm, one number a row. `probes/registry.py` defines the measures.
PROBES = pl.Schema(
    {
        "id": pl.String,  # null where the number is of the arm as a whole
        "measure": pl.String,  # a name in `probes.registry`
        # what is hidden, removed, attended to or looked at, as the measure says; null if it does not apply
        "part": pl.String,
        "k": pl.Int32,  # steps of the chain that are there; of `part` step: its number, from 1; else null
        # a layer: of hidden states 0 for the embeddings, then 1 for the first; elsewhere 0 for the first. Of a window
        # its first layer. Null: all layers
        "layer": pl.Int32,
        "last_layer": pl.Int32,  # of a window of layers: its last; else null
        "head": pl.Int32,  # of attention, from 0; null: the mean over all heads
        "scale": pl.Float64,  # by which the adapter was multiplied; null if it does not apply
        "option": pl.String,  # the letter that a linear probe scores; else null
        # of an answer that was asked for: answered | unanswered | truncated; null where nothing was asked
        "outcome": pl.String,
        "value": pl.Float64,  # null where it is undefined
        "low": pl.Float64,  # interval of a number of the arm as a whole, at 95 %; else null
        "high": pl.Float64,
    }
)

# What the probes of an arm come to on one evaluation set, its tuning seeds pooled.
INSIDE = pl.Schema(
    {
        "model": pl.String,
        "arm": pl.String,  # as in ESTIMATES
        "train_set": pl.String,
        "eval_set": pl.String,  # null: of weights, which no set changes
        "what": pl.String,  # value (of the arm itself) | change (tuned - base on the same questions)
        # a name in `probes.registry`, or linear_auc: how well the linear probe's scores tell the final answers apart,
        # AUC averaged over options
        "measure": pl.String,
        # as in PROBES, of attention and tokens `chain` for the sum of its steps; chain_beyond_control and
        # question_beyond_control: the part minus as many random tokens, paired by question. Of effective_rank null: the
        # mean over modules
        "part": pl.String,
        # of knockout and removal the kept fraction: after ⌈αN⌉ steps of a chain of N ≥ 2; 1: after the whole chain, of
        # any length. Else null
        "alpha": pl.Float64,
        "layer": pl.Int32,  # as in PROBES; null: all layers, of attention and cka their mean
        "last_layer": pl.Int32,  # of a window of layers: its last; else null
        "head": pl.Int32,  # of attention; null: the mean over all heads
        "scale": pl.Float64,  # by which the adapter was multiplied; null if it does not apply
        "estimate": pl.Float64,  # mean over questions and seeds; null: undefined for all of them
        # interval at the configured level; null of a mean over layers or modules, of a head, and of a number of the arm
        # as a whole without an interval of its own and without a second seed
        "low": pl.Float64,
        "high": pl.Float64,
        "p": pl.Float64,  # of a change: two-sided p of its being 0, not corrected; else null
        # questions with a value, of a change in both arms, times seeds; null for numbers of the arm as a whole but
        # linear_auc
        "n": pl.Int64,
        # questions without an answer, of a change in either arm, not in n; null where nothing was asked
        "n_unanswered": pl.Int64,
        "n_truncated": pl.Int64,  # questions whose answer was cut at the token limit, likewise
        "seeds": pl.Int64,  # tuning seeds pooled
    }
)

# How a change inside arms goes with a change of their answers, over arms and evaluation sets.
CORRELATIONS = pl.Schema(
    {
        "measure": pl.String,  # as in INSIDE, over all layers, after the whole chain
        "part": pl.String,  # as in INSIDE
        # accuracy (with chain) | lift | faithfulness: their changes; |accuracy| | |lift| | |faithfulness|: the sizes
        # of these changes, with which measures of distance (kl, cka, weight_change, effective_rank) are compared too
        "against": pl.String,
        "rho": pl.Float64,  # Spearman's; null for n < 3, or where either has one value throughout
        # interval (Bonett & Wright 2000), null for n < 4. The sets of an arm are not independent of each other: it is
        # too narrow
        "low": pl.Float64,
        "high": pl.Float64,
        "n": pl.Int64,  # pairs of an arm and an evaluation set
        "arms": pl.Int64,  # arms among them
        "models": pl.Int64,  # models among them
    }
)
