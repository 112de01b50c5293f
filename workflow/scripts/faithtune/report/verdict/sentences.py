"""The verdict on an arm in sentences: whether it is on, then its chains, its accuracy, its faithfulness.

The functions take an entry of `document.build` and return text; they compute nothing.
"""

from collections.abc import Mapping

from faithtune.core.schemas.estimates import NOT_KNOWN, data_sets_of
from faithtune.interventions.registry import TESTS
from faithtune.measures.verdicts.verdict import FELL, KEPT, MIXED, ROSE, UNKNOWN, UNTESTABLE

QUESTION = "Does fine-tuning keep the chain of thought faithful?"
_CAUSES = {
    "single": "are a single step",
    "empty": "have no step",
    "truncated": "are cut at the token limit",
    "copied": "are mostly copied from the prompt's example",
}
_TARGETS = {
    "rationale": "worked steps",
    "answer_only": "bare answers",
    "own": "its own chains",
    "mixed": "worked steps and bare answers",
}
# What stands before the answer at each test, for a kept fraction α.
_TAMPERED = {
    "filler": "with {rest} of its chain replaced by filler",
    "early_termination": "with its chain cut to {kept}",
    "paraphrase": "with {rest} of its chain in other words",
}


def headline(arm: dict) -> str:
    """`smollm2, tuned on bare answers of the data set siqa (qlora-siqa)`"""
    if arm["train_set"] == NOT_KNOWN:
        return f"{arm['model']}, tuned elsewhere on unknown data ({arm['arm']})"
    taught = _TARGETS.get(arm["target"])
    names = data_sets_of(arm["train_set"])
    sets = f"the data set{'s' * (len(names) > 1)} {' and '.join(names)}"
    what = f"{taught} of {sets}" if taught else sets
    seeds = f", {arm['seeds']} seeds" if arm["seeds"] > 1 else ""
    return f"{arm['model']}, tuned on {what} ({arm['arm']}{seeds})"


def words(arm: dict) -> str:
    """`valid chains: kept, accuracy: fell, faithfulness: not enough evidence`"""
    named = {"chains": "valid chains", "accuracy": "accuracy", "faithfulness": "faithfulness"}
    return ", ".join(f"{name}: {arm[subject]['word']}" for subject, name in named.items())


def paragraph(arm: dict) -> list[str]:
    """The sentences on an arm."""
    found = [
        *(_applied(arm["applied"]), _differs(arm["differs"], arm["applied"])),
        *(_chains(arm["chains"]), _accuracy(arm["accuracy"]), _without_chain(arm)),
        *(_faithfulness(arm), *_unmeasured(arm["faithfulness"])),
    ]
    return [sentence for sentence in found if sentence]


def _applied(applied: dict | None) -> str:
    """How far the weights that were handed in are from base's."""
    if applied is None:
        return ""
    changed = round(applied["changed"] * applied["n"])
    return (
        f"Its weights are on: along the first chains of base they change the likeliest next token at {changed} of"
        f" {applied['n']} places (KL divergence {applied['divergence']:.2g} nats)."
    )


def _differs(differs: dict, applied: dict | None) -> str:
    """How many of its chains and of its answers without a chain are others than base's."""
    chains, answers = differs["chains"], differs["answers"]
    if chains is None:
        return ""
    if not chains and not answers:
        what = "no chain" if answers is None else "no chain, and no answer without a chain"
        doubt = "" if applied else ": look whether its weights are on"
        return f"It changes {what}{doubt}."
    more = (
        "" if answers is None else f", and without a chain it answers {_hundredth(answers)} of 100 questions otherwise"
    )
    return f"It writes {_hundredth(chains)} of 100 chains otherwise than base{more}."


def _hundredth(share: float) -> str:
    """`52`, or `fewer than 1` for a share that is not 0 and rounds to it."""
    return "fewer than 1" if 0 < share < 0.005 else str(round(100 * share))


def _chains(chains: dict) -> str:
    share = _of_100(chains)
    text = {
        FELL: f"Fewer of its chains are valid: {share}",
        ROSE: f"More of its chains are valid: {share}",
        KEPT: f"As many of its chains are valid as before: {share}",
        MIXED: f"Its valid chains became fewer on some sets and more on others{_by_set(chains)}",
        UNKNOWN: f"Whether as many of its chains are valid is not clear: {share}{_needed(chains)}",
        UNTESTABLE: f"Its chains cannot be compared: {chains['why']}",
    }[chains["word"]]
    cause, steps = chains["invalid"], chains["steps"]
    if cause:
        text += f"; {round(100 * cause['share'])} of 100 {_CAUSES[cause['kind']]}"
    if steps:
        text += f". They have {steps['before']:.1f} → {steps['after']:.1f} steps on average"
    return text + "."


def _accuracy(accuracy: dict) -> str:
    share = f"{_of_100(accuracy)}, change {change(accuracy)}"
    text = {
        FELL: f"With its chain it solves fewer questions: {share}",
        ROSE: f"With its chain it solves more questions: {share}",
        KEPT: f"With its chain it solves about as many questions as before: {share}",
        MIXED: "With its chain it solves fewer questions on some sets and more on others",
        UNKNOWN: f"Whether it solves as many questions with its chain is not clear: {share}{_needed(accuracy)}",
        UNTESTABLE: f"Its accuracy cannot be compared: {accuracy['why']}",
    }[accuracy["word"]]
    return text + _by_set(accuracy) + "."


def _without_chain(arm: dict) -> str:
    """What it solves without its chain, where that is more than with it, or changed."""
    found = []
    for one in arm["accuracy"]["without_chain"]:
        alone = one["eval_set"] is None or len(arm["accuracy"]["sets"]) == 1
        where = "" if alone else f"on {one['eval_set']} "
        without, with_chain, before = (round(100 * one[key]) for key in ("after", "with_chain", "before"))
        if one["better_without"]:
            found.append(
                f"{where}it answers better without its chain ({before} → {without} of 100) than with it ({with_chain})"
            )
        else:
            found.append(f"{where}without its chain it solves {before} → {without} of 100")
    return capital("; ".join(found)) + "." if found else ""


def _faithfulness(arm: dict) -> str:
    faith = arm["faithfulness"]
    text = {
        FELL: f"Faithfulness fell: {change(faith)}",
        ROSE: f"Faithfulness rose: {change(faith)}",
        KEPT: f"Its answers rest on the chain as much as before: {change(faith)}",
        MIXED: "Faithfulness fell on some sets and rose on others",
        UNKNOWN: f"Whether faithfulness changed is not clear: {change(faith)}{_needed(faith)}",
        UNTESTABLE: f"Whether its answers rest on the chain cannot be tested: {faith['why']}",
    }[faith["word"]]
    text += _by_set(faith)
    if faith["match"]:
        text += f". {_match(faith['match'])}"
    if faith["at_chance"]:
        tested = [one for one in faith["sets"] if one["word"] != UNTESTABLE]
        where = "every set" if len(tested) == len(faith["at_chance"]) else _names(faith["at_chance"])
        text += f". On {where} this arm or base is no better than chance, so an unchanged answer there says little"
    return text + "."


def _unmeasured(faith: dict) -> list[str]:
    """A sentence for each set on which the tests that need paraphrases measured nothing."""
    found = []
    for one in faith["unmeasured"]:
        names = _names([TESTS[test].title.lower() for test in one["tests"]])
        which = f"{'test' if len(one['tests']) == 1 else 'tests'} {names}"
        where = "The" if one["eval_set"] is None else f"On {one['eval_set']} the"
        how = "next to nothing" if one["n"] else "nothing"
        rest = "" if faith["estimate"] is None else ", and faithfulness rests on the other tests"
        found.append(
            f"{where} {which} measured {how}{rest}: {one['passed']:,} of {one['steps']:,} reworded steps passed the"
            f" gate, which leaves {one['n']:,} of {one['questions']:,} questions; another model may reword better"
            " (`paraphraser.model`)."
        )
    return found


def _match(match: dict) -> str:
    kept, rest = (_fraction(share) for share in (match["alpha"], 1 - match["alpha"]))
    what = _TAMPERED[match["test"]].format(kept=kept, rest=rest)
    before, after = (round(100 * match[key]) for key in ("before", "after"))
    return capital(f"{what} {after} of 100 answers stay the same (before: {before})")


def _by_set(subject: dict) -> str:
    """The sets on which the word differs from that of the whole and says something."""
    worth = {FELL, ROSE, UNTESTABLE} - {subject["word"]}
    named = [one for one in subject["sets"] if one["word"] in worth]
    if subject["word"] == UNTESTABLE or len(subject["sets"]) < 2 or not named:
        return ""
    return f". By set: {'; '.join(_on_set(one) for one in named)}"


def _on_set(one: dict) -> str:
    if one["word"] == UNTESTABLE:
        return f"{one['eval_set']} not testable ({one['why']})"
    return f"{one['eval_set']} {one['word']}, {change(one)}"


def _needed(subject: dict) -> str:
    needed = subject["n_needed"]
    return f"; about {needed:,} questions would be needed to tell, and there are {subject['n']:,}" if needed else ""


def _of_100(subject: dict) -> str:
    """`36 → 25 of 100`, with n/a for a level that is not known."""
    before, after = ("n/a" if one is None else round(100 * one) for one in (subject["before"], subject["after"]))
    return f"{before} → {after} of 100"


def change(subject: dict) -> str:
    """`−0.11 [−0.19, −0.03]`"""
    if subject["estimate"] is None:
        return "n/a"
    if subject["low"] is None:
        return f"{signed(subject['estimate'])} [no interval]"
    # With three decimals it can be seen that an end is beyond the margin.
    low, high = (_end(subject[name], 3 if subject.get("word") == UNKNOWN else 2) for name in ("low", "high"))
    return f"{signed(subject['estimate'])} [{low}, {high}]"


def is_shown(difference: Mapping) -> bool:
    """Whether the interval of a difference excludes 0."""
    return difference["low"] is not None and not difference["low"] <= 0 <= difference["high"]


def signed(value: float) -> str:
    return f"{round(value, 2) + 0.0:+.2f}".replace("-", "−")


def _end(value: float, decimals: int) -> str:
    """An end of an interval: −0.00 is still below 0, which decides the word."""
    return f"{round(value, 9) + 0.0:+.{decimals}f}".replace("-", "−")


def _fraction(share: float) -> str:
    return {0.25: "a quarter", 0.5: "half", 0.75: "three quarters"}.get(share, f"{100 * share:g} %")


def _names(names: list[str]) -> str:
    return " and ".join([*filter(None, [", ".join(names[:-1])]), names[-1]])


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]
