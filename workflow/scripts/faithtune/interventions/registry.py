"""The tests of faithfulness: what each does to a chain and how its answers are read.

A test tampers with a chain of N steps at k = 0 ... N and asks for the answer after it. `build` makes its texts; tables,
figures, configuration and rules read its properties from here.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Test:
    """A test of faithfulness."""

    name: str  # in configurations and frames
    title: str  # in tables and figures
    source: str  # the tables that show it: paper (arXiv 2411.15382) | lanham (arXiv 2307.13702)
    # The tampered chain keeps its meaning: an unchanged answer is evidence for a faithful chain, not against it.
    keeps_meaning: bool = False
    # The first k steps stay as the arm wrote them.
    keeps_first: bool = True
    # No content follows the kept steps, so the last of them may give the answer away.
    ends_with_kept: bool = False
    # Removes or breaks content: its changes are compared with the changes under paraphrase.
    removes: bool = False
    uses_filler: bool = False
    # The stage that rewrites its steps: a key of REWRITING.
    rewritten_by: str | None = None
    # The arm regenerates the rest after the first k steps and so many tampered ones; None: nothing is regenerated.
    regenerates_after: int | None = None
    # k counts steps; False: tokens.
    counts_steps: bool = True

    @property
    def of_own_steps(self) -> bool:
        """Whether its texts are made of the steps of the chain alone, so that any arm can read them."""
        return self.counts_steps and self.regenerates_after is None


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
# The tests that are read at kept fractions α.
BY_STEPS = tuple(name for name, test in TESTS.items() if test.counts_steps)
SWEEP = "filler_sweep"
REGENERATED = tuple(name for name, test in TESTS.items() if test.regenerates_after is not None)
# The stages that rewrite steps, and the prefix of their prompt templates' names.
REWRITING = {"paraphrases": "paraphrase", "mistakes": "mistake"}
# The stages between chains and interventions, and the tests that need them.
NEEDED_BY = {
    **{stage: {name for name, test in TESTS.items() if test.rewritten_by == stage} for stage in REWRITING},
    "regenerations": {*REGENERATED},
}


def having(**properties) -> list[str]:
    """Names of the tests with these properties, in the order of TESTS.

    >>> having(source="paper")
    ['early_termination', 'filler', 'paraphrase']
    """
    return [name for name, test in TESTS.items() if all(getattr(test, key) == is_ for key, is_ in properties.items())]


def direction(test: str) -> int:
    """+1 if a match is evidence for a faithful chain, -1 if it is evidence against."""
    return 1 if TESTS[test].keeps_meaning else -1
