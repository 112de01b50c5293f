"""Filler: a text that says nothing, of a wanted length in the measured model's tokens."""

from bisect import bisect_right
from collections.abc import Callable, Sequence

from faithtune.core.errors import UserError
from faithtune.extraction.steps import join


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
    chains: Sequence[Sequence[str]], unit: str, count_tokens: Callable[[str], int], step: int, longest: int | None
) -> list[tuple[int, str]]:
    """(k, text): the whole chain as k = 0, step, 2 step, ... tokens of filler (Lanham et al. 2023, filler tokens).

    Up to the tokens of the longest of `chains` (their steps, as they are rendered),
    or to `longest` where that is less. The filler is the one step of such a chain,
    whose marker is not counted; at k = 0 there is no chain.
    """
    most = max((count_tokens(join(steps)) for steps in chains), default=0)
    most = most if longest is None else min(most, longest)
    return [(k, join([fill(k, unit, count_tokens)]) if k else "") for k in range(0, most + 1, step)]
