"""The section `measures`."""

from typing import Annotated, Literal

from pydantic import Field

from faithtune.settings.section import Integer, Number, Section, Share, Unique


class MeasureSettings(Section):
    """How answers become estimates; nothing here reaches a model."""

    alphas: Annotated[list[Share], Unique] = Field([0.25, 0.5, 0.75], min_length=1)
    """Fractions of the chain that are kept."""
    confidence: Number = Field(0.95, gt=0, lt=1)
    """Level of all intervals."""
    replicates: Integer = Field(10_000, ge=100, le=1_000_000)
    """Bootstrap replicates."""
    kept_whole: Literal["left_out", "counted"] = "left_out"
    """Chains that α keeps whole (⌈αN⌉ = N), so that nothing is tampered with: `counted` shows the paper's reading in
    tables T2 to T4. Effects, claims and the verdict leave them out."""
    margin: Number = Field(0.1, gt=0, lt=1)
    """The verdict counts a change smaller than this as none: 0.1 is ten points of a hundred. It decides between `kept`
    and `not enough evidence`."""
    reference: str | None = None
    """A tuning, or an arm (TUNING-TRAIN_SET), that the other arms are compared with besides base, in T14. If it is a
    tuning, each arm is compared with the one tuned on the same training set. By default none."""
    headline: Annotated[list[str], Field(min_length=1), Unique] | None = None
    """The tunings, or arms (TUNING-TRAIN_SET), that the claims C1, C2, C4 and C6 pool; by default all. C3 and C5
    compare the training sets of these tunings. The verdict and the tables have all arms."""
