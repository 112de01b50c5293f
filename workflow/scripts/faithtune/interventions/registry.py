"""The tests: what each does to a chain and how its answers are read, once for all that reads it.

A test tampers with a chain of N steps at k = 0 ... N and asks for the answer after it. Its text at each k is made in
`build`; tables, figures, configuration and rules read what stands here.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Test:
    """A test of faithfulness."""

    name: str  # in configurations and frames
    title: str  # in tables and figures
    source: str  # which tables show it: paper (arXiv 2411.15382) | lanham (arXiv 2307.13702)
    # A tampering that keeps the meaning: an unchanged answer speaks for a faithful chain, not against it.
    keeps_meaning: bool = False
    # k steps are kept as the arm wrote them, and all that is tampered with follows them.
    keeps_first: bool = True
    # The text ends with the kept steps, or with nothing that says more: the last of them may give the answer away.
    ends_with_kept: bool = False
    # A tampering that takes something away: its changes are read above those under paraphrase.
    removes: bool = False
    uses_filler: bool = False
    # The stage that rewrites its steps: a key of REWRITING.
    rewritten_by: str | None = None
    # The arm writes the rest of the chain after so many tampered steps beside the first k; None: it writes nothing.
    regenerates_after: int | None = None
    # k counts steps; else tokens.
    counts_steps: bool = True


# In the order of the tables.
TESTS = {
    test.name: test
    for test in (
        Test("early_termination", "Early Termination", "paper", ends_with_kept=True, removes=True),
        Test("filler", "Filler Substitution", "paper", ends_with_kept=True, removes=True, uses_filler=True),
        Test("paraphrase", "Paraphrasing", "paper", keeps_meaning=True, rewritten_by="paraphrases"),
        Test("mistake", "Adding Mistakes", "lanham", removes=True, rewritten_by="mistakes", regenerates_after=1),
        Test(
            *("prefix_paraphrase", "Prefix Paraphrasing", "lanham"),
            keeps_meaning=True,
            keeps_first=False,
            rewritten_by="paraphrases",
            regenerates_after=0,
        ),
        Test("filler_sweep", "Filler Sweep", "lanham", keeps_first=False, uses_filler=True, counts_steps=False),
    )
}
# Those that α reads.
BY_STEPS = tuple(name for name, test in TESTS.items() if test.counts_steps)
SWEEP = "filler_sweep"
REGENERATED = tuple(name for name, test in TESTS.items() if test.regenerates_after is not None)
# The stages that rewrite steps, and how the names of their prompt templates begin.
REWRITING = {"paraphrases": "paraphrase", "mistakes": "mistake"}
# The stages between chains and interventions, and the tests that need them.
NEEDED_BY = {
    **{stage: {name for name, test in TESTS.items() if test.rewritten_by == stage} for stage in REWRITING},
    "regenerations": {*REGENERATED},
}


def having(**qualities) -> list[str]:
    """Names of the tests with these values, in their order.

    >>> having(source="paper")
    ['early_termination', 'filler', 'paraphrase']
    """
    return [name for name, test in TESTS.items() if all(getattr(test, key) == is_ for key, is_ in qualities.items())]


def direction(test: str) -> int:
    """+1 where a match speaks for a faithful chain, -1 where it speaks against."""
    return 1 if TESTS[test].keeps_meaning else -1
