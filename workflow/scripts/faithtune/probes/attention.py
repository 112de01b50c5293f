"""What the answer attends to: shares of the attention of the last token before it, by part of the prompt.

Descriptive: much of attention rests on the first token, whatever it is, and long parts get more of it. What an answer
needs, `knockout` says. Weighted by values: each token's weight is multiplied by the norm of its value vector
(Kobayashi et al. 2020, arXiv 2004.10102, without the output projection).
"""

from collections.abc import Iterator

from faithtune.probes.lens import Text
from faithtune.probes.registry import CHAIN, CUE, QUESTION, STEP
from faithtune.probes.states import AttentionOfLast

# Parts of a prompt beside the chain's steps.
FIRST, TEMPLATE, USER = "first", "template", "prompt"


def rows(read: Text, seen: AttentionOfLast) -> Iterator[dict]:
    """Rows of PROBES of one question, each the mean over the heads of a layer."""
    for (part, k), places in _places(read).items():
        where = {"id": read.reasoned.question["id"], "part": part, "k": k}
        yield where | {"measure": "tokens", "value": float(len(places))}
        for measure, weights in (("attention", seen.weights), ("attention_weighted", seen.weighted)):
            for layer, shares in weights.items():
                value = shares[:, places].sum(-1).mean().item()
                yield where | {"measure": measure, "layer": layer, "value": value}


class Heads:
    """The attention of each head to each part, summed over an arm's questions."""

    def __init__(self):
        self.n, self.sums = 0, {}  # (part, layer) -> (heads,)

    def add(self, read: Text, seen: AttentionOfLast) -> None:
        """Add a question."""
        self.n += 1
        places = _places(read)
        whole = {part: places[part, None] for part in (FIRST, TEMPLATE, USER, QUESTION, CUE)}
        for part, there in (whole | {CHAIN: read.parts.chain}).items():
            for layer, weights in seen.weights.items():
                self.sums[part, layer] = self.sums.get((part, layer), 0.0) + weights[:, there].sum(-1)

    def rows(self) -> Iterator[dict]:
        """Rows of PROBES of the arm: the mean over its questions, of each head."""
        for (part, layer), sums in self.sums.items():
            for head, value in enumerate((sums / self.n).tolist()):
                yield {"measure": "attention", "part": part, "layer": layer, "head": head, "value": value}


def _places(read: Text) -> dict[tuple[str, int | None], list[int]]:
    """(part, step) -> tokens; together they are all tokens of the text."""
    found = {
        (FIRST, None): [0],
        (TEMPLATE, None): read.parts.template,
        (USER, None): read.parts.user,
        (QUESTION, None): read.parts.question,
        (CUE, None): list(range(read.parts.start, len(read.ids))),
    }
    return found | {(STEP, k): step for k, step in enumerate(read.parts.steps, start=1)}
