"""What was found inside an arm, one value per question: PROBES at the kept fractions α, as INSIDE names them."""

from collections.abc import Sequence

import polars as pl

from faithtune.core.errors import UserError
from faithtune.measures.alpha import LEAST_STEPS, steps_kept
from faithtune.probes.registry import BEFORE, CHAIN, CONTROLS, CUE, QUESTION, STEP

# The whole chain.
WHOLE = 1.0
# A hidden part minus its control, as many random tokens: `part` of INSIDE.
BEYOND = {part: f"{part}_beyond_control" for part in (CHAIN, QUESTION)}
# What a number is about, within an arm and an evaluation set.
KEYS = ("measure", "part", "alpha", "layer", "last_layer", "head", "scale")
_ATTENTION = ("attention", "attention_weighted")
_QUESTION = ("id", "group", "seed")
# A value per question, seed and key; the last two columns are null where nothing was asked.
_COLUMNS = (*_QUESTION, *KEYS, "value", "unanswered", "truncated")


def values(probes: pl.DataFrame, questions: pl.DataFrame, alphas: Sequence[float]) -> pl.DataFrame:
    """One value per question and seed of each number in PROBES that has an id, but for the linear probe's.

    probes: PROBES with a column `seed`; questions: QUESTIONS of its evaluation set; alphas: kept fractions of
    knock-outs and deletions, to which the whole chain is added.
    Columns: id, group, seed, KEYS, value, unanswered, truncated. UserError where a question is not in `questions`.
    """
    rows = probes.drop_nulls("id").join(questions.select("id", "group"), on="id", how="left", maintain_order="left")
    if rows["group"].null_count():
        raise UserError("probes: questions that their evaluation set does not have; delete the file and run again")
    rows = rows.with_columns(
        alpha=pl.lit(None, pl.Float64),
        unanswered=pl.col("outcome") == "unanswered",
        truncated=pl.col("outcome") == "truncated",
    )
    hidden = _at_alphas(rows.filter(_starts("knockout_", "removal_")), alphas)
    at_places = pl.col("measure").is_in(["lens_p", "decision_layer"]) & pl.col("part").is_in([BEFORE, CUE])
    plain = rows.filter(at_places | (pl.col("measure") == "kl") | _starts("dose_"))
    parts = (hidden, _beyond_control(hidden), plain, _attention(rows))
    return pl.concat([part.select(_COLUMNS) for part in parts])


def pairs(own: pl.DataFrame, base: pl.DataFrame) -> pl.DataFrame:
    """`values` of a tuned arm with base's of the same questions: `value` is the change, tuned - base.

    It is null where either value is; `unanswered` and `truncated` are of either side.
    """
    return _differences(own, base.drop("seed"), ["id", *KEYS])


def _differences(first: pl.DataFrame, second: pl.DataFrame, on: Sequence[str]) -> pl.DataFrame:
    """The values of `first` minus the values of `second` in rows that are equal in the columns `on`."""
    both = first.join(second, on=on, nulls_equal=True, suffix="_other", maintain_order="left")
    return both.select(
        *(*_QUESTION, *KEYS),
        pl.col("value") - pl.col("value_other"),
        *(pl.col(name) | pl.col(f"{name}_other") for name in ("unanswered", "truncated")),
    )


def _starts(*prefixes: str) -> pl.Expr:
    return pl.any_horizontal(pl.col("measure").str.starts_with(prefix) for prefix in prefixes)


def _at_alphas(rows: pl.DataFrame, alphas: Sequence[float]) -> pl.DataFrame:
    """The rows at k = ⌈αN⌉ of chains with N ≥ LEAST_STEPS, and at k = N of all; in windows of layers only these.

    Where ⌈αN⌉ is 0 nothing was hidden, so there are no rows.
    """
    rows = rows.with_columns(n_steps=pl.col("k").max().over("id", "seed"))
    fractions = sorted({float(alpha) for alpha in alphas} - {WHOLE})
    plan = [
        (alpha, n, steps_kept(alpha, n)) for n in rows["n_steps"].unique() for alpha in fractions if n >= LEAST_STEPS
    ]
    plan += [(WHOLE, n, n) for n in rows["n_steps"].unique()]
    schema = {"alpha": pl.Float64, "n_steps": pl.Int32, "k": pl.Int32}
    chosen = rows.drop("alpha").join(
        pl.DataFrame(plan, schema, orient="row"), on=["n_steps", "k"], maintain_order="left"
    )
    return chosen.filter(pl.col("layer").is_null() | (pl.col("alpha") == WHOLE))


def _beyond_control(hidden: pl.DataFrame) -> pl.DataFrame:
    """A part's value minus its control's, in all layers; null where either is."""
    everywhere = hidden.filter(_starts("knockout_"), pl.col("layer").is_null())
    found = []
    for part, control in CONTROLS.items():
        sides = [everywhere.filter(part=name).with_columns(part=pl.lit(BEYOND[part])) for name in (part, control)]
        found.append(_differences(*sides, ["id", "seed", *KEYS]))
    return pl.concat(found)


def _attention(rows: pl.DataFrame) -> pl.DataFrame:
    """Attention by layer, and its mean over layers, and tokens, by part; the chain is the sum of its steps."""
    seen = rows.filter(pl.col("measure").is_in([*_ATTENTION, "tokens"]), pl.col("head").is_null())
    part = pl.when(pl.col("part") == STEP).then(pl.lit(CHAIN)).otherwise("part")
    by = [name for name in _COLUMNS if name not in ("part", "value")]
    by_layer = seen.with_columns(part=part).group_by(*by, "part", maintain_order=True).agg(pl.col("value").sum())
    attention = by_layer.filter(pl.col("measure").is_in(_ATTENTION))
    without = [name for name in by if name != "layer"]
    over_layers = attention.group_by(*without, "part", maintain_order=True).agg(pl.col("value").mean())
    over_layers = over_layers.with_columns(layer=pl.lit(None, pl.Int32))
    return pl.concat([part.select(_COLUMNS) for part in (by_layer, over_layers)])
