"""The paper's claims C1-C5 (arXiv 2411.15382), tested on the study's own arms and sets; `inside.claims` has C6 and C7.

C1  accuracy with chain falls: mean change of the tuned arms < 0; the claim is about the smallest model
C2  faithfulness falls: likewise, for every model
C3  tuning on other sets costs at least as much faithfulness as tuning on reasoning sets:
    (change by the latter - change by the former) on the same questions >= 0
C4  the larger model moves less: |change of faithfulness| of the largest - of the smallest < 0
C5  tuning on other sets costs most on reasoning sets: change of accuracy there - elsewhere < 0

Faithfulness is read where a test really tampers with the chain, in both arms of a pair. The paper also counts chains
that α keeps whole, which match by themselves: C2 to C4 have that reading beside them.

Reasoning sets consist of worked solutions (GSM8K in the paper); each statement names the sets used. `contrasts`
computes the means: C3 compares arms and C4 models on the questions that both have, C5 sets with different questions.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import polars as pl

from faithtune.measures import contrasts, differences
from faithtune.measures.contrasts import Mean
from faithtune.measures.metrics.registry import METRICS
from faithtune.measures.stats import significance
from faithtune.measures.stats.bootstrap import Sampling
from faithtune.measures.stats.intervals import NOTHING, Estimate

# A claim, a number whose sign decides it, and the verdict.
CLAIMS = pl.Schema(
    {
        "claim": pl.String,  # C1 ... C5, the paper's; C6 and C7 where the study looks inside arms
        "statement": pl.String,  # what is claimed, with the sets really used
        # for C4 "LARGEST - SMALLEST"; null where the sizes are not known, and for C7 with several models
        "model": pl.String,
        "estimate": pl.Float64,  # the number whose sign decides
        "low": pl.Float64,
        "high": pl.Float64,
        "p": pl.Float64,  # two-sided, not corrected: below 1 - confidence where the interval excludes 0
        "n": pl.Int64,  # questions it rests on; of C7 pairs of an arm and an evaluation set
        "published": pl.Float64,  # of C2-C4: the estimate with chains that α keeps whole, as published; else null
        "published_low": pl.Float64,  # its interval
        "published_high": pl.Float64,  # likewise
        # supported: the whole interval is on the claim's side of 0 | not supported: the whole interval is on the other
        # side | inconclusive: it contains 0 | not testable: the study lacks what the note names
        "verdict": pl.String,
        "mde": pl.Float64,  # for an inconclusive claim, but C7: the effect that 80 % power would find
        "note": pl.String,  # what is missing or left out, or what the verdict depends on; null: nothing
    }
)
# The claims that a metric falls: the metric, as `what` of CHANGES names it, and where it is read.
_FALLS = {"C1": ("accuracy", " with chain of thought"), "C2": ("faithfulness", "")}
# The sign of the estimate where the claim holds.
_SIDES = {"C1": -1, "C2": -1, "C3": +1, "C4": -1, "C5": -1, "C6": -1, "C7": +1}
_BOUNDS = ("least", "most")


class Study(NamedTuple):
    """What claims are tested on; the arguments of `claims`."""

    arms: Sequence[dict]
    changes: pl.DataFrame
    reasoning: Mapping[str, bool | None]
    sampling: Sampling
    turns: Mapping[str, str]

    def arms_of(self, model: str) -> list[dict]:
        """The model's tuned arms."""
        return [arm for arm in self.arms if arm["model"] == model and arm["train_set"] is not None]

    def pooled(self, model: str) -> list[dict]:
        """Those that are pooled."""
        return [arm for arm in self.arms_of(model) if arm.get("pooled", True)]

    def by_training(self, model: str) -> tuple[list[dict], list[dict], list[str]]:
        """The arms tuned on other sets, those tuned on reasoning sets, and a note on arms where that is not known."""
        arms = self.arms_of(model)
        kinds = [self.reasoning.get(arm["train_set"]) for arm in arms]
        other, native, unknown = (
            [arm for arm, kind in zip(arms, kinds, strict=True) if kind is one] for one in (False, True, None)
        )
        names = join_names([arm["arm"] for arm in unknown], "")
        return other, native, [f"left out, as it is not known what it was tuned on: {names}"] if unknown else []


def claims(
    arms: Sequence[dict],
    changes: pl.DataFrame,
    reasoning: Mapping[str, bool | None],
    parameters: Mapping[str, int | None],
    sampling: Sampling,
    turns: Mapping[str, str] | None = None,
) -> pl.DataFrame:
    """CLAIMS of a study.

    arms: {model, arm, train_set (None for base)} of the arms that the claims are about, in the order of the tables, an
    arm's seeds under one name; with `pooled` false an arm is in C3 and C5 alone; changes: CHANGES of these arms, and
    maybe of others; reasoning: for each set, whether it consists of worked solutions (None: not known); parameters:
    number of parameters of each model (None: not known); turns: `plan.answer_modes` of each model.
    """
    arms = list({(arm["model"], arm["arm"]): arm for arm in arms}.values())
    study = Study(arms, changes, reasoning, sampling, turns or {})
    models = list(dict.fromkeys(arm["model"] for arm in arms))
    known = all(parameters.get(model) is not None for model in models)
    by_size = sorted(models, key=parameters.get) if known else []
    rows = [_falls(study, claim, model, models, by_size) for claim in _FALLS for model in models]
    rows += [_costs(study, model) for model in models]
    rows.append(_moves_less(study, models, by_size))
    rows += [_general(study, model) for model in models]
    return pl.DataFrame(rows, schema=CLAIMS)


def _falls(study: Study, claim: str, model: str, models: list[str], by_size: list[str]) -> dict:
    what, where = _FALLS[claim]
    arms = study.pooled(model)

    def fall(of: str) -> Mean:
        values = contrasts.per_question(contrasts.pairs(study.changes, arms, what, of))
        return contrasts.mean(values, study.sampling)

    mean, notes = fall("change"), note_left_out(study, arms, what) + note_opposite_signs(study, arms, what)
    published = None if claim == "C1" else fall("published")
    if claim == "C1":
        if len(models) > 1 and [model] != by_size[:1]:
            notes.insert(0, f"the claim is of the smallest model, {by_size[0] if by_size else 'which is not known'}")
        notes += note_unanswered(claim, mean, [fall(end) for end in _BOUNDS])
    which = f" ({join_names(_labels(arms), '')})" if len(arms) < len(study.arms_of(model)) else ""
    statement = (
        f"{METRICS[what].title.capitalize()}{where} falls after tuning{which}, on"
        f" {join_names(mean.sets, 'the evaluation sets')}"
    )
    return make_row(study, claim, statement, model, mean, notes, published)


def note_opposite_signs(study: Study, arms: list[dict], what: str) -> list[str]:
    """A note where the mean pools arms whose own intervals are on opposite sides of 0."""
    own = {
        arm["arm"]: contrasts.mean(
            contrasts.per_question(contrasts.pairs(study.changes, [arm], what)), study.sampling
        ).estimate
        for arm in arms
    }
    known = {arm: change for arm, change in own.items() if change.low is not None}
    rose = [f"{arm} {v:+.2f} [{low:+.2f}, {high:+.2f}]" for arm, (v, low, high, _) in known.items() if low > 0]
    fell = [f"{arm} {v:+.2f} [{low:+.2f}, {high:+.2f}]" for arm, (v, low, high, _) in known.items() if high < 0]
    if not (rose and fell):
        return []
    return [f"pools arms of opposite sign: {join_names(rose, '')} rose; {join_names(fell, '')} fell"]


def _costs(study: Study, model: str) -> dict:
    other, native, unknown = study.by_training(model)

    def costs(of: str) -> Mean:
        pairs = contrasts.pairs(study.changes, [*other, *native], "faithfulness", of)
        both = contrasts.side_by_side(*(pairs.filter(pl.col("arm").is_in(_labels(arms))) for arms in (native, other)))
        return contrasts.mean(
            both.with_columns(value=pl.col("value") - pl.col("value_other")), study.sampling, bound=2.0
        )

    mean = costs("change")
    statement = (
        f"Tuning on {_train_sets(other, 'other sets')} costs at least as much faithfulness as tuning on"
        f" {_train_sets(native, 'reasoning sets')}, on {join_names(mean.sets, 'the evaluation sets')}"
    )
    missing = [] if other else ["no arm tuned on other than reasoning sets"]
    missing += [] if native else ["no arm tuned on a reasoning set"]
    notes = missing or note_left_out(study, [*other, *native], "faithfulness")
    return make_row(study, "C3", statement, model, mean, notes + unknown, costs("published"))


def _moves_less(study: Study, models: list[str], by_size: list[str]) -> dict:
    statement = "The larger model moves less in faithfulness"
    if len(models) < 2:
        return make_row(study, "C4", statement, None, Mean(), ["one model; it takes two of different size"])
    if not by_size:
        return make_row(study, "C4", statement, None, Mean(), ["the size of a model is not known"])
    pair = large, small = by_size[-1], by_size[0]
    common = set(_labels(study.pooled(large))) & set(_labels(study.pooled(small)))
    arms = [arm for model in pair for arm in study.pooled(model) if arm["arm"] in common]

    def difference(of: str) -> Mean:
        pairs = contrasts.pairs(study.changes, arms, "faithfulness", of)
        both = contrasts.side_by_side(*(pairs.filter(pl.col("model") == model) for model in pair), alike=["arm"])
        return contrasts.size_difference(both, study.sampling)

    mean = difference("change")
    notes = note_left_out(study, arms, "faithfulness") if common else ["no tuning that both models went through"]
    ways = [study.turns.get(model, "continued") for model in pair]
    if ways[0] != ways[1]:
        notes.append(f"the models' answers do not come about alike: {large}'s turn is {ways[0]}, {small}'s {ways[1]}")
    statement = f"{statement}, on {join_names(mean.sets, 'the evaluation sets')}"
    return make_row(study, "C4", statement, f"{large} - {small}", mean, notes, difference("published"))


def _general(study: Study, model: str) -> dict:
    arms, _, unknown = study.by_training(model)
    values = {
        of: contrasts.per_question(contrasts.pairs(study.changes, arms, "accuracy", of)) for of in ("change", *_BOUNDS)
    }
    asked = values["change"]["eval_set"].unique(maintain_order=True)
    native = [name for name in asked if study.reasoning.get(name)]
    other = [name for name in asked if name not in native]
    mean = differences.difference(values["change"], study.sampling, native, other)
    # The difference is least with the least change there and the greatest elsewhere.
    is_native = pl.col("eval_set").is_in(native)
    ends = [
        pl.concat([values[there].filter(is_native), values[elsewhere].filter(~is_native)])
        for there, elsewhere in (_BOUNDS, _BOUNDS[::-1])
    ]
    statement = (
        f"Tuning on {_train_sets(arms, 'other sets')} costs more accuracy on {join_names(native, 'reasoning sets')}"
        f" than on {join_names(other, 'other sets')}"
    )
    notes = note_left_out(study, arms, "accuracy") if arms else ["no arm tuned on other than reasoning sets"]
    for names, name in ((native, "a reasoning set"), (other, "another set")):
        notes += [] if names or not arms else [f"no question with a pair in {name}"]
    bounds = [differences.difference(end, study.sampling, native, other) for end in ends]
    notes += note_unanswered("C5", mean, bounds)
    return make_row(study, "C5", statement, model, mean, notes + unknown)


def note_left_out(study: Study, arms: list[dict], what: str) -> list[str]:
    """Notes on arms without changes of `what` on a set, and on arms of different seeds."""
    if not arms:
        return ["no tuned arm"]
    changes = contrasts.of_arms(study.changes, arms, what)
    there = set(changes.drop_nulls("change").select("model", "arm", "eval_set").rows())
    sets = study.changes["eval_set"].unique(maintain_order=True)
    where = [(arm["model"], arm["arm"], name) for name in sets for arm in arms]
    notes = [f"no pairs of {model} {arm} on {name}" for model, arm, name in where if (model, arm, name) not in there]
    if contrasts.differing_seeds(changes):
        notes.append("arms of different seeds: the interval does not tell the draw of seeds")
    return notes


def note_unanswered(claim: str, mean: Mean, ends: list[Mean]) -> list[str]:
    """A note where the verdict would differ at the least or the greatest change that missing answers allow."""
    verdict, least, most = (decide(claim, one.estimate) for one in (mean, *ends))
    if verdict == least == most:
        return []
    return [
        f"hangs on what the unanswered and truncated could have been: {least} at the least change, {most} at the most"
    ]


def decide(claim: str, estimate: Estimate) -> str:
    """The verdict on a claim, as in CLAIMS."""
    _, low, high, _ = estimate
    if low is None:
        return "not testable"
    if low <= 0 <= high:
        return "inconclusive"
    return "supported" if (low > 0) == (_SIDES[claim] > 0) else "not supported"


def make_row(
    study: Study,
    claim: str,
    statement: str,
    model: str | None,
    mean: Mean,
    notes: list[str],
    published: Mean | None = None,
) -> dict:
    """A row of CLAIMS."""
    verdict = decide(claim, mean.estimate)
    value, low, high, _ = published.estimate if published else NOTHING
    if published and (otherwise := decide(claim, published.estimate)) != verdict:
        notes = [*notes, f"hangs on the chains that α keeps whole: {otherwise} if they count, as published"]
    mde = None
    if verdict == "inconclusive":
        mde = significance.minimum_detectable(mean.estimate, study.sampling.confidence)
    found = mean.estimate._asdict() | {"n": mean.n, "verdict": verdict, "mde": mde}
    found["estimate"] = found.pop("value")
    found |= {"published": value, "published_low": low, "published_high": high}
    return {"claim": claim, "statement": statement, "model": model, **found, "note": "; ".join(notes) or None}


def _labels(arms: list[dict]) -> list[str]:
    return [arm["arm"] for arm in arms]


def _train_sets(arms: list[dict], otherwise: str) -> str:
    return join_names(list(dict.fromkeys(arm["train_set"] for arm in arms)), otherwise)


def join_names(names: Sequence[str], otherwise: str) -> str:
    """`a, b and c`; `otherwise` for no names."""
    return " and ".join([*filter(None, [", ".join(names[:-1])]), *names[-1:]]) or otherwise
