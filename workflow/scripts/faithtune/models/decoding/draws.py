"""How the tokens of a text are drawn at a temperature: by random numbers of the text's own.

Each token takes a uniform number in [0, 1). It is the first token up to which the probabilities add up to more than
that number. The number follows from the text's seed and the token's place, so a text does not depend on the texts of
its batch (but for the rounding of its probabilities), on the device, or on the version of PyTorch.
"""

import hashlib
import json
from dataclasses import dataclass

# Part of the key of every row that was drawn: raise it if a change here changes what is drawn.
SAMPLER = "1"


@dataclass(frozen=True)
class Draw:
    """How the tokens of one text are drawn."""

    temperature: float  # above 0: the logits are divided by it
    seed: int

    def number(self, place: int) -> float:
        """The random number of the text's new token at `place`, from 0: uniform in [0, 1)."""
        return (derive_seed(self.seed, place) >> 11) * 2.0**-53


def derive_seed(*parts: object) -> int:
    """A seed of 64 bits from JSON-able values."""
    return int(hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16], 16)
