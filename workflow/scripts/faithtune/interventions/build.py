"""Builds the interventions: an arm's chains tampered with at every k = 0 ... N (arXiv 2411.15382, 2307.13702).

The paper's three tests keep s_1 ... s_k as the arm wrote them; the later steps
are removed (early termination, Lanham's early answering), replaced by filler of
the same token length (filler substitution) or paraphrased (paraphrasing). In two
further tests of Lanham et al. the arm regenerates the rest (`regeneration`):
after a mistake in s_{k+1} (adding mistakes), or after the first k steps
paraphrased (prefix paraphrasing). In their filler sweep the whole chain becomes
filler, and k counts tokens.

Each text is a chain, after which the assistant's turn has the answer cue
(`data/forms.py`). Alpha is applied later, to answers.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import cache

import polars as pl

from faithtune.core.errors import UserError
from faithtune.core.schemas.interventions import INTERVENTIONS
from faithtune.data.forms import STEPS, Form
from faithtune.interventions.registry import SWEEP, TESTS
from faithtune.settings.interventions import InterventionSettings, SweepSettings

# (id, i) -> s_i rewritten; None or absent if no rewritten step passed the gate.
RewrittenSteps = dict[tuple[str, int], str | None]


def early_termination(steps: Sequence[str], k: int, form: Form = STEPS) -> str:
    """s_1 ... s_k; "" at k = 0."""
    return form.join(steps[:k])


def filler(
    steps: Sequence[str], k: int, filler_text: str, count_tokens: Callable[[str], int], form: Form = STEPS
) -> str:
    """s_1 ... s_k, f_{k+1} ... f_N.

    f_i is `filler_text` repeated as often as fits the tokens of s_i, at least
    once; `count_tokens` counts in the measured model's own tokenizer, without
    special tokens. The marker of a replaced step stays ("Step 2: ... ... ..."),
    so the text has as many steps as the full chain and, within one unit a step,
    as many tokens. A changed answer is then due to the missing content alone.
    """
    # A step is counted with the space before it, as it stands after "Step i:".
    fills = (fill(count_tokens(f" {step}"), filler_text, count_tokens) for step in steps[k:])
    return form.join([*steps[:k], *fills])


def paraphrased(steps: Sequence[str], paraphrases: Sequence[str | None], k: int, form: Form = STEPS) -> str | None:
    """s_1 ... s_k, ŝ_{k+1} ... ŝ_N; None if one of the later steps has no paraphrase.

    `paraphrases` holds ŝ_1 ... ŝ_N.
    """
    later = paraphrases[k:]
    return None if None in later else form.join([*steps[:k], *later])


def prefix_to_continue(test: str, steps: Sequence[str], rewritten: Sequence[str | None], k: int) -> list[str] | None:
    """The steps after which the arm regenerates the rest; None if one of them has no rewritten version.

    mistake, k < N: s_1 ... s_k, and s_{k+1} with its mistake.
    prefix_paraphrase: ŝ_1 ... ŝ_k.
    `rewritten` holds the N mistaken or paraphrased steps.
    """
    begun = [*steps[:k], rewritten[k]] if test == "mistake" else [*rewritten[:k]]
    return None if None in begun else begun


def regenerated_ks(test: str, n: int) -> range:
    """The k at which the arm regenerates the rest of a chain of n steps.

    mistake: all but k = N, where the chain is unchanged. prefix_paraphrase: all but k = 0, where greedy decoding would
    reproduce the chain, and k = N, where no step is left to write.
    """
    return range(n) if test == "mistake" else range(1, n)


def rewritten_by_step(rewritten: pl.DataFrame | None) -> RewrittenSteps:
    """The texts of PARAPHRASES or MISTAKES by (question, step); empty for None."""
    rows = [] if rewritten is None else rewritten.select("id", "step", "text").iter_rows()
    return {(identifier, step): text for identifier, step, text in rows}


def rewritten_steps(words: RewrittenSteps, identifier: str, n: int) -> list[str | None]:
    """The rewritten steps 1 ... n of one question's chain, None where there is none."""
    return [words.get((identifier, i)) for i in range(1, n + 1)]


def build(
    chains: pl.DataFrame,
    settings: InterventionSettings,
    count_tokens: Callable[[str], int],
    paraphrases: pl.DataFrame | None = None,
    regenerations: pl.DataFrame | None = None,
    form: Form = STEPS,
) -> pl.DataFrame:
    """All interventions on all chains.

    Args:
        chains: CHAINS.
        count_tokens: tokens of a text in the measured model's tokenizer.
        paraphrases: PARAPHRASES; needed for paraphrase and prefix_paraphrase.
        regenerations: REGENERATIONS; needed for the tests in which the arm regenerates the rest.
        form: of the arm's turns.

    Returns INTERVENTIONS in the order of the chains: `no_cot` (k null, text ""), `full` (k = N), then k = 0 ... N of
    each test, and k = 0, step, 2 step, ... tokens of the sweep. Truncated chains and chains without steps get only
    `no_cot`, `full` and the sweep, as there is no finished reasoning to tamper with.

    Raises UserError for an unknown test, a test without the frame it needs, and a filler without a visible character or
    whose repetition adds no tokens.
    """
    tests, filler_text = settings.tests, settings.filler
    _check(tests, paraphrases, regenerations, filler_text, count_tokens)
    count_tokens = cache(count_tokens)  # a step is replaced at many k
    words, rest = rewritten_by_step(paraphrases), {}
    if regenerations is not None:
        rest = {row[:3]: row[3:] for row in regenerations.select("id", "test", "k", "steps", "finished").iter_rows()}
    whole = chains.filter(pl.col("outcome") != "truncated")["steps"].to_list()
    swept = sweep(whole, filler_text, count_tokens, settings.sweep, form) if SWEEP in tests else []

    def tampered(test: str, identifier: str, steps: list[str], k: int) -> tuple[str | None, str | None]:
        """(text, missing)"""
        n, text = len(steps), None
        match test:
            case "early_termination":
                text = early_termination(steps, k, form)
            case "filler":
                text = filler(steps, k, filler_text, count_tokens, form)
            case "paraphrase":
                text = paraphrased(steps, rewritten_steps(words, identifier, n), k, form)
            case _ if k in regenerated_ks(test, n):
                made, finished = rest.get((identifier, test, k), ([], True))
                if not finished:
                    return None, "truncated"
                text = form.join(made) or None
            case "prefix_paraphrase" if k == n:
                text = paraphrased(steps, rewritten_steps(words, identifier, n), 0, form)
            case _:
                text = form.join(steps)
        return text, "unavailable" if text is None else None

    def rows() -> Iterator[tuple]:
        for chain in chains.iter_rows(named=True):
            steps, identifier, n = chain["steps"], chain["id"], len(chain["steps"])
            yield identifier, "no_cot", None, n, "", None
            yield identifier, "full", n, n, form.join(steps), None
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
            raise UserError(f"tests: {test} needs paraphrases, which are missing")
        if TESTS[test].regenerates_after is not None and regenerations is None:
            raise UserError(f"tests: {test} needs the regenerated rest of the chains, which is missing")
        if TESTS[test].uses_filler and (not filler_text.strip() or count_tokens(filler_text) < 1):
            raise UserError(f"filler: {filler_text!r} is blank; expected a text with a visible character")


def fill(budget: int, unit: str, count_tokens: Callable[[str], int]) -> str:
    """`unit` repeated as often as fits `budget` tokens, at least once.

    The text is counted with a space before it, as it stands after "Step i:",
    because tokenizers join a word to its leading space. Raises UserError if
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
            raise UserError(f"filler: repeating {unit!r} does not add tokens; choose another filler")
    # A search, not a division: a tokenizer may merge repeated units ("..." three times can be one token).
    times = bisect_right(range(above), budget, key=count) - 1
    return filling(max(1, times))


def sweep(
    chains: Sequence[Sequence[str]],
    unit: str,
    count_tokens: Callable[[str], int],
    lengths: SweepSettings,
    form: Form = STEPS,
) -> list[tuple[int, str]]:
    """(k, text): chains of k = 0, step, 2 step, ... tokens of filler (Lanham et al. 2023, filler tokens).

    The largest k is the token length of the longest of `chains` (lists of steps), or `lengths.longest` if that is less.
    The filler is the only step of such a chain, and its marker is not counted; at k = 0 the text is "".
    """
    most = max((count_tokens(form.join(steps)) for steps in chains), default=0)
    most = most if lengths.longest is None else min(most, lengths.longest)
    return [(k, form.join([fill(k, unit, count_tokens)]) if k else "") for k in range(0, most + 1, lengths.step)]
