"""The state of a text that is being decoded, and its next token."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from faithtune.models.decoding.draws import Draw
from faithtune.models.tree import SIGHTED, Blind


@dataclass
class Decoding:
    """A text that is being decoded."""

    index: int  # of its text, or the node of its answer cue
    path: list[int]  # the prompt, then the new tokens computed so far
    written: list[int] = field(default_factory=list)  # new token ids
    draft: list[int] = field(default_factory=list)  # the new tokens to expect, from the first
    draw: Draw | None = None  # how its tokens are drawn; None: each is the likeliest
    blind: Blind = SIGHTED  # what its new tokens cannot see

    def next_tokens(self, max_new_tokens: int) -> list[int]:
        """The tokens to compute next: the last one written, and the rest of the draft while the draft holds."""
        n = len(self.written)
        return [self.written[-1], *(self.draft[n : max_new_tokens - 1] if self.written == self.draft[:n] else [])]


def choose_tokens(logits: torch.Tensor, texts: Sequence[Decoding]) -> list[int]:
    """The next token of each text: drawn (`draws`), or the likeliest where the text has no draw.

    logits: float32 (len(texts), vocabulary).
    """
    chosen, drawn = logits.argmax(-1), [i for i, text in enumerate(texts) if text.draw is not None]
    if drawn:

        def column(values: list[float], dtype: torch.dtype) -> torch.Tensor:
            return torch.tensor(values, dtype=dtype, device=logits.device)[:, None]

        weights = logits[drawn]
        weights -= weights.amax(-1, keepdim=True)  # or a low temperature would overflow
        weights /= column([texts[i].draw.temperature for i in drawn], weights.dtype)
        sums = weights.exp_().cumsum(-1, dtype=torch.float64)
        points = column([texts[i].draw.number(len(texts[i].written)) for i in drawn], sums.dtype) * sums[:, -1:]
        chosen[drawn] = torch.searchsorted(sums, points, right=True)[:, 0]
    return chosen.tolist()
