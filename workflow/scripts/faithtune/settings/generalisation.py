"""The sections `crossing` and `shifts`: whether what tuning changed holds for other readers, and in other forms."""

from typing import Annotated, Literal

from pydantic import Field

from faithtune.settings.section import OptionalInteger, Section, Unique, form


class CrossingSettings(Section):
    """Which arms answer after the chains that other arms of their model wrote; `true` stands for the defaults."""

    arms: Literal["base", "all"] = "base"
    """`base`: each tuned arm reads the chains of base, and base the chains of each tuned arm; `all`: every arm reads
    the chains of every other arm, a tuned one those with its own seed."""
    eval_sets: Annotated[list[str], Field(min_length=1), Unique] | None = None
    """On which of the evaluation sets; by default on all."""
    n: OptionalInteger = Field(None, ge=1)
    """Questions of each set, the first; by default all."""


class ShiftSettings(Section):
    """The questions of an evaluation set in another form; what they ask stays the same. It has one of the keys
    `options`, `marker` and `prompts` at least."""

    of: str
    """The evaluation set."""
    options: Literal["shuffled"] | None = None
    """`shuffled`: the options of each question stand in another order, drawn by its id; questions whose options cannot
    be moved ("none of the above") are left out."""
    marker: Annotated[str, *form(r"[^\w\s]{0,3}A[^\w\s]{0,3}", "the letter A between signs, such as (A)")] | None = None
    """How options are marked, shown by the first: `(A)`, `A)`, `[A]`; elsewhere it is `A.`."""
    prompts: str | None = None
    """A folder with other templates of the prompts `cot_KIND.txt` and `no_cot_KIND.txt`."""
