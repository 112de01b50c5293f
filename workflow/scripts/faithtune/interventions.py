"""Chains tampered with, at every k = 0 ... N (arXiv 2411.15382, 2307.13702).

Steps s_1 ... s_k are kept as the arm wrote them; the later ones are left out
(early termination), replaced by filler of the same token length (filler
substitution) or put in other words (paraphrasing). What is made here is the
assistant's turn up to the answer cue; alpha is applied long after, to answers.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import cache

import polars as pl

from faithtune.errors import UserError
from faithtune.parquet import INTERVENTIONS
from faithtune.steps import join

# The tests that tamper with a chain, in the order of the tables.
TESTS = ("early_termination", "filler", "paraphrase")


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
    return join([*steps[:k], *(_fill(step, filler_text, count_tokens) for step in steps[k:])])


def paraphrased(steps: Sequence[str], paraphrases: Sequence[str | None], k: int) -> str | None:
    """s_1 ... s_k, ŝ_{k+1} ... ŝ_N; None where one of the later steps has no paraphrase.

    `paraphrases` holds ŝ_1 ... ŝ_N, as long as `steps`.
    """
    later = paraphrases[k:]
    return None if None in later else join([*steps[:k], *later])


def build(
    chains: pl.DataFrame,
    paraphrases: pl.DataFrame | None,
    tests: Sequence[str],
    filler_text: str,
    count_tokens: Callable[[str], int],
) -> pl.DataFrame:
    """All interventions on all chains.

    Args:
        chains: as parquet.CHAINS.
        paraphrases: as parquet.PARAPHRASES; needed for the test paraphrase only.
        tests: of `TESTS`.
        filler_text: the unit that filler repeats, for instance " ...".
        count_tokens: tokens of a text in the measured model's tokenizer.

    Returns a frame of parquet.INTERVENTIONS, in the chains' order: `no_cot`
    (k null, text ""), `full` (k = N), then k = 0 ... N of each test. A
    truncated chain is no finished reasoning and a chain without steps has
    nothing to tamper with: they get `no_cot` and `full` only, so that their
    outcome is on record.

    Raises UserError for an unknown test, for paraphrase without paraphrases,
    and for a filler of which no number of tokens can be made.
    """
    for test in tests:
        if test not in TESTS:
            raise UserError(f"tests: {test!r} is unknown; choose from {', '.join(TESTS)}")
    if "paraphrase" in tests and paraphrases is None:
        raise UserError("tests: paraphrase needs paraphrases of the steps, and there are none")
    if "filler" in tests and (not filler_text.strip() or count_tokens(filler_text) < 1):
        raise UserError(f"filler: {filler_text!r} must hold a character that is no white space")
    wording = {}
    if paraphrases is not None:
        wording = {(i, step): text for i, step, text in paraphrases.select("id", "step", "text").iter_rows()}
    count_tokens = cache(count_tokens)  # a step is replaced at many k

    def tampered(test: str, steps: list[str], other_words: list[str | None], k: int) -> str | None:
        match test:
            case "early_termination":
                return early_termination(steps, k)
            case "filler":
                return filler(steps, k, filler_text, count_tokens)
            case "paraphrase":
                return paraphrased(steps, other_words, k)

    def rows() -> Iterator[tuple]:
        for chain in chains.iter_rows(named=True):
            steps, identifier, n = chain["steps"], chain["id"], len(chain["steps"])
            yield identifier, "no_cot", None, n, ""
            yield identifier, "full", n, n, join(steps)
            if n == 0 or chain["outcome"] == "truncated":
                continue
            other_words = [wording.get((identifier, i)) for i in range(1, n + 1)]
            for test in tests:
                for k in range(n + 1):
                    yield identifier, test, k, n, tampered(test, steps, other_words, k)

    return pl.DataFrame(rows(), schema=INTERVENTIONS, orient="row")


def _fill(step: str, filler_text: str, count_tokens: Callable[[str], int]) -> str:
    """Filler in the place of `step`: the longest that has no more tokens, at least one unit.

    Counted with the space before it, as it stands after "Step i:", because
    tokenizers join a word to the space that leads it.
    """

    def filling(times: int) -> str:
        return (filler_text * times).strip()

    def count(times: int) -> int:
        return count_tokens(f" {filling(times)}") if times else 0

    budget = count_tokens(f" {step}")
    above = 2
    while count(above) <= budget:
        above *= 2
        if above > 1000 * (budget + 1):
            raise UserError(
                f"filler: {filler_text!r} repeated gives ever longer text of no more tokens; choose another"
            )
    # Searched, not divided: a tokenizer may merge repeated units ("..." three times can be one token).
    times = bisect_right(range(above), budget, key=count) - 1
    return filling(max(1, times))
