"""What an oracle's estimates must come to, in closed form.

In the formulas: m options (infinite for numbers), o = 1 / (m - 1), rates of
oracle.Behaviour: accuracy a, faithful f, format_breaks q, noise r, collapse c,
truncated t (of the chains not empty); N the length of a chain.

    same      two answers of one intent agree: neither is noise, or both are the same noise:
              (1 - r)^2 + r^2 o
    differ    two answers of two intents agree: the noise of one or both hits. All options but one's own being
              alike, that is (1 - same) o
    cut       an answer agrees with the full chain's where steps are missing, replaced or mistaken:
              f differ + (1 - f) same; where steps are in other words, it agrees at the rate `same`
    bare      an answer is intended right without a chain: a post-hoc one, and one whose chain is empty anyway, as often
              as with it; a faithful one only by accident, where its own is wrong:
              (1 - f (1 - c)) a + f (1 - c) (1 - a) o
    hit(p)    an answer is right that was intended right at rate p: p (1 - r) + (1 - p) r o
"""

import math
from collections.abc import Callable
from itertools import product

from faithtune.interventions import TESTS
from faithtune.measures import direction, kept
from faithtune.oracle import BROKEN_MASS, SURE, Behaviour

# Estimates without a truth to recover.
UNCHECKED = {
    "chance": "a property of the questions, without an interval",
    "accuracy_effect_p": "a p, without an interval",
}


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
        self.cut = how.faithful * self.differ + (1 - how.faithful) * self.same
        self.answered = 1 - how.format_breaks
        self.finished = 1 - how.truncated * (1 - how.collapse)

    def hit(self, intended: float) -> float:
        """Rate of right answers, of those answered."""
        return intended * (1 - self.how.noise) + (1 - intended) * self.how.noise * self.other

    @property
    def bare(self) -> float:
        """Rate of answers without a chain that are intended right."""
        followed = self.how.faithful * (1 - self.how.collapse)
        return (1 - followed) * self.how.accuracy + followed * (1 - self.how.accuracy) * self.other

    def tampered(self, test: str) -> float:
        """Match of those answered after a chain that was tampered with."""
        return self.same if direction(test) > 0 else self.cut

    def at(self, test: str, alpha: float, n_steps: int) -> tuple[float, float]:
        """Rate of answers and match of those answered, at an alpha of a chain of so many steps."""
        return (1.0, 1.0) if untouched(test, alpha, n_steps) else (self.answered, self.tampered(test))

    def soft(self, match: float) -> float:
        """Mean probability of the full-chain answer where answers, broken or not, agree with it at rate `match`."""
        return match * SURE + (1 - match) * (1 - SURE) * (self.other if self.options else 1)

    def over_lengths(self, value: Callable[[int], float]) -> float:
        """Mean over the lengths of chains, which are all alike."""
        return sum(map(value, self.lengths)) / len(self.lengths)

    def own(self, alphas: list[float]) -> dict[tuple, float]:
        """(metric, test, alpha) of the arm's own estimates."""
        return (
            self._accuracy()
            | self._diagnostics()
            | {key: value for test in TESTS for alpha in alphas for key, value in self._match(test, alpha).items()}
            | {("kept_whole", None, alpha): self.over_lengths(lambda n, a=alpha: kept(a, n) == n) for alpha in alphas}
            | {("unavailable", "paraphrase", alpha): 0.0 for alpha in alphas}
        )

    def _accuracy(self) -> dict[tuple, float]:
        with_chain, without = self.hit(self.how.accuracy), self.hit(self.bare)
        accuracy = {"cot": self.finished * self.answered * with_chain, "no_cot": self.answered * without}
        return {
            ("accuracy", "cot", None): accuracy["cot"],
            ("accuracy", "no_cot", None): accuracy["no_cot"],
            ("accuracy_answered", "cot", None): with_chain,
            ("accuracy_answered", "no_cot", None): without,
            ("cot_lift", "cot", None): accuracy["cot"] - accuracy["no_cot"],
        }

    def _match(self, test: str, alpha: float) -> dict[tuple, float]:
        answered = self.over_lengths(lambda n: self.at(test, alpha, n)[0])
        agreed = self.over_lengths(lambda n: math.prod(self.at(test, alpha, n)))
        match = agreed / answered
        # A broken number has no probability of its own; letters keep theirs, however unlikely all together.
        weight = 1.0 if self.options else self.answered
        soft = self.over_lengths(
            lambda n: SURE if untouched(test, alpha, n) else self.soft(weight * self.tampered(test))
        )
        values = {
            "match": match,
            "faithfulness": match if direction(test) > 0 else 1 - match,
            "match_if_unanswered_match": agreed + 1 - answered,
            "match_if_unanswered_differ": agreed,
            "match_soft": soft,
        }
        return {(metric, test, alpha): value for metric, value in values.items()}

    def _diagnostics(self) -> dict[tuple, float]:
        how, cut = self.how, 1 - self.finished
        n = self.over_lengths(lambda n: n)
        words = (1 - how.collapse - cut) * (7 * n + 1) + how.collapse * 3 + cut * self.limit
        values = {
            "chain_answered": self.finished * self.answered,
            "chain_unanswered": self.finished * how.format_breaks,
            "chain_truncated": cut,
            "chain_empty": how.collapse,
            "chain_single": 0.0,
            "steps_copied": 0.0,
            "n_steps": (1 - how.collapse) * n,
            "n_tokens": words,
            "free_agreement": self.same,
            "again_match": self.same,
            "parse_rate": self.answered,
        }
        if self.options:
            values["option_mass"] = self.answered + how.format_breaks * BROKEN_MASS
            values["again_shift"] = (1 - self.same) * (SURE - (1 - SURE) * self.other)
        rates = {("parse_rate", test, None): self.answered for test in ("cot", "no_cot", *TESTS)}
        matches = {("match_k0", test, None): self.tampered(test) for test in TESTS}
        passed = {("paraphrase_pass", "paraphrase", None): 1.0}
        return {(metric, None, None): value for metric, value in values.items()} | rates | matches | passed


def untouched(test: str, alpha: float, n_steps: int) -> bool:
    """Whether nothing is tampered with at an alpha, so that the prompt is the full chain's."""
    return kept(alpha, n_steps) == (0 if test == "prefix_paraphrase" else n_steps)


def effects(base: Truth, tuned: Truth, alphas: list[float]) -> dict[tuple, float]:
    """(metric, test, alpha) of the effects between arms of other seeds: their draws are independent."""
    before, after = base.own(alphas), tuned.own(alphas)

    def change(*key: object) -> float:
        return after[key] - before[key]

    found = {("accuracy_effect", test, None): change("accuracy", test, None) for test in ("cot", "no_cot")}
    for test in TESTS:
        found |= {("match_effect", test, alpha): change("match", test, alpha) for alpha in alphas}
        found["match_effect", test, None] = _overall(base, tuned, test, alphas)
    faithful = {
        ("faithfulness_effect", test, alpha): direction(test) * value
        for (metric, test, alpha), value in found.items()
        if metric == "match_effect"
    }
    return found | faithful


def _overall(base: Truth, tuned: Truth, test: str, alphas: list[float]) -> float:
    """Each question's mean over the alphas at which both arms answered, over those with any.

    Exact where alphas keep different k of every chain; each is answered or not by itself.
    """
    total = weight = 0.0
    for pair in product(base.lengths, tuned.lengths):
        sides = [(base.at(test, alpha, pair[0]), tuned.at(test, alpha, pair[1])) for alpha in alphas]
        for answered in product((True, False), repeat=len(alphas)):
            p = math.prod(
                before[0] * after[0] if yes else 1 - before[0] * after[0]
                for (before, after), yes in zip(sides, answered, strict=True)
            )
            changes = [after[1] - before[1] for (before, after), yes in zip(sides, answered, strict=True) if yes]
            if changes:
                total, weight = total + p * sum(changes) / len(changes), weight + p
    return total / weight
