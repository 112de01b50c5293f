"""The sections that a study may have: `crossing`, `shifts` and `probes`."""

from typing import Annotated, Literal, get_args

from pydantic import Field

from faithtune.settings.section import Integer, Number, OptionalInteger, Section, Unique, form

# What can be looked at inside an arm.
Look = Literal["knockout", "lens", "linear", "attention", "distance", "dose", "weights"]


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


class ProbeSettings(Section):
    """What is looked at inside base and the tuned arms, where their weights are here; `true` stands for the
    defaults."""

    looks: Annotated[list[Look], Field(min_length=1), Unique] = list(get_args(Look))
    """[What to look at](../mechanism.md): `knockout` (what the answer needs to see), `lens` (where it is decided),
    `linear` (whether it can be read before the chain), `attention`, `distance` (from base, in predictions and in
    states), `dose` (the adapter scaled, and switched off in places), `weights` (how far they moved)."""
    eval_sets: Annotated[list[str], Field(min_length=1), Unique] | None = None
    """On which of the evaluation sets; by default on all."""
    n: OptionalInteger = Field(100, ge=1)
    """The most questions of each set, the first ones; null: all."""
    windows: Integer = Field(1, ge=1)
    """Into how many windows the layers are divided: the whole chain and the question are also knocked out in each
    window alone. 1: in all layers together only."""
    scales: Annotated[list[Annotated[Number, Field(ge=0, le=4)]], Field(min_length=1), Unique] = [
        *(0, 0.25, 0.5, 0.75, 1, 1.25)
    ]
    """By what an adapter is multiplied in the dose curve; 0 is base, 1 the arm itself."""
