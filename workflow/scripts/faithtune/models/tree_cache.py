"""A prefix tree with the keys and values of its nodes: computed once, used by every branch."""

from collections.abc import Callable

import torch

from faithtune.core.errors import UserError
from faithtune.models import support
from faithtune.models.attention import KVCache, Watch, build_layout
from faithtune.models.tree import SIGHTED, Blind, Segment, Tree


class TreeCache:
    """Token sequences in one tree; `forward` computes the nodes inserted since its last call."""

    def __init__(self, load: Callable, stacked: bool | None = None):
        self.load = load  # returns the network; called when the network is first needed
        self.stacked = stacked  # `build_layout`; None: on an accelerator
        self.tree = Tree()
        self.cache = KVCache()
        self.segments: list[Segment] = []
        self.n_computed = 0  # nodes computed so far, pruned nodes included
        self.n_cached = 0  # nodes of the tree that have keys and values

    def insert(self, tokens: list[int], wanted_from: int) -> list[int]:
        """Insert a sequence; returns its path.

        The caller wants the logits at index `wanted_from` and later. Nodes from there on that `forward` computed
        before are inserted again, because their logits were not kept.
        """
        path = self.tree.known_prefix(tokens)
        if len(path) > wanted_from and path[wanted_from] < self.n_cached:
            del path[wanted_from:]
        start = len(path)
        for token in tokens[start:]:
            self.tree.append(path, token)
        if start < len(path):
            self.segments.append(Segment(path.copy(), start))
        return path

    def branch(self, path: list[int], tokens: list[int], blind: Blind = SIGHTED) -> list[int]:
        """Add tokens after a path as a new branch, even if the tree has them there; returns their nodes.

        A blind branch is found by no other sequence.
        """
        whole = path.copy()
        for i, token in enumerate(tokens):
            self.tree.append(whole, token, known=i > 0 or not blind.hidden)
        self.segments.append(Segment(whole, len(path), blind))
        return whole[len(path) :]

    def forward(self, wanted: list[int]) -> torch.Tensor:
        """Compute the new nodes.

        Returns the next-token logits, float32 (len(wanted), vocabulary), at the `wanted` nodes, which must be new.
        """
        return self._compute(wanted).logits[0].float()

    def states(self, wanted: list[int], watch: Watch | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the new nodes; watch: what is called with each layer's attention (`attention.Watch`).

        Returns the hidden states, float32 (layers + 1, len(wanted), width), as transformers gives them: of the
        embeddings first, and the last one normalised; and the next-token logits, as `forward` does.
        """
        start = self.n_cached
        output = self._compute(wanted, watch, output_hidden_states=True)
        states = torch.stack([layer[0, torch.tensor(wanted) - start].float() for layer in output.hidden_states])
        return states, output.logits[0].float()

    def _compute(self, wanted: list[int], watch: Watch | None = None, **options: bool):
        """What the network returns for the new nodes, with logits at the `wanted` ones."""
        network, tree, start = self.load(), self.tree, self.n_cached
        device = network.device
        stacked = device.type != "cpu" if self.stacked is None else self.stacked
        layout = build_layout(self.cache, self.segments, start, stacked, device)
        layout.watch = watch
        output = network(
            input_ids=torch.tensor([tree.tokens[start:]], device=device),
            position_ids=torch.tensor([tree.positions[start:]], device=device),
            # Transformers passes a mask of four axes on as it is; the layout has the real masks.
            attention_mask=torch.ones((1, 1, 1, 1), dtype=torch.bool, device=device),
            logits_to_keep=torch.tensor(wanted, device=device) - start,
            use_cache=False,
            tree=layout,
            **options,
        )
        self.segments, self.n_cached = [], len(tree)
        self.n_computed += len(tree) - start
        return output

    def prune(self, paths: list[list[int]]) -> None:
        """Drop all nodes that are on none of `paths`, and renumber the nodes in `paths` in place."""
        order = self.tree.prune(node for path in paths for node in path)
        self.cache.keep(order)
        self.n_cached = len(order)
        new = {node: i for i, node in enumerate(order)}
        for path in paths:
            path[:] = [new[node] for node in path]


# The largest total variation allowed between the tree's next-token probabilities and the network's own.
_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.03}


@torch.inference_mode()
def check_network(network) -> None:
    """UserError if the tree does not compute what the network itself computes.

    Computes a few tokens in two branches, which reveals an architecture with positions, layers or attention that the
    tree does not support.
    """
    config = network.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ())
    slides = "sliding_attention" in kinds or (not kinds and getattr(config, "sliding_window", None) is not None)
    fault, tree = support.unsupported_because(network.config), TreeCache(lambda: network)
    try:
        difference = 1.0 if fault else _total_variation(network, tree)
    except torch.OutOfMemoryError:
        raise
    except (AttributeError, TypeError, ValueError, RuntimeError):  # it has other arguments or shapes
        difference = 1.0
    if (
        not difference <= _TOLERANCE.get(network.dtype, 0.1)
        or (slides and not tree.cache.windows)
        or len(tree.cache.layers) != config.num_hidden_layers
    ):
        fault = fault or "gives other probabilities in a prefix tree"
        raise UserError(f"model {config.name_or_path}: {config.model_type} {fault}; supported are {support.SUPPORTED}")


def _total_variation(network, tree: TreeCache) -> float:
    """The larger distance, over two branches, between the tree's next-token probabilities and the network's."""
    trunk = [(7 * i + 3) % 97 + 5 for i in range(24)]
    branches = [[*trunk[:12], *(token + 1 for token in trunk[12:])], trunk]
    tree.forward([tree.insert(trunk[:12], 11)[-1]])
    found = tree.forward([tree.insert(branch, 12)[-1] for branch in branches]).softmax(-1)
    plain = network(torch.tensor(branches, device=network.device), use_cache=False).logits[:, -1].float().softmax(-1)
    return (found - plain).abs().sum(-1).max().item() / 2 if found.shape == plain.shape else 1.0
