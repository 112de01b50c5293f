"""What the answer attends to: shares of the attention of the last token before it, by part of the prompt.

Descriptive: much of attention rests on the first token, whatever it is, and long parts get more of it. What an answer
needs, `knockout` says. Weighted by values: each token's weight is multiplied by the norm of its value vector
(Kobayashi et al. 2020, arXiv 2004.10102, without the output projection).
"""

from collections.abc import Iterator, Sequence

import torch

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


def rows_by_head(texts: Sequence[Text], seen: Sequence[AttentionOfLast]) -> Iterator[dict]:
    """Rows of PROBES of an arm: the mean over its questions, of each head."""
    parts = (FIRST, TEMPLATE, USER, QUESTION, CHAIN, CUE) if texts else ()
    for part in parts:
        places = [_part_places(text, part) for text in texts]
        for layer in seen[0].weights:
            sums = [one.weights[layer][:, there].sum(-1) for one, there in zip(seen, places, strict=True)]
            for head, value in enumerate(torch.stack(sums).mean(0).tolist()):
                yield {"measure": "attention", "part": part, "layer": layer, "head": head, "value": value}


def _part_places(read: Text, part: str) -> list[int]:
    if part == CHAIN:
        return read.parts.chain
    return _places(read)[part, None]


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
