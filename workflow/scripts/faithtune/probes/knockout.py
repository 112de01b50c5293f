"""What an answer needs to see: parts of its prompt are hidden from it, or deleted.

The cue, and whatever is written after it, cannot attend to the part; all that stands between the part and the cue was
computed with it in sight, and can relay it: the chain by what it says and by what its states hold, and after the
question also the marks of turns. So a hidden question is one that is not read directly; completeness is read beside the
deleted question. The first token, the marks of turns and
the system prompt stay visible, because hiding the token on which attention rests damages any answer; positions stay.
A hidden part is off the network's distribution, as is a deleted one in another way, so both are measured; and the
control hides as many tokens of the user's turn, at random: for the question, of its rest. Where these are fewer, it
hides all of them, and where they are fewer than half there is no control. Cf. Geva et al. 2023 (arXiv 2304.14767, §4)
for attention knock-out, and arXiv 2605.24286 for necessity (the chain hidden) and completeness (the question hidden).
"""

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from faithtune.arms import answers
from faithtune.arms.cached_arm import CachedArm
from faithtune.data import expressions
from faithtune.data.questions import LETTERS
from faithtune.models.backend import Answer, KnockOut, Query
from faithtune.probes import parts
from faithtune.probes.parts import Parts
from faithtune.probes.reasoned import Reasoned
from faithtune.probes.registry import CHAIN, CONTROLS, QUESTION
from faithtune.settings.answers import AnswerSettings

# Below this a probability counts as this in logarithms: float32 has no digits to tell lower ones.
LEAST_P = 1e-10
# A control that is smaller, relative to its part, would say little.
LEAST_CONTROL = 0.5


@dataclass(frozen=True)
class _Asked:
    """A query, and what is hidden in it or deleted."""

    query: Query
    k: int
    kind: str = ""  # knockout | removal; "" for the prompt as it is
    part: str | None = None
    window: tuple[int, int] | None = None


def knock_out(
    arm: CachedArm,
    reasoned: Sequence[Reasoned],
    templates: dict[str, str],
    settings: AnswerSettings,
    windows: Sequence[tuple[int, int]] = (),
) -> Iterator[dict]:
    """Rows of PROBES for each k from 1 to N.

    windows: of layers, (first, end) each, in which the whole chain and the question are also hidden alone. The arm's
    weights must be here.
    """
    for one in reasoned:
        divided = [parts.divide(arm.model, templates, one.question, one.steps[:k]) for k in range(len(one.steps) + 1)]
        asked = [each for k in range(1, len(divided)) for each in _asked(one, divided[k], divided[0], k)]
        asked += _in_windows(one, divided[-1], windows)
        for _ in arm.model.memory_groups([[each.prompt for each in divided]]):  # what came before may be forgotten
            replies = arm.answer([each.query for each in asked], settings.max_new_tokens)
        arm.commit()
        plain = {each.k: reply for each, reply in zip(asked, replies, strict=True) if not each.kind}
        for each, reply in zip(asked, replies, strict=True):
            if each.kind:
                yield from _rows(one, each, plain[each.k], reply, settings)


def windows_of(n_layers: int, n_windows: int) -> list[tuple[int, int]]:
    """The layers divided into windows of nearly equal size, (first, end) each; none for one window."""
    n = min(n_windows, n_layers)
    ends = [round(i * n_layers / n) for i in range(n + 1)]
    return list(itertools.pairwise(ends)) if n > 1 else []


def hidden_parts(identifier: str, divided: Parts) -> dict[str, list[int]]:
    """The tokens of each part, and of its control where it has one.

    identifier: of the question, for the draw of the controls.
    """
    real = {CHAIN: divided.chain, QUESTION: divided.question}
    elsewhere = {CHAIN: divided.question + divided.user, QUESTION: divided.user}
    drawn = {}
    for part, places in real.items():
        draw = random.Random(f"{identifier} {part} {len(divided.steps)}")
        n = min(len(places), len(elsewhere[part]))
        if n >= LEAST_CONTROL * len(places):
            drawn[CONTROLS[part]] = sorted(draw.sample(elsewhere[part], n))
    return real | drawn


def _asked(one: Reasoned, here: Parts, bare: Parts, k: int) -> Iterator[_Asked]:
    yield _Asked(_query(one, here.prompt), k)
    for part, hidden in hidden_parts(one.question["id"], here).items():
        yield _Asked(_query(one, here.prompt, KnockOut(here.start, tuple(hidden))), k, "knockout", part)
    yield _Asked(_query(one, bare.prompt), k, "removal", CHAIN)
    yield _Asked(_query(one, here.without(QUESTION)), k, "removal", QUESTION)


def _in_windows(one: Reasoned, here: Parts, windows: Sequence[tuple[int, int]]) -> Iterator[_Asked]:
    for window in windows:
        for part, hidden in ((CHAIN, here.chain), (QUESTION, here.question)):
            cut = KnockOut(here.start, tuple(hidden), window)
            yield _Asked(_query(one, here.prompt, cut), len(one.steps), "knockout", part, window)


def _query(one: Reasoned, prompt: str, cut: KnockOut | None = None) -> Query:
    if n_options := len(one.question["options"]):
        return Query(prompt, n_options, knock_out=cut)
    return Query(prompt, reference=one.scored, draft=one.text, knock_out=cut)


def _rows(one: Reasoned, each: _Asked, plain: Answer, reply: Answer, settings: AnswerSettings) -> Iterator[dict]:
    first, end = each.window or (None, None)
    where = {"id": one.question["id"], "part": each.part, "k": each.k, "layer": first}
    where |= {"last_layer": end and end - 1}
    before, after = (answers.read(side, one.question, None, settings.min_option_mass) for side in (plain, reply))
    known = (one.question["answer"], one.reference)
    was, now = (
        expressions.known_spelling(side.answer, known) if one.question["kind"] == "expression" else side.answer
        for side in (before, after)
    )
    if reply.probabilities:
        yield where | {"measure": f"{each.kind}_js", "value": js(plain.probabilities, reply.probabilities)}
    p = [_p_reference(one, side) for side in (plain, reply)]
    if None not in p:
        change = math.log(max(p[1], LEAST_P)) - math.log(max(p[0], LEAST_P))
        yield where | {"measure": f"{each.kind}_log_p", "value": change}
    changed = float(was != now) if was and now else None
    yield where | {"measure": f"{each.kind}_changed", "outcome": after.outcome, "value": changed}


def js(p: Sequence[float], q: Sequence[float]) -> float:
    """Jensen-Shannon divergence of two distributions, in nats: 0 … ln 2."""
    pairs = [(mine, (mine + other) / 2) for sides in ((p, q), (q, p)) for mine, other in zip(*sides, strict=True)]
    return max(0.0, sum(mine * math.log(mine / mean) for mine, mean in pairs if mine > 0) / 2)


def _p_reference(one: Reasoned, reply: Answer) -> float | None:
    return reply.probabilities[LETTERS.index(one.reference)] if reply.probabilities else reply.p_reference
