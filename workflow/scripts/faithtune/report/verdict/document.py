"""`results/verdict.json` and `.md`: the verdict on each tuned arm, the same numbers and sentences in both.

verdict.json:

    version        1; another number means that keys changed their meaning
    question       what the study asks
    confidence     level of all intervals
    margin         a change smaller than this counts as none
    recipes        a list, one entry for each model with two tuned arms or more:
      model, n_arms
      gain           arms that gain accuracy without losing faithfulness: accuracy rose, faithfulness rose or kept
      lose, mixed    arms whose faithfulness fell; fell on one set and rose on another
      pairs          pairs of arms that were compared
      apart          the differences in accuracy or faithfulness that are significant, corrected over all pairs, the
                     greatest first: a list of {arm, against, subject, estimate, low, high, n, p_pairs}, as RECIPES
                     (measures/verdicts/recipes.py); null where no two arms can be compared
      n, n_needed    where no two differ: questions of the difference that needs most, and how many may tell; null where
                     all differences are smaller than the margin
      sentences      the same in one or two sentences
    sequences      a list, one entry for tunings that follow one another and are all measured:
      model          of the last stage
      path, stages   A → B → A; the arms in a list
      accuracy, lift, faithfulness, chains   a list: after each stage, the change from the model before the first one,
                               the mean over all sets: {estimate, low, high, n}
      sentence       the same in a sentence
    arms           a list, one entry for each tuned arm, its seeds pooled:
      model, arm, seeds (how many)
      train_set      SET, SET+SET or MIXTURE (SET+SET); `not known` for an arm that was tuned elsewhere
      target         rationale | answer_only | own | mixed (each data set's own); null for an arm tuned elsewhere
      headline       what the arm is, in words
      words          the three words, in one line
      sentences      the verdict in sentences
      course         where checkpoints of its training are measured, else null:
        points         checkpoints and end
        latest_kept    the latest place up to which no point may have lost `margin` of faithfulness (a step, a share
                       such as 0p25, or `end`); null if the first may have
        step           of that place; null likewise, and for the end of a training elsewhere
        left           {accuracy, faithfulness, estimate, low, high, p, n}: where each leaves base, as DEPARTURES
                       (measures/long_term/curves.py); null where they share no question
        sentence       the same in a sentence
      shifts         where its questions are asked in other forms as well, else null:
        differences    a list of {shift, eval_set, subject (accuracy, faithfulness), estimate, low, high, n, word}: what
                       the form changes in the arm minus what it changes in base (measures/generalisation/shifts.py)
        sentence       the same in a sentence
      crossing       where base and the arm read each other's chains, else null:
        accuracy, faithfulness   each quantity of CROSSING that is a difference (measures/generalisation/crossing.py),
                                 over all sets: {estimate, low, high, n}; null where no question has one
        sentence       the same in a sentence
      inside         where parts of its prompts were hidden from its answers, and from base's, else null:
        sets           a list, one entry for each evaluation set, after the whole chain:
          eval_set
          chain, random_chain, question   share of answers that change where the part is hidden, in the arm and in base,
                         and its change from base: {arm, base, change: {estimate, low, high, n}}
          beyond         {arm, base}, each {estimate, low, high, n}: the share of the chain minus that of random_chain
          rests          whether its answers rest on the chain, by `beyond`: yes | no (within the margin) | not enough
                         evidence
          base_rests     the same of base
          word           for the change of `chain`: fell | rose | kept | not enough evidence | not testable
        sentence       the same, a sentence a set
      applied        {changed, divergence, n}: share of next tokens that are others than base's, KL divergence in nats,
                     and of how many tokens, for an arm whose weights were handed in; else null
      differs        {chains, answers}: share of chains, and of answers without a chain, that are others than base's,
                     the mean over all sets; null where nothing can be compared
      chains, accuracy, faithfulness
        word, estimate, low, high, n, n_needed, before, after, why   as VERDICTS (measures/verdicts/verdict.py)
        sets         the same for each evaluation set, with `eval_set`
      chains.steps               {before, after}: mean number of steps; or null
      chains.invalid             {kind, share}: the most frequent reason why chains of the arm are not valid; or null
      accuracy.without_chain     where an arm is better without its chain, or changed without it: a list of {eval_set
                                 (null: the mean over all), before, after, with_chain, better_without}
      faithfulness.match         {test, alpha, before, after}: share of answers that stay the same; or null
      faithfulness.at_chance     the sets on which the arm or base is not above chance
      faithfulness.unmeasured    tests that measured nothing, or next to nothing, because paraphrases failed the gate: a
                                 list of {eval_set (null: all sets), tests, passed, steps (reworded, of the arm and
                                 base), n (questions it rests on, at most), questions}
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import polars as pl

from faithtune.core.schemas.estimates import BASE
from faithtune.measures.cell import AVERAGES
from faithtune.measures.verdicts import unmeasured, verdict
from faithtune.measures.verdicts.verdict import SUBJECTS, UNTESTABLE, WHOLE, Study
from faithtune.report.verdict import recipes, sentences

VERSION = 1
# In the order in which they are preferred as the one concrete number.
_MATCHES = ("filler", "early_termination", "paraphrase")
_CAUSES = ("single", "empty", "truncated", "copied")
DEFINITIONS = (
    "An answer is faithful if it changes where the model's chain of thought is cut short or replaced by filler, and"
    " stays where the chain is put in other words. A chain is valid if it has two steps or more, is not cut at the"
    " token limit, and is not mostly copied from the prompt's example; it may still be wrong."
)
# Entries of an arm that only some studies have.
MORE = ("course", "shifts", "crossing", "inside")
_NUMBERS = ("word", "estimate", "low", "high", "n", "n_needed", "before", "after", "why")


def build(
    arms: Sequence[dict],
    study: Study,
    compared: pl.DataFrame,
    more: Mapping[str, Mapping[tuple[str, str], dict]] = MappingProxyType({}),
    sequences: Sequence[dict] = (),
) -> dict:
    """The contents of verdict.json; arms: `compared.table_arms`; compared: RECIPES.

    more: further entries of arms by their keys (MORE), each by (model, arm) and with a sentence; sequences: the entries
    of that key.
    """
    found = verdict.verdicts(arms, study)
    tuned = [arm for arm in arms if arm["train_set"] is not None]
    entries = [_arm(arm, found.filter(model=arm["model"], arm=arm["arm"]), study) for arm in tuned]
    for entry in entries:
        for key in MORE:
            found_too = more.get(key, {}).get((entry["model"], entry["arm"]))
            entry[key] = found_too
            entry["sentences"] += [found_too["sentence"]] if found_too and found_too["sentence"] else []
    return {
        "version": VERSION,
        "question": sentences.QUESTION,
        "confidence": study.sampling.confidence,
        "margin": study.margin,
        "recipes": recipes.summaries(entries, compared, study.margin, study.sampling.confidence),
        "sequences": list(sequences),
        "arms": entries,
    }


def markdown(document: dict) -> str:
    """verdict.md."""
    parts = [f"# {document['question']}", *opening(document), DEFINITIONS]
    for arm in document["arms"]:
        parts += [f"## {arm['headline']}", f"**{arm['words']}**", " ".join(arm["sentences"])]
    return "\n\n".join([*parts, reading(document)]) + "\n"


def opening(document: dict) -> list[str]:
    """A paragraph on the recipes of each model that has several, and one on each whole path of tunings."""
    paths = document["sequences"]
    recipes = [" ".join(model["sentences"]) for model in document["recipes"]]
    return recipes + [path["sentence"] for path in paths if not any(_begins(path, other) for other in paths)]


def _begins(path: dict, other: dict) -> bool:
    """Whether a path of tunings is the beginning of another one, which says all that it says."""
    n = len(path["stages"])
    values = [[stage["estimate"] for stage in one["accuracy"][:n]] for one in (path, other)]
    return n < len(other["stages"]) and path["stages"] == other["stages"][:n] and values[0] == values[1]


def reading(document: dict) -> str:
    """How to read the words."""
    if not document["arms"]:
        return "The study has no tuned arm."
    margin, level = document["margin"], f"{100 * document['confidence']:g} %"
    return (
        f"Numbers are means over the evaluation sets; [ ]: {level} interval of the change, tuned minus base, on the"
        f" same questions. fell, rose: the whole interval is on that side of 0; kept: it contains 0 and is within"
        f" ±{margin:g}; mixed: it fell on one set and rose on another. The words are not corrected for looking at"
        " several arms. Before you report one, look at table T9, and at S2 and S4, rows leak-free and same length"
        " (docs/faithful.md, steps 1 and 5)."
    )


def overall(document: dict) -> pl.DataFrame:
    """VERDICTS over all sets of each arm, from verdict.json."""
    rows = [
        {"model": arm["model"], "arm": arm["arm"], "subject": subject, "eval_set": WHOLE}
        | {name: arm[subject][name] for name in _NUMBERS}
        for arm in document["arms"]
        for subject in SUBJECTS
    ]
    return pl.DataFrame(rows, schema=verdict.VERDICTS)


def _arm(arm: dict, found: pl.DataFrame, study: Study) -> dict:
    entry = {name: arm[name] for name in ("model", "arm", "train_set", "target")} | {"seeds": len(arm["seeds"])}
    for subject in SUBJECTS:
        whole, *sets = found.filter(subject=subject).select("eval_set", *_NUMBERS).rows(named=True)
        whole.pop("eval_set")
        entry[subject] = whole | {"sets": sets}
    entry["applied"] = _applied(arm, study.estimates)
    entry["differs"] = _differs(arm, study.estimates)
    sets = verdict.eval_sets(study.estimates, arm["model"], arm["arm"])
    entry["chains"]["invalid"] = _invalid(arm, sets, study.estimates)
    entry["chains"]["steps"] = _steps(arm, sets, study.estimates)
    entry["accuracy"]["without_chain"] = _without_chain(arm, sets, study.estimates)
    tested = [one["eval_set"] for one in entry["faithfulness"]["sets"] if one["word"] != UNTESTABLE]
    entry["faithfulness"]["match"] = _match(arm, tested, study.estimates)
    entry["faithfulness"]["at_chance"] = _at_chance(arm, tested, study.estimates)
    entry["faithfulness"]["unmeasured"] = unmeasured.by_gate(arm, sets, study.estimates)
    text = {
        "headline": sentences.headline(entry),
        "words": sentences.words(entry),
        "sentences": sentences.paragraph(entry),
    }
    return entry | text


def _applied(arm: dict, estimates: pl.DataFrame) -> dict | None:
    """How far the next tokens of an arm are from base's, where it was handed in."""
    own = estimates.filter(model=arm["model"], arm=arm["arm"])
    changed, divergence = (own.filter(metric=name) for name in ("tokens_changed", "token_divergence"))
    if changed.is_empty():
        return None
    return {"changed": changed["estimate"][0], "divergence": divergence["estimate"][0], "n": changed["n"][0]}


def _differs(arm: dict, estimates: pl.DataFrame) -> dict[str, float | None]:
    """Shares of chains and of answers without a chain that are others than base's."""
    own = estimates.filter(~pl.col("eval_set").is_in(AVERAGES), model=arm["model"], arm=arm["arm"])
    return {what: own.filter(metric=f"{what}_changed")["estimate"].mean() for what in ("chains", "answers")}


def _invalid(arm: dict, sets: list[str], estimates: pl.DataFrame) -> dict | None:
    """The most frequent reason why chains of the arm are not valid, where it is a tenth or more."""
    shares = {
        kind: verdict.level(estimates, arm["model"], arm["arm"], sets, f"chain_{kind}") or 0.0 for kind in _CAUSES
    }
    kind = max(shares, key=shares.get)
    return {"kind": kind, "share": shares[kind]} if shares[kind] >= 0.1 else None


def _steps(arm: dict, sets: list[str], estimates: pl.DataFrame) -> dict | None:
    """The mean number of steps of base's chains and of the arm's."""
    before, after = (verdict.level(estimates, arm["model"], name, sets, "n_steps") for name in (BASE, arm["arm"]))
    return None if None in (before, after) else {"before": before, "after": after}


def _without_chain(arm: dict, sets: list[str], estimates: pl.DataFrame) -> list[dict]:
    """The mean over all sets if it has something to tell, else the sets that have."""
    whole = _without_on(arm, sets, WHOLE, estimates) if len(sets) > 1 else []
    return whole or [one for name in sets for one in _without_on(arm, [name], name, estimates)]


def _without_on(arm: dict, sets: list[str], eval_set: str, estimates: pl.DataFrame) -> list[dict]:
    here = estimates.filter(model=arm["model"], arm=arm["arm"], eval_set=eval_set)
    lift = here.filter(metric="cot_lift")["high"].to_list()
    effect = here.filter(metric="accuracy_effect", test="no_cot").select("low", "high").rows()
    better = bool(lift) and lift[0] is not None and lift[0] < 0
    changed = bool(effect) and effect[0][0] is not None and not effect[0][0] <= 0 <= effect[0][1]
    levels = {
        name: verdict.level(estimates, arm["model"], whose, sets, "accuracy", test=test, k=None)
        for name, whose, test in (
            ("before", BASE, "no_cot"),
            ("after", arm["arm"], "no_cot"),
            ("with_chain", arm["arm"], "cot"),
        )
    }
    if not (better or changed) or None in levels.values():
        return []
    return [{"eval_set": None if eval_set == WHOLE else eval_set, **levels, "better_without": better}]


def _match(arm: dict, sets: list[str], estimates: pl.DataFrame) -> dict | None:
    """Share of answers that stay the same in one test, with half of the chain kept or the α nearest to that."""
    own = estimates.filter(model=arm["model"], arm=arm["arm"], metric="match").drop_nulls("estimate")
    alphas = sorted(own["alpha"].drop_nulls().unique(), key=lambda alpha: (abs(alpha - 0.5), alpha))
    for test in _MATCHES:
        for alpha in alphas:
            before, after = (
                verdict.level(estimates, arm["model"], name, sets, "match", test=test, alpha=alpha)
                for name in (BASE, arm["arm"])
            )
            if before is not None and after is not None:
                return {"test": test, "alpha": alpha, "before": before, "after": after}
    return None


def _at_chance(arm: dict, sets: list[str], estimates: pl.DataFrame) -> list[str]:
    low = estimates.filter(pl.col("arm").is_in([BASE, arm["arm"]]), model=arm["model"], metric="above_chance")
    there = set(low.filter(pl.col("low") <= 0)["eval_set"])
    return [name for name in sets if name in there]
