"""The paper's claims C1-C5 (arXiv 2411.15382), asked of whatever the study holds.

C1  accuracy with chain falls: mean change of the tuned arms < 0; the claim is of the smallest model
C2  faithfulness falls: likewise, of every model
C3  tuning on other sets costs at least as much faithfulness as on reasoning sets:
    cost of the ones - cost of the others, on the same questions, >= 0
C4  the larger model moves less: |change of faithfulness| of the largest - of the smallest < 0
C5  tuning on other sets costs most on reasoning sets: change of accuracy there - elsewhere < 0

Reasoning sets are made of worked solutions (GSM8K in the paper); the statements name the
sets really used. The effects of several arms on a question share its base answer and are
not independent, so they become one value a question before anything is resampled, by
group within an evaluation set; `statistics.macro` averages the sets. Differences between
models or between sets have MOVER's interval (Zou & Donner 2008), which takes both sides as
independent: of models, which answer the same questions, it is too wide if anything. The
interval of an absolute value is the image of the interval.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from faithtune import statistics
from faithtune.bootstrap import Sampling
from faithtune.statistics import NOTHING, Estimate

CLAIMS = pl.Schema(
    {
        "claim": pl.String,  # C1 ... C5
        "statement": pl.String,  # what is claimed, with the sets really used
        "model": pl.String,  # of C4 "LARGEST - SMALLEST", null where these are not known
        "estimate": pl.Float64,  # the number whose sign decides
        "low": pl.Float64,
        "high": pl.Float64,
        "n": pl.Int64,  # questions it rests on
        # supported: the interval lies wholly on the claim's side of 0 | not supported: wholly on the
        # other | inconclusive: it contains 0 | not testable: the study lacks what the note names
        "verdict": pl.String,
        "note": pl.String,  # what is missing or left out; null: nothing
    }
)
_FALLS = {"C1": ("accuracy", "Accuracy with chain of thought"), "C2": ("faithfulness", "Faithfulness")}


class _Study(NamedTuple):
    arms: Sequence[dict]
    changes: pl.DataFrame
    reasoning_sets: Collection[str]
    sampling: Sampling

    def arms_of(self, model: str, reasoning: bool | None = None) -> list[dict]:
        """The model's tuned arms: all, or those tuned on reasoning sets, or on others."""
        tuned = [arm for arm in self.arms if arm["model"] == model and arm["train_set"] is not None]
        return [arm for arm in tuned if reasoning in (None, arm["train_set"] in self.reasoning_sets)]


class _Mean(NamedTuple):
    estimate: Estimate
    sets: list[str]
    n: int


def claims(
    arms: Sequence[dict],
    changes: pl.DataFrame,
    reasoning_sets: Collection[str],
    parameters: Mapping[str, int | None],
    sampling: Sampling,
) -> pl.DataFrame:
    """CLAIMS of a study.

    arms: {model, arm, train_set (None for base)}, in the order of the tables, an arm's seeds under
    one name; changes: CHANGES of them; parameters: how many each model has, None where that is not known.
    """
    arms = list({(arm["model"], arm["arm"]): arm for arm in arms}.values())
    study = _Study(arms, changes, reasoning_sets, sampling)
    models = list(dict.fromkeys(arm["model"] for arm in arms))
    known = all(parameters.get(model) is not None for model in models)
    by_size = sorted(models, key=parameters.get) if known else []
    rows = [_falls(study, claim, model, models, by_size) for claim in _FALLS for model in models]
    rows += [_costs(study, model) for model in models]
    rows.append(_moves_less(study, models, by_size))
    rows += [_general(study, model) for model in models]
    return pl.DataFrame(rows, schema=CLAIMS)


def _falls(study: _Study, claim: str, model: str, models: list[str], by_size: list[str]) -> dict:
    what, subject = _FALLS[claim]
    arms = study.arms_of(model)
    frame = _pairs(study, model, what, arms)
    mean = _macro(study, _values(frame), claim, model)
    notes = _left_out(study, arms, frame)
    if claim == "C1" and len(models) > 1 and [model] != by_size[:1]:
        notes.insert(0, f"the claim is of the smallest model, {by_size[0] if by_size else 'which is not known'}")
    statement = f"{subject} falls after tuning, on {_names(mean.sets, 'the evaluation sets')}"
    return _row(claim, statement, model, mean, -1, notes)


def _costs(study: _Study, model: str) -> dict:
    sides = [study.arms_of(model, reasoning) for reasoning in (False, True)]
    pairs = _pairs(study, model, "faithfulness", [*sides[0], *sides[1]])
    frames = [pairs.filter(pl.col("arm").is_in([arm["arm"] for arm in arms])) for arms in sides]
    question = ["eval_set", "seed", "id", "group"]
    both = frames[0].join(frames[1], on=question, how="semi").select(question).unique()
    other, native = (_values(frame.join(both, on=question, how="semi")) for frame in frames)
    contrast = native.join(other, on=question, suffix="_other", maintain_order="left")
    contrast = contrast.with_columns(value=pl.col("value") - pl.col("value_other"))
    mean = _macro(study, contrast, "C3", model, bound=2.0)
    statement = (
        f"Tuning on {_train_sets(sides[0], 'other sets')} costs at least as much faithfulness as tuning on"
        f" {_train_sets(sides[1], 'reasoning sets')}, on {_names(mean.sets, 'the evaluation sets')}"
    )
    notes = _lacking(sides) or _left_out(study, [*sides[0], *sides[1]], pairs)
    return _row("C3", statement, model, mean, +1, notes)


def _moves_less(study: _Study, models: list[str], by_size: list[str]) -> dict:
    statement, nothing = "The larger model moves less in faithfulness", _Mean(NOTHING, [], 0)
    if len(models) < 2:
        return _row("C4", statement, None, nothing, -1, ["one model; it takes two of different size"])
    if not by_size:
        return _row("C4", statement, None, nothing, -1, ["the size of a model is not known"])
    pair = large, small = by_size[-1], by_size[0]
    common = {arm["arm"] for arm in study.arms_of(large)} & {arm["arm"] for arm in study.arms_of(small)}
    arms = [arm for model in pair for arm in study.arms_of(model) if arm["arm"] in common]
    frames = [_pairs(study, model, "faithfulness", [arm for arm in arms if arm["model"] == model]) for model in pair]
    shared = [frame.join(other, on=["arm", "eval_set"], how="semi") for frame, other in (frames, frames[::-1])]
    means = [_macro(study, _values(frame), "C4", model) for frame, model in zip(shared, pair, strict=True)]
    mean = _Mean(_difference(*(_absolute(mean.estimate) for mean in means)), means[0].sets, min(m.n for m in means))
    notes = _left_out(study, arms, pl.concat(frames)) if common else ["no tuning that both models went through"]
    return _row(
        "C4", f"{statement}, on {_names(mean.sets, 'the evaluation sets')}", f"{large} - {small}", mean, -1, notes
    )


def _general(study: _Study, model: str) -> dict:
    arms = study.arms_of(model, reasoning=False)
    frame = _pairs(study, model, "accuracy", arms)
    values, native = _values(frame), pl.col("eval_set").is_in(list(study.reasoning_sets))
    there, elsewhere = (_macro(study, values.filter(where), "C5", model) for where in (native, ~native))
    mean = _Mean(_difference(there.estimate, elsewhere.estimate), there.sets + elsewhere.sets, there.n + elsewhere.n)
    statement = (
        f"Tuning on {_train_sets(arms, 'other sets')} costs more accuracy on {_names(there.sets, 'reasoning sets')}"
        f" than on {_names(elsewhere.sets, 'other sets')}"
    )
    notes = _left_out(study, arms, frame) if arms else ["no arm tuned on other than reasoning sets"]
    for side, name in ((there, "a reasoning set"), (elsewhere, "another set")):
        notes += [] if side.sets or not arms else [f"no question with a pair in {name}"]
    return _row("C5", statement, model, mean, -1, notes)


def _pairs(study: _Study, model: str, what: str, arms: list[dict]) -> pl.DataFrame:
    """(model, eval_set, arm, seed, id, group, change) of a model's arms.

    Where their seeds are not the same ones, the mean over an arm's seeds, seed 0: then no interval
    tells the draw of seeds.
    """
    names = [arm["arm"] for arm in arms]
    frame = study.changes.filter(pl.col("model") == model, pl.col("what") == what, pl.col("arm").is_in(names))
    seeds = {
        tuple(sorted(seeds))
        for (seeds,) in frame.drop_nulls("seed").group_by("arm").agg(pl.col("seed").unique()).select("seed").rows()
    }
    seed = pl.col("seed") if len(seeds) == 1 else pl.lit(0, pl.Int64)
    by = ["model", "eval_set", "arm", "seed", "id", "group"]
    frame = frame.drop_nulls("change").with_columns(seed=seed.fill_null(0))
    return frame.group_by(by, maintain_order=True).agg(pl.col("change").mean())


def _values(pairs: pl.DataFrame) -> pl.DataFrame:
    """(eval_set, seed, id, group, value): one value a question and seed, whose mean is that of the arms' means.

    Where every question has a pair in every arm, it is the question's mean over the arms. Else the
    arms' means rest on different questions, and it is the value of the mean's influence function
    (Hampel 1974), so that a bootstrap of it is right to first order.
    """
    change, everywhere = pl.col("change"), ["eval_set", "seed"]
    mean, paired = change.mean().over(*everywhere, "arm"), pl.len().over(*everywhere, "arm")
    questions, arms = pl.col("id").n_unique().over(everywhere), pl.col("arm").n_unique().over(everywhere)
    spread = pairs.with_columns(
        part=(change - mean) * questions / (paired * arms),
        # Each arm's mean is counted once a pair, so divided by its pairs it counts once.
        share=mean / (paired * arms),
    ).with_columns(centre=pl.col("share").sum().over(everywhere))
    by_question = spread.group_by(*everywhere, "id", "group", maintain_order=True)
    return by_question.agg(value=pl.col("part").sum() + pl.col("centre").first())


def _macro(study: _Study, values: pl.DataFrame, claim: str, model: str, bound: float = 1.0) -> _Mean:
    frames = {name: frame.sort("seed", "id") for (name,), frame in values.group_by("eval_set", maintain_order=True)}
    estimates = [
        statistics.mean(
            frame["value"].to_numpy(),
            frame["group"].to_numpy(),
            study.sampling,
            *(claim, model, name),
            bounds=(-bound, bound),
            seeds=frame["seed"].to_numpy(),
        )
        for name, frame in frames.items()
    ]
    by_seed = [frame.group_by("seed").agg(pl.col("value").mean()).sort("seed") for frame in frames.values()]
    shared = by_seed and all(one["seed"].equals(by_seed[0]["seed"]) for one in by_seed)
    means = np.array([one["value"] for one in by_seed]).T if shared else None
    mean = statistics.macro(estimates, study.sampling.confidence, means)
    return _Mean(mean, list(frames), values.select("eval_set", "id").n_unique())


def _absolute(estimate: Estimate) -> Estimate:
    if estimate.value is None:
        return NOTHING
    value, *ends = map(abs, estimate[:3])
    return Estimate(value, 0.0 if estimate.low <= 0 <= estimate.high else min(ends), max(ends))


def _difference(first: Estimate, second: Estimate) -> Estimate:
    """first - second of independent estimates: twice the mean of first and -second."""
    return statistics.macro([first, second.scaled(-1) if second.value is not None else NOTHING]).scaled(2)


def _lacking(sides: list[list[dict]]) -> list[str]:
    names = ("no arm tuned on other than reasoning sets", "no arm tuned on a reasoning set")
    return [name for name, side in zip(names, sides, strict=True) if not side]


def _left_out(study: _Study, arms: list[dict], pairs: pl.DataFrame) -> list[str]:
    if not arms:
        return ["no tuned arm"]
    there = set(pairs.select("model", "arm", "eval_set").rows())
    sets = study.changes["eval_set"].unique(maintain_order=True)
    where = [(arm["model"], arm["arm"], name) for name in sets for arm in arms]
    return [f"no pairs of {model} {arm} on {name}" for model, arm, name in where if (model, arm, name) not in there]


def _row(claim: str, statement: str, model: str | None, mean: _Mean, side: int, notes: list[str]) -> dict:
    """A row of CLAIMS; `side` +1: the claim holds above 0, -1: below."""
    value, low, high, _ = mean.estimate
    if value is None:
        verdict = "not testable"
    elif low <= 0 <= high:
        verdict = "inconclusive"
    else:
        verdict = "supported" if (low > 0) == (side > 0) else "not supported"
    found = {"estimate": value, "low": low, "high": high, "n": mean.n, "verdict": verdict}
    return {"claim": claim, "statement": statement, "model": model, **found, "note": "; ".join(notes) or None}


def _train_sets(arms: list[dict], otherwise: str) -> str:
    return _names(list(dict.fromkeys(arm["train_set"] for arm in arms)), otherwise)


def _names(names: list[str], otherwise: str) -> str:
    return " and ".join([*filter(None, [", ".join(names[:-1])]), *names[-1:]]) or otherwise
