"""The verdict on a model's recipes: which gain accuracy and keep faithfulness, which lose it, can they be told apart?

The words of the arms decide, and the differences between them that are significant among all; an estimate alone decides
nothing.
"""

from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from faithtune.core.schemas.estimates import BASE
from faithtune.measures.stats.intervals import Estimate
from faithtune.measures.verdicts import verdict
from faithtune.measures.verdicts.recipes import ALWAYS
from faithtune.measures.verdicts.verdict import FELL, KEPT, MIXED, ROSE, UNKNOWN

_MOST_NAMES = 4
# Of a row of RECIPES in `apart`.
_OF_APART = ("arm", "against", "subject", "estimate", "low", "high", "n", "p_pairs")


class _Differences(NamedTuple):
    """What the differences between arms say."""

    subjects: list[str]  # that could be compared
    pairs: int  # of arms that were compared
    apart: list[dict]  # rows of RECIPES that are significant among all pairs, the greatest difference first
    n: int | None = None  # questions of the difference that needs most
    n_needed: int | None = None  # `verdict.questions_needed` of it; None where all are within the margin


def summaries(arms: Sequence[dict], recipes: pl.DataFrame, margin: float, confidence: float) -> list[dict]:
    """Entries `recipes` of verdict.json, for each model with two tuned arms or more.

    arms: entries `arms` of verdict.json; recipes: RECIPES.
    """
    models = list(dict.fromkeys(arm["model"] for arm in arms))
    of_model = {model: [arm for arm in arms if arm["model"] == model] for model in models}
    return [
        _summary(own, _between(recipes.filter(model=model), margin, confidence), margin, len(models) > 1)
        for model, own in of_model.items()
        if len(own) > 1
    ]


def _summary(arms: list[dict], between: _Differences, margin: float, several: bool) -> dict:
    model = arms[0]["model"]
    gain = [
        arm["arm"] for arm in arms if arm["accuracy"]["word"] == ROSE and arm["faithfulness"]["word"] in (KEPT, ROSE)
    ]
    lose, mixed = ([arm["arm"] for arm in arms if arm["faithfulness"]["word"] == word] for word in (FELL, MIXED))
    found = {"model": model, "n_arms": len(arms), "gain": gain, "lose": lose, "mixed": mixed}
    found |= {"pairs": between.pairs, "n": between.n, "n_needed": between.n_needed}
    found["apart"] = [{key: row[key] for key in _OF_APART} for row in between.apart] if between.subjects else None
    of = f" of {model}" if several else ""
    sentences = [_words(found, of), _apart(between) if between.apart else _alike(between, len(arms), margin)]
    if between.apart and not gain:
        sentences.append(_open(arms))
    return found | {"sentences": [sentence for sentence in sentences if sentence]}


def _between(recipes: pl.DataFrame, margin: float, confidence: float) -> _Differences:
    compared = recipes.filter(pl.col("against") != BASE, pl.col("test").is_null(), pl.col("subject").is_in(ALWAYS))
    known = compared.drop_nulls(["low", "high"])
    subjects = [name for name in ALWAYS if name in known["subject"]]
    pairs = known.select("arm", "against").n_unique()
    apart = known.filter(pl.col("p_pairs") < 1 - confidence).sort(pl.col("estimate").abs(), descending=True)
    if apart.height:
        return _Differences(subjects, pairs, apart.rows(named=True))
    wide = known.filter((pl.col("low") < -margin) | (pl.col("high") > margin))
    needed = [
        (verdict.questions_needed(Estimate(value, low, high), n, margin), n)
        for value, low, high, n in wide.select("estimate", "low", "high", "n").rows()
    ]
    n_needed, n = max(needed, default=(None, None))
    return _Differences(subjects, pairs, [], n, n_needed)


def _words(found: dict, of: str) -> str:
    """Which arms gain accuracy without losing faithfulness, and which lose it."""
    n, gain, lose, mixed = (found[key] for key in ("n_arms", "gain", "lose", "mixed"))
    who = f"{_named(gain, n)} {_verb('gain', gain)}" if gain else "none is shown to gain"
    parts = [f"Of the {n} recipes{of}, {who} accuracy without losing faithfulness"]
    if lose:
        parts.append(f"{_named(lose, n)} {_verb('lose', lose)} faithfulness")
    if mixed:
        parts.append(
            f"{_named(mixed, n)} {_verb('lose', mixed)} it on one set and {_verb('gain', mixed)} it on another"
        )
    return "; ".join(parts if lose or mixed else [*parts, "none is shown to lose it"]) + "."


def _apart(between: _Differences) -> str:
    """How many pairs of arms differ, and the pair that differs most."""
    row, pairs = between.apart[0], len({(row["arm"], row["against"]) for row in between.apart})
    most, least = (row["arm"], row["against"]) if row["estimate"] > 0 else (row["against"], row["arm"])
    low, high = sorted(abs(row[end]) if row["estimate"] > 0 else -row[end] for end in ("low", "high"))
    shown = f"{most} has more {row['subject']} than {least}, by {abs(row['estimate']):.2f} [{low:.2f}, {high:.2f}]"
    if between.pairs == 1:
        return f"They differ: {shown}."
    return (
        f"{pairs} of their {between.pairs} pairs {'differs' if pairs == 1 else 'differ'} significantly in"
        f" {' or '.join(between.subjects)}, corrected over all pairs{': ' if pairs == 1 else '; most of all, '}{shown}."
    )


def _alike(between: _Differences, n_arms: int, margin: float) -> str:
    """That no two arms can be told apart, or that none differ by the margin."""
    if not between.subjects:
        return ""
    which, where = "The two" if n_arms == 2 else "No two of them", " or ".join(between.subjects)
    if between.n_needed is None:
        what = "do not differ" if n_arms == 2 else "differ"
        return f"{which} {what} by as much as {margin:g} in {where}."
    what = "cannot be told apart" if n_arms == 2 else "can be told apart"
    over = "" if between.pairs == 1 else f", corrected over all {between.pairs} pairs"
    return (
        f"{which} {what} in {where}: no difference is significant{over}. About {between.n_needed:,} questions may tell,"
        f" and there are {between.n:,}."
    )


def _open(arms: list[dict]) -> str:
    """How many questions may show whether an arm gains, where no arm is shown to."""
    may = [
        arm for arm in arms if arm["accuracy"]["word"] == UNKNOWN and arm["faithfulness"]["word"] not in (FELL, MIXED)
    ]
    needed = [(arm["accuracy"]["n_needed"], arm["accuracy"]["n"]) for arm in may if arm["accuracy"]["n_needed"]]
    if not needed:
        return ""
    n_needed, n = max(needed)
    whom = f"{_named([arm['arm'] for arm in may], len(arms))} {_verb('gain', may)}"
    return f"Whether {whom} accuracy is open: about {n_needed:,} questions may tell, and there are {n:,}."


def _named(names: list[str], n_arms: int) -> str:
    """`a, b and c`, `a, b, c and 2 others`, or that it is all of them."""
    if len(names) == n_arms:
        return "both" if n_arms == 2 else "all"
    if len(names) > _MOST_NAMES:
        names = [*names[: _MOST_NAMES - 1], f"{len(names) - _MOST_NAMES + 1} others"]
    return " and ".join([*filter(None, [", ".join(names[:-1])]), names[-1]])


def _verb(verb: str, names: list[str]) -> str:
    return verb if len(names) > 1 else f"{verb}s"
