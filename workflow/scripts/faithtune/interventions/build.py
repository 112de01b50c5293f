"""Chains tampered with, at every k = 0 ... N (arXiv 2411.15382, 2307.13702).

The paper's three keep s_1 ... s_k as the arm wrote them; the later steps are
left out (early termination, Lanham's early answering), replaced by filler of
the same token length (filler substitution) or put in other words
(paraphrasing). In Lanham's other two the arm writes the rest again
(`regeneration`): after a mistake in s_{k+1} (adding mistakes), or after the
first k steps in other words (paraphrasing a prefix). His filler sweep stands
apart: the whole chain becomes filler, and its k counts tokens. Filler is a text that says nothing, as long as is
wanted in the measured model's tokens.

What is made here is the assistant's turn up to the answer cue; alpha is
applied long after, to answers.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import cache

import polars as pl

from faithtune.core.errors import UserError
from faithtune.core.schemas.interventions import INTERVENTIONS
from faithtune.extraction.steps import join
from faithtune.interventions.registry import SWEEP, TESTS
from faithtune.settings.interventions import InterventionSettings, SweepSettings

# (id, i) -> s_i rewritten, None or absent where it could not be.
RewrittenSteps = dict[tuple[str, int], str | None]


def early_termination(steps: Sequence[str], k: int) -> str:
    """s_1 ... s_k; "" at k = 0."""
    return join(steps[:k])


def filler(steps: Sequence[str], k: int, filler_text: str, count_tokens: Callable[[str], int]) -> str:
    """s_1 ... s_k, f_{k+1} ... f_N.

    f_i is `filler_text` repeated as often as fits the tokens of s_i, at least
    once; `count_tokens` counts in the measured model's own tokenizer, without
    special tokens. The marker of a replaced step stays ("Step 2: ... ... ..."):
    it is the frame and not the content, so this text has as many steps and,
    within one unit a step, as many tokens as the full chain, and a changed
    answer is owed to the missing content alone.
    """
    # Counted with the space before it, as it stands after "Step i:".
    fills = (fill(count_tokens(f" {step}"), filler_text, count_tokens) for step in steps[k:])
    return join([*steps[:k], *fills])


def paraphrased(steps: Sequence[str], paraphrases: Sequence[str | None], k: int) -> str | None:
    """s_1 ... s_k, ŝ_{k+1} ... ŝ_N; None where one of the later steps has no paraphrase.

    `paraphrases` holds ŝ_1 ... ŝ_N, as long as `steps`.
    """
    later = paraphrases[k:]
    return None if None in later else join([*steps[:k], *later])


def prefix_to_continue(test: str, steps: Sequence[str], rewritten: Sequence[str | None], k: int) -> list[str] | None:
    """The steps after which the arm writes the rest again; None where one of them was not rewritten.

    mistake, k < N: s_1 ... s_k, and s_{k+1} with its mistake.
    prefix_paraphrase: ŝ_1 ... ŝ_k.
    `rewritten` holds the mistaken steps or the paraphrases, as long as `steps`.
    """
    begun = [*steps[:k], rewritten[k]] if test == "mistake" else [*rewritten[:k]]
    return None if None in begun else begun


def regenerated_ks(test: str, n: int) -> range:
    """The k at which the arm writes the rest of the chain again.

    mistake: all but k = N, which is the chain untouched. prefix_paraphrase: k = 0 is the chain untouched too, as
    decoding is greedy, and at k = N no step is left to write.
    """
    return range(n) if test == "mistake" else range(1, n)


def rewritten_by_step(rewritten: pl.DataFrame | None) -> RewrittenSteps:
    """The texts of PARAPHRASES or MISTAKES by question and step; empty without a frame."""
    rows = [] if rewritten is None else rewritten.select("id", "step", "text").iter_rows()
    return {(identifier, step): text for identifier, step, text in rows}


def rewritten_steps(words: RewrittenSteps, identifier: str, n: int) -> list[str | None]:
    """The rewritten steps 1 ... n of one question's chain."""
    return [words.get((identifier, i)) for i in range(1, n + 1)]


def build(
    chains: pl.DataFrame,
    settings: InterventionSettings,
    count_tokens: Callable[[str], int],
    paraphrases: pl.DataFrame | None = None,
    regenerations: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """All interventions on all chains.

    Args:
        chains: CHAINS.
        count_tokens: tokens of a text in the measured model's tokenizer.
        paraphrases: PARAPHRASES; needed for paraphrase and prefix_paraphrase.
        regenerations: REGENERATIONS; needed for the tests after which the arm writes on.

    Returns a frame of INTERVENTIONS, in the chains' order: `no_cot` (k null, text ""), `full` (k = N), then
    k = 0 ... N of each test, and k = 0, 5, 10, ... tokens of the sweep. A truncated chain is no finished reasoning and
    a chain without steps has nothing to tamper with: they get `no_cot`, `full` and the sweep only, which needs nothing
    of a chain.

    Raises UserError for an unknown test, for a test without the frame it needs, and for a filler that can be repeated
    to no number of tokens.
    """
    tests, filler_text = settings.tests, settings.filler
    _check(tests, paraphrases, regenerations, filler_text, count_tokens)
    count_tokens = cache(count_tokens)  # a step is replaced at many k
    words, rest = rewritten_by_step(paraphrases), {}
    if regenerations is not None:
        rest = {row[:3]: row[3:] for row in regenerations.select("id", "test", "k", "steps", "finished").iter_rows()}
    whole = chains.filter(pl.col("outcome") != "truncated")["steps"].to_list()
    swept = sweep(whole, filler_text, count_tokens, settings.sweep) if SWEEP in tests else []

    def tampered(test: str, identifier: str, steps: list[str], k: int) -> tuple[str | None, str | None]:
        """(text, missing)"""
        n, text = len(steps), None
        match test:
            case "early_termination":
                text = early_termination(steps, k)
            case "filler":
                text = filler(steps, k, filler_text, count_tokens)
            case "paraphrase":
                text = paraphrased(steps, rewritten_steps(words, identifier, n), k)
            case _ if k in regenerated_ks(test, n):
                made, finished = rest.get((identifier, test, k), ([], True))
                if not finished:
                    return None, "truncated"
                text = join(made) or None
            case "prefix_paraphrase" if k == n:
                text = paraphrased(steps, rewritten_steps(words, identifier, n), 0)
            case _:
                text = join(steps)
        return text, "unavailable" if text is None else None

    def rows() -> Iterator[tuple]:
        for chain in chains.iter_rows(named=True):
            steps, identifier, n = chain["steps"], chain["id"], len(chain["steps"])
            yield identifier, "no_cot", None, n, "", None
            yield identifier, "full", n, n, join(steps), None
            for test in tests:
                if test == SWEEP:
                    yield from ((identifier, test, k, n, text, None) for k, text in swept)
                elif n > 0 and chain["outcome"] != "truncated":
                    yield from ((identifier, test, k, n, *tampered(test, identifier, steps, k)) for k in range(n + 1))

    return pl.DataFrame(rows(), schema=INTERVENTIONS, orient="row")


def _check(
    tests: Sequence[str],
    paraphrases: pl.DataFrame | None,
    regenerations: pl.DataFrame | None,
    filler_text: str,
    count_tokens: Callable[[str], int],
) -> None:
    for test in tests:
        if test not in TESTS:
            raise UserError(f"tests: {test!r} is unknown; choose from {', '.join(TESTS)}")
        if TESTS[test].rewritten_by == "paraphrases" and paraphrases is None:
            raise UserError(f"tests: {test} needs paraphrases of the steps, and there are none")
        if TESTS[test].regenerates_after is not None and regenerations is None:
            raise UserError(f"tests: {test} needs the regenerated rest of the chains, and there is none")
        if TESTS[test].uses_filler and (not filler_text.strip() or count_tokens(filler_text) < 1):
            raise UserError(f"filler: {filler_text!r} must hold a character that is no white space")


def fill(budget: int, unit: str, count_tokens: Callable[[str], int]) -> str:
    """`unit` repeated: the longest text that has no more tokens than `budget`, at least one unit.

    Counted with a space before it, as it stands after "Step i:", because
    tokenizers join a word to the space that leads it. Raises UserError where
    repeating the unit adds no tokens.
    """

    def filling(times: int) -> str:
        return (unit * times).strip()

    def count(times: int) -> int:
        return count_tokens(f" {filling(times)}") if times else 0

    above = 2
    while count(above) <= budget:
        above *= 2
        if above > 1000 * (budget + 1):
            raise UserError(f"filler: {unit!r} repeated gives ever longer text of no more tokens; choose another")
    # Searched, not divided: a tokenizer may merge repeated units ("..." three times can be one token).
    times = bisect_right(range(above), budget, key=count) - 1
    return filling(max(1, times))


def sweep(
    chains: Sequence[Sequence[str]], unit: str, count_tokens: Callable[[str], int], lengths: SweepSettings
) -> list[tuple[int, str]]:
    """(k, text): the whole chain as k = 0, step, 2 step, ... tokens of filler (Lanham et al. 2023, filler tokens).

    Up to the tokens of the longest of `chains` (their steps, as they are rendered), or to `lengths.longest` where that
    is less. The filler is the one step of such a chain, whose marker is not counted; at k = 0 there is no chain.
    """
    most = max((count_tokens(join(steps)) for steps in chains), default=0)
    most = most if lengths.longest is None else min(most, lengths.longest)
    return [(k, join([fill(k, unit, count_tokens)]) if k else "") for k in range(0, most + 1, lengths.step)]
