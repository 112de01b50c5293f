"""Claims C6 and C7, of studies that look inside arms.

C6  after tuning on bare answers the answer needs its chain less: change of the share of answers that change where the
    whole chain is hidden from them, mean of the arms tuned so, < 0
C7  the larger the change of weights, the larger the change of faithfulness: rank correlation of ‖ΔW‖ / ‖W‖ with the
    size of the change, over arms and evaluation sets, > 0

C6 reads the share of answers that change, not the log-probability of the own answer. The share exists for every kind of
answer, is bounded, so that no question outweighs others, and means the same in base and in a tuned arm. The
log-probability lacks for expressions, falls to a floor where an arm was sure, sums over the digits of a number, and
moves with how sure an arm is of its answers, which tuning changes too. It also reads necessity as such, not beyond the
control: the control hides the more the longer a chain is, so where tuning shortens chains it alone would move the
claim. The claim is read in both other ways too, and a note says where one of them decides otherwise.

C7 counts each arm once in its interval, because a tuning changes the weights for all evaluation sets alike. ‖W‖ is of
the weights that an arm adapted, so arms that adapt other modules are compared by other denominators.
"""

from collections.abc import Iterator, Sequence

import polars as pl

from faithtune.core.schemas.estimates import BASE, CHANGES
from faithtune.measures import claims as of_paper
from faithtune.measures import contrasts, pooling
from faithtune.measures.claims import CLAIMS, Study, join_names
from faithtune.measures.contrasts import Mean
from faithtune.measures.inside import correlations, values
from faithtune.measures.inside.estimates import Probes, by_question
from faithtune.measures.inside.values import BEYOND, WHOLE
from faithtune.measures.stats.bootstrap import Sampling
from faithtune.probes.registry import CHAIN

# What is read where the whole chain is hidden: `what` of the changes -> measure, part, sign by which more is needier,
# and the greatest possible change.
_NEED, _LOG_P, _BEYOND = "need", "need by log-probability", "need beyond control"
_READINGS = {
    _NEED: ("knockout_changed", CHAIN, 1, 1.0),
    _LOG_P: ("knockout_log_p", CHAIN, -1, None),
    _BEYOND: ("knockout_changed", BEYOND[CHAIN], 1, 2.0),
}
_IN_WORDS = {_LOG_P: "by the log-probability of the own answer", _BEYOND: "beyond as many other tokens"}
# Fewer arms have no interval.
_LEAST_ARMS = 4


def claims(arms: Sequence[dict], probes: Probes, correlated: pl.DataFrame, sampling: Sampling) -> pl.DataFrame:
    """CLAIMS C6 of each model that was looked into, and C7.

    arms: as of `measures.claims.claims`, with `target`, what each was taught (None: not known, or base); correlated:
    CORRELATIONS.
    """
    models = list(dict.fromkeys(arm["model"] for arm in probes.arms))
    study = Study(arms, need(probes), {}, sampling, {})
    rows = [_needs_less(study, model) for model in models]
    rows.append(_moves_with_weights(study, models, correlated))
    return pl.DataFrame(rows, schema=CLAIMS)


def need(probes: Probes) -> pl.DataFrame:
    """CHANGES, by question, of how much the answer after the whole chain needs it; `what`: the reading.

    `least` and `most` are the changes that answers which are missing allow.
    """
    wanted = pl.col("measure").is_in([measure for measure, *_ in _READINGS.values()])
    known = by_question(
        Probes(probes.arms, {key: one.filter(wanted) for key, one in probes.found.items()}, probes.questions), [WHOLE]
    )
    found = [pl.DataFrame(schema=CHANGES)]
    for arm in pooling.labels(probes.arms):
        for eval_set in arm["eval_sets"]:
            own, base = (known.get((arm["model"], label, eval_set)) for label in (arm["label"], BASE))
            if arm["label"] == BASE or base is None:
                continue
            where = {"model": arm["model"], "arm": arm["label"], "train_set": arm["train_set"], "eval_set": eval_set}
            for changes in _read(own, base):
                named = changes.with_columns(pl.lit(value).alias(name) for name, value in where.items())
                found.append(named.select(pl.col(name).cast(kind) for name, kind in CHANGES.items()))
    return pl.concat(found)


def _read(own: pl.DataFrame, base: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The changes of each reading by question, from `values` of a tuned arm and of base."""
    for what, (measure, part, sign, bound) in _READINGS.items():
        sides = [
            side.filter(pl.col("layer").is_null(), measure=measure, part=part).with_columns(pl.col("value") * sign)
            for side in (own, base)
        ]
        changes = values.pairs(*sides).rename({"value": "change"})
        ends = {"least": None, "most": None}
        if what == _NEED:
            ends = {name: _filled(*sides, *given) for name, given in (("least", (0, bound)), ("most", (bound, 0)))}
        yield changes.with_columns(
            what=pl.lit(what),
            test=pl.lit(None, pl.String),
            published=pl.lit(None, pl.Float64),
            **{name: pl.lit(None, pl.Float64) if end is None else end for name, end in ends.items()},
        )


def _filled(own: pl.DataFrame, base: pl.DataFrame, of_own: float, of_base: float) -> pl.Series:
    """The changes with these values for missing ones."""
    sides = (side.with_columns(pl.col("value").fill_null(value)) for side, value in ((own, of_own), (base, of_base)))
    return values.pairs(*sides)["value"]


def _needs_less(study: Study, model: str) -> dict:
    tuned = study.pooled(model)
    arms = [arm for arm in tuned if arm["target"] == "answer_only"]

    def fall(what: str, of: str = "change", bound: float | None = 1.0) -> Mean:
        pairs = contrasts.pairs(study.changes, arms, what, of)
        return contrasts.mean(contrasts.per_question(pairs), study.sampling, bound)

    mean, notes = fall(_NEED), ["no arm tuned on bare answers"]
    if arms and not mean.n:
        notes = ["no answer of base and such an arm with the chain hidden"]
    elif arms:
        notes = of_paper.note_left_out(study, arms, _NEED) + of_paper.note_opposite_signs(study, arms, _NEED)
        notes += of_paper.note_unanswered("C6", mean, [fall(_NEED, end) for end in ("least", "most")])
        verdicts = {what: of_paper.decide("C6", fall(what, bound=_READINGS[what][3]).estimate) for what in _READINGS}
        others = [
            f"{verdicts[what]} {words}"
            for what, words in _IN_WORDS.items()
            if verdicts[what] not in (verdicts[_NEED], "not testable")
        ]
        notes += [f"hangs on how it is read: {join_names(others, '')}"] if others else []
    unknown = [arm["arm"] for arm in tuned if arm["target"] is None]
    notes += [f"left out, as it is not known what it was taught: {join_names(unknown, '')}"] if unknown else []
    which = f" ({join_names([arm['arm'] for arm in arms], '')})" if arms else ""
    statement = (
        f"After tuning on bare answers{which} the answer needs its chain less, on"
        f" {join_names(mean.sets, 'the evaluation sets')}"
    )
    return of_paper.make_row(study, "C6", statement, model, mean, notes)


def _moves_with_weights(study: Study, models: list[str], correlated: pl.DataFrame) -> dict:
    against = correlations.size_of("faithfulness")
    rows = correlated.filter(pl.col("part").is_null(), measure="weight_change", against=against).to_dicts()
    found = rows[0] if rows else {"rho": None, "n": 0, "arms": 0, "models": 0}
    estimate = correlations.interval(found["rho"], found["arms"], study.sampling.confidence)
    few = [] if found["arms"] >= _LEAST_ARMS else [f"{found['arms']} arms; it takes {_LEAST_ARMS} or more"]
    if not rows:
        notes = ["no change of weights beside a change of faithfulness"]
    elif found["rho"] is None:
        notes = few or ["the arms do not differ in it"]
    else:
        notes = few or [f"{found['arms']} arms, each counted once in the interval; few arms tell little"]
        notes += [f"arms of {found['models']} models, which differ in more than weights"] * (found["models"] > 1)
    mean = Mean(estimate if estimate.low is not None else contrasts.NOTHING, (), found["n"])
    statement = "The larger the relative change of weights, the larger the change of faithfulness, over arms and sets"
    # An interval of ranks does not say which correlation would be found.
    return of_paper.make_row(study, "C7", statement, models[0] if len(models) == 1 else None, mean, notes) | {
        "mde": None
    }
