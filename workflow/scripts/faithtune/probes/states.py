"""Hidden states of a network, and what its attention weighs, in one pass over a text."""

from collections.abc import Sequence

import torch

from faithtune.models.tree_cache import TreeCache


@torch.inference_mode()
def read(network, ids: Sequence[int], places: Sequence[int], watch=None) -> tuple[torch.Tensor, torch.Tensor]:
    """Hidden states, float32 (layers + 1, places, width), and logits (places, vocabulary), at places of a text.

    network: with the prefix tree's attention; ids: the text's tokens; watch: as of `TreeCache.states`, for which the
    text's tokens are the nodes 0, 1, ….
    """
    cache = TreeCache(lambda: network)
    path = cache.insert(list(ids), len(ids))
    return cache.states([path[place] for place in places], watch)


class AttentionOfLast:
    """Watches what the last token of a text attends to: (heads, tokens) of each layer, float32, on the CPU."""

    def __init__(self):
        self.weights: dict[int, torch.Tensor] = {}  # layer -> shares of attention
        self.weighted: dict[int, torch.Tensor] = {}  # the same times the norms of the tokens' values, as shares

    def __call__(self, layer: int, query, keys, values, scaling: float | None, window: int | None) -> None:
        """`attention.Watch`; all tokens are new."""
        heads, n, size = query.shape
        each = heads // keys.shape[1]  # query heads that share a key head
        keys, norms = keys[:n].float(), values[:n].float().norm(dim=-1)
        last = query[:, -1].float().view(-1, each, size)
        scores = torch.einsum("ges,ngs->gen", last, keys) * (size**-0.5 if scaling is None else scaling)
        if window is not None:
            scores[..., : max(0, n - window)] = -torch.inf
        weights = scores.softmax(-1)
        weighted = weights * norms.T[:, None]
        self.weights[layer] = weights.reshape(heads, n).cpu()
        self.weighted[layer] = (weighted / weighted.sum(-1, keepdim=True)).reshape(heads, n).cpu()
