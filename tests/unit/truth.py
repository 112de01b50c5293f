"""What an oracle's estimates must come to, in closed form.

In the formulas: m options (infinite for numbers), o = 1 / (m - 1), rates of
settings.backend.Behaviour: accuracy a, faithful f, format_breaks q, noise r, collapse c,
truncated t, leaks l (of the chains not empty); N the length of a chain.

    same      two answers of one intent agree: neither is noise, or both are the same noise:
              (1 - r)^2 + r^2 o
    differ    two answers of two intents agree: the noise of one or both hits. All options but one's own being
              alike, that is (1 - same) o
    seen      a chain tampered with still states the answer: l k / N with k steps kept, one more if mistaken (a
              mistake leaves what the step states, but what is written after it states what it leads to)
    cut       an answer agrees with the full chain's where steps are missing, replaced or mistaken, nothing stating it:
              f differ + (1 - f) same, else `same`; where steps are in other words, it agrees at the rate `same`
    unleaked  of a chain that states its answer in step j, and where the full chain's answer is that and no noise, j - 1
              steps are read, none of which states it: a post-hoc answer agrees at the rate 1 - r, another by noise, r o
    bare      an answer is intended right without a chain, or with filler in its place: a post-hoc one, and one whose
              chain is empty anyway, as often as with it; a faithful one only by accident, where its own is wrong:
              (1 - f (1 - c)) a + f (1 - c) (1 - a) o
    hit(p)    an answer is right that was intended right at rate p: p (1 - r) + (1 - p) r o
    disguised an answer without the chain agrees with one after it. Where there are both the chain was finished:
              of these f (1 - c) (1 - t) / (1 - t (1 - c)) follow it and agree at the rate `differ`, others at `same`
    area      over a curve of `match` at each k, and 1 at its untouched end: the trapezoid's ends count half
    parsed    all that is asked: 1 without a chain, 1 with it, N + 1 of each test where the chain is finished and not
              empty, the sweep. Of that only the answers after a chain that was cut are missing besides the broken ones

The chains must not mention the answer they lead to (oracles.made_up), and the questions be so many that one of
them has the longest chain.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from itertools import accumulate, product

from faithtune.interventions.registry import BY_STEPS, SWEEP, direction
from faithtune.measures.alpha import steps_kept
from faithtune.measures.metrics import commitment
from faithtune.models.oracle import BROKEN_MASS, SURE
from faithtune.settings.backend import Behaviour

# Estimates without a truth to recover.
UNCHECKED = {
    "chance": "a property of the questions, without an interval",
    "tokens_changed": "a property of weights, which an oracle lacks (tests/unit/tuning/test_handed.py)",
    "token_divergence": "likewise",
    "chains_changed": "a comparison of texts with base's (tests/unit/measures/test_estimates.py)",
    "answers_changed": "likewise",
    "answers_shift": "likewise",
    # Read off the probabilities of answers, which take two values in an oracle.
    **dict.fromkeys((metric.name for metric in commitment.METRICS), "worked by hand in test_commitment.py"),
}

WORDS = 7  # of "Step 1: Add 3 to the count."
SWEEP_STEP = 5  # tokens
KEPT_FIRST = tuple(test for test in BY_STEPS if test != "prefix_paraphrase")
REWRITTEN = ("paraphrase", "mistake", "prefix_paraphrase")
FLOORED = ("early_termination", "filler", "mistake")
LEAKING = ("early_termination", "filler")

Key = tuple[str, str | None, float | None, int | None]  # metric, test, alpha, k


class Truth:
    """Of an oracle on questions of m options (0: numbers), its chains of 2 steps or more.

    `limit` is the most tokens a chain may have.
    """

    def __init__(self, behaviour: dict, options: int, limit: int = 96):
        self.how = how = Behaviour(**behaviour)
        self.options, self.limit = options, limit
        self.other = 1 / ((options or math.inf) - 1)
        self.lengths = range(how.steps[0], how.steps[1] + 1)
        self.same = (1 - how.noise) ** 2 + how.noise**2 * self.other
        self.differ = (1 - self.same) * self.other
        self.answered = 1 - how.format_breaks
        self.finished = 1 - how.truncated * (1 - how.collapse)
        # A broken number has no probability of its own; letters keep theirs, however unlikely all together.
        self.told = 1.0 if options else self.answered

    def hit(self, intended: float) -> float:
        """Rate of right answers, of those answered."""
        return intended * (1 - self.how.noise) + (1 - intended) * self.how.noise * self.other

    @property
    def bare(self) -> float:
        """Rate of answers without a chain that are intended right."""
        followed = self.how.faithful * (1 - self.how.collapse)
        return (1 - followed) * self.how.accuracy + followed * (1 - self.how.accuracy) * self.other

    def tampered(self, test: str, k: int, n_steps: int) -> float:
        """Match of those answered after a chain of so many steps that was tampered with at k."""
        if direction(test) > 0:
            return self.same
        unled = self.how.faithful * (1 - self.how.leaks * stating(test, k) / n_steps)
        return unled * self.differ + (1 - unled) * self.same

    def at(self, test: str, alpha: float, n_steps: int) -> tuple[float, float]:
        """Rate of answers and match of those answered, at an alpha of a chain of so many steps."""
        if untouched(test, alpha, n_steps):
            return 1.0, 1.0
        return self.answered, self.tampered(test, steps_kept(alpha, n_steps), n_steps)

    def unleaked(self, test: str, alpha: float) -> float:
        """Match at an alpha of the steps before the one that states the full chain's answer."""
        how, answered, agreed = self.how, 0.0, 0.0
        noise = how.noise * self.other
        for n in self.lengths:
            told = how.leaks * (1 - how.noise) * (n - 1) / n  # not in its first step: then none is left
            before = how.faithful * noise + (1 - how.faithful) * (1 - how.noise)
            parts = [(told, self.answered, before)]
            if not untouched(test, alpha, n):
                unstated = how.faithful * self.differ + (1 - how.faithful) * self.same
                parts.append((1 - how.leaks, self.answered, unstated))
                # The chain states another answer than it was given: it agrees by noise, or by a wrong count.
                unled = how.faithful * (1 - stating(test, steps_kept(alpha, n)) / n)
                count = self.other * (1 - how.noise) + (1 - self.other) * noise
                parts.append((how.leaks * how.noise, self.answered, unled * count + (1 - unled) * noise))
            answered += sum(weight * there for weight, there, _ in parts)
            agreed += sum(math.prod(part) for part in parts)
        return agreed / answered

    def soft(self, match: float) -> float:
        """Mean probability of the full-chain answer where answers, broken or not, agree with it at rate `match`."""
        return match * SURE + (1 - match) * (1 - SURE) * (self.other if self.options else 1)

    def over_lengths(self, value: Callable[[int], float]) -> float:
        """Mean over the lengths of chains, which are all alike."""
        return sum(map(value, self.lengths)) / len(self.lengths)

    def touched(self, test: str, alpha: float) -> list[int]:
        """The lengths at which something is tampered with at an alpha; the answers after these are all alike."""
        return [n for n in self.lengths if not untouched(test, alpha, n)]

    def area(self, test: str) -> float:
        """Area over the curve."""

        def over(n: int) -> float:
            match = [self.tampered(test, k, n) for k in range(n)]
            return 1 - (sum(match) - match[0] / 2 + 0.5) / n

        return self.over_lengths(over)

    def alpha_star(self, test: str) -> dict[Fraction, float]:
        """Of each α* its probability, of the chains whose α* hangs on no missing answer."""
        found = dict.fromkeys(sorted({Fraction(k, n) for n in self.lengths for k in range(n + 1)}), 0.0)
        for n, (weight, agrees, led) in product(self.lengths, self._agreeing(test)):
            for common, first in self._stated(test, n):
                rates = [agrees if k < first else led for k in range(n)]
                after = weight * common  # all behind k answered and alike
                for k in reversed(range(n)):
                    found[Fraction(k + 1, n)] += after * self.answered * (1 - rates[k])
                    after *= self.answered * rates[k]
                found[Fraction(0)] += after
        known = sum(found.values())
        return {value: p / known for value, p in found.items()}

    def _stated(self, test: str, n: int) -> list[tuple[float, int]]:
        """Kinds of chains of n steps: how common, and the least k at which they state the answer."""
        leaks = self.how.leaks
        first = [min(k for k in range(n + 1) if stating(test, k) > place) for place in range(n)]
        return [(1 - leaks, n), *((leaks / n, k) for k in first)]

    def _agreeing(self, test: str) -> list[tuple[float, float, float]]:
        """Kinds of chains: how common, and at what rate each answer at k < N is the full chain's, one like another.

        That rate before and after the chain states its answer.
        """
        noise, o = self.how.noise, self.other
        faithful = self.how.faithful if direction(test) < 0 else 0.0
        # By the full chain's answer: its own, or noise.
        own, other = 1 - noise, noise * o
        kinds = [((1 - faithful) * (1 - noise), own, own), ((1 - faithful) * noise, other, other)]
        kinds.append((faithful * (1 - noise), other, own))
        if test == "mistake":  # each mistake adds one to the count: they all lead to one other answer
            return [*kinds, (faithful * noise * o, own, other), (faithful * noise * (1 - o), other, other)]
        return [*kinds, (faithful * noise, o * own + (1 - o) * other, other)]

    def own(self, alphas: list[float]) -> dict[Key, float]:
        """The arm's own estimates."""
        found = self._accuracy() | self._diagnostics() | self._controls()
        for alpha in alphas:
            for test in BY_STEPS:
                found |= {(metric, test, alpha): value for metric, value in self._match(test, alpha).items()}
            found |= {("unavailable", test, alpha): 0.0 for test in REWRITTEN}
            found["kept_whole", None, alpha] = self.over_lengths(lambda n, a=alpha: steps_kept(a, n) == n)
        swept = range(0, WORDS * self.lengths[-1] + 1, SWEEP_STEP)
        accuracy = self.answered * self.hit(self.bare)
        values = {
            "accuracy": accuracy,
            "accuracy_if_unanswered_wrong": accuracy,
            "accuracy_if_unanswered_right": accuracy + self.how.format_breaks,
        }
        asked = dict.fromkeys(("no_cot", "cot"), 1.0) | {SWEEP: len(swept)}
        whole = self.finished - self.how.collapse
        asked |= {test: whole * (1 + self.over_lengths(float)) for test in BY_STEPS}
        rates = dict.fromkeys(asked, self.answered) | {"cot": self.finished * self.answered}
        parsed = sum(asked[test] * rates[test] for test in asked) / sum(asked.values())
        found |= {("parse_rate", test, None): rate for test, rate in (rates | {None: parsed}).items()}
        return {(*key, None): value for key, value in found.items()} | {
            (metric, SWEEP, None, k): value for metric, value in values.items() for k in swept
        }

    def _accuracy(self) -> dict[tuple, float]:
        with_chain, without = self.hit(self.how.accuracy), self.hit(self.bare)
        # What the lenient extractor reads besides: the likeliest letter. "unclear" says nothing to it.
        kinds = {
            "no_cot": (1.0, without, self.told),
            "cot": (self.finished, with_chain, self.told),
            "free": (self.finished, with_chain, self.answered),
        }
        found = {}
        for test, (finished, right, told) in kinds.items():
            found["accuracy", test, None] = finished * self.answered * right
            found["accuracy_if_unanswered_wrong", test, None] = found["accuracy", test, None]
            missing = 1 - finished * self.answered
            found["accuracy_if_unanswered_right", test, None] = found["accuracy", test, None] + missing
            found["accuracy_answered", test, None] = right
            found["accuracy_lenient", test, None] = finished * told * right
        found["cot_lift", "cot", None] = found["accuracy", "cot", None] - found["accuracy", "no_cot", None]
        chance = 1 / self.options if self.options else 0.0
        found["above_chance", "cot", None] = found["accuracy", "cot", None] - chance
        return found

    def _match(self, test: str, alpha: float) -> dict[str, float]:
        answered = self.over_lengths(lambda n: self.at(test, alpha, n)[0])
        published = self.over_lengths(lambda n: math.prod(self.at(test, alpha, n))) / answered
        touched = self.touched(test, alpha)
        match = sum(self.at(test, alpha, n)[1] for n in touched) / len(touched)
        values = {
            "match": match,
            "match_published": published,
            "faithfulness": match if direction(test) > 0 else 1 - match,
            "match_if_unanswered_match": self.answered * match + 1 - self.answered,
            "match_if_unanswered_differ": self.answered * match,
            "match_lenient": match,
            "match_soft": self.soft(self.told * match),
        }
        if test in LEAKING:
            values["match_leak_free"] = self.unleaked(test, alpha)
        if test in FLOORED:  # of those answered after both
            sides = {n: (self.at(test, alpha, n), self.at("paraphrase", alpha, n)) for n in touched}
            both = {n: own[0] * reworded[0] for n, (own, reworded) in sides.items()}
            match, floor = (sum(both[n] * sides[n][i][1] for n in both) for i in (0, 1))
            values["change_floored"] = 1 - match / floor
        return values

    def _diagnostics(self) -> dict[tuple, float]:
        how, cut = self.how, 1 - self.finished
        n = self.over_lengths(lambda n: n)
        words = (1 - how.collapse - cut) * (WORDS * n + how.leaks + 1) + how.collapse * 3 + cut * self.limit
        values = {
            "chain_answered": self.finished * self.answered,
            "chain_unanswered": self.finished * how.format_breaks,
            "chain_refused": 0.0,
            "chain_ambiguous": 0.0,
            "chain_truncated": cut,
            "chain_valid": 1 - how.collapse - cut,  # those of two steps or more
            "chain_copied": 0.0,
            "chain_empty": how.collapse,
            "chain_single": 0.0,
            "steps_copied": 0.0,
            "n_steps": (1 - how.collapse) * n,
            "n_tokens": words,
            "free_agreement": self.same,
        }
        if self.options:
            values["option_mass"] = self.answered + how.format_breaks * BROKEN_MASS
        return {(metric, None, None): value for metric, value in values.items()} | {
            ("paraphrase_pass", "paraphrase", None): 1.0,
            ("mistake_pass", "mistake", None): 1.0,
            ("mistake_by_rule", "mistake", None): 0.0,
        }

    def _controls(self) -> dict[tuple, float]:
        resting = self.how.faithful * (self.finished - self.how.collapse) / self.finished
        disguised = resting * self.differ + (1 - resting) * self.same
        found = {("again_match", None, None): self.same, ("disguised", None, None): disguised}
        if self.options:
            found["again_shift", None, None] = (1 - self.same) * (SURE - (1 - SURE) * self.other)
            found["shuffle_match", "no_cot", None] = self.same
            found["disguised_normalised", None, None] = disguised / self.same
        for test in BY_STEPS:
            found["aoc", test, None] = self.area(test)
        for test in KEPT_FIRST:
            found["match_k0", test, None] = self.over_lengths(lambda n, test=test: self.tampered(test, 0, n))
            stars = self.alpha_star(test)
            found["alpha_star", test, None] = float(sum(value * p for value, p in stars.items()))
            below = zip(stars, accumulate(stars.values()), strict=True)
            found["alpha_star_median", test, None] = float(next(value for value, share in below if share >= 0.5))
        return found


def stating(test: str, k: int) -> int:
    """How many of the first steps still state what they did."""
    return k + (test == "mistake")


def untouched(test: str, alpha: float, n_steps: int) -> bool:
    """Whether nothing is tampered with at an alpha, so that the prompt is the full chain's."""
    return steps_kept(alpha, n_steps) == (0 if test == "prefix_paraphrase" else n_steps)


def effects(base: Truth, tuned: Truth, alphas: list[float]) -> dict[Key, float]:
    """The effects between arms of other seeds: their draws are independent."""
    before, after = base.own(alphas), tuned.own(alphas)

    def change(metric: str, *where: object, less: str | None = None) -> float:
        return after[metric, *where, None] - before[less or metric, *where, None]

    found = {}
    for test in ("cot", "no_cot", "free"):
        found["accuracy_effect", test, None] = change("accuracy", test, None)
        found["accuracy_effect_lenient", test, None] = change("accuracy_lenient", test, None)
        right, wrong = "accuracy_if_unanswered_right", "accuracy_if_unanswered_wrong"
        found["accuracy_effect_least", test, None] = change(wrong, test, None, less=right)
        found["accuracy_effect_most", test, None] = change(right, test, None, less=wrong)
    found["chain_valid_effect", None, None] = change("chain_valid", None, None)
    most, least = "match_if_unanswered_match", "match_if_unanswered_differ"
    for test, alpha in product(BY_STEPS, alphas):
        kinds = ("", "_published", "_soft", "_lenient", *(["_leak_free"] if test in LEAKING else []))
        found |= {(f"match_effect{kind}", test, alpha): change(f"match{kind}", test, alpha) for kind in kinds}
        found["match_effect_least", test, alpha] = change(least, test, alpha, less=most)
        found["match_effect_most", test, alpha] = change(most, test, alpha, less=least)
        found["match_effect_same_length", test, alpha] = _same_length(base, tuned, test, alpha)
    for test in BY_STEPS:
        found["match_effect", test, None] = _overall(base, tuned, test, alphas)
        found["match_effect_published", test, None] = _overall(base, tuned, test, alphas, published=True)
    faithful = {
        ("faithfulness_effect", test, alpha): direction(test) * value
        for (metric, test, alpha), value in found.items()
        if metric == "match_effect"
    }
    return {(*key, None): value for key, value in (found | faithful).items()}


def _same_length(base: Truth, tuned: Truth, test: str, alpha: float) -> float:
    """Mean change of the match where both chains have one length and both are answered."""
    both = set(base.touched(test, alpha)) & set(tuned.touched(test, alpha))
    pairs = [(base.at(test, alpha, n), tuned.at(test, alpha, n)) for n in both]
    weights = [before[0] * after[0] for before, after in pairs]
    changes = [after[1] - before[1] for before, after in pairs]
    return sum(map(math.prod, zip(weights, changes, strict=True))) / sum(weights)


def _overall(base: Truth, tuned: Truth, test: str, alphas: list[float], published: bool = False) -> float:
    """Each question's mean over the alphas at which both arms answered, over those with any.

    Of alphas that keep the same k in both arms one counts, and none that leaves a chain untouched; published: all.
    Exact where alphas that count keep different k of every chain; each is answered or not by itself.
    """
    total = weight = 0.0
    for pair in product(base.lengths, tuned.lengths):
        counted = {
            alpha if published else tuple(steps_kept(alpha, n) for n in pair): alpha
            for alpha in reversed(alphas)
            if published or not any(untouched(test, alpha, n) for n in pair)
        }
        sides = [(base.at(test, alpha, pair[0]), tuned.at(test, alpha, pair[1])) for alpha in counted.values()]
        for answered in product((True, False), repeat=len(sides)):
            p = math.prod(
                before[0] * after[0] if yes else 1 - before[0] * after[0]
                for (before, after), yes in zip(sides, answered, strict=True)
            )
            changes = [after[1] - before[1] for (before, after), yes in zip(sides, answered, strict=True) if yes]
            if changes:
                total, weight = total + p * sum(changes) / len(changes), weight + p
    return total / weight
