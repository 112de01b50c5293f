"""A prefix tree with the keys and values of its nodes: computed once, used by every branch."""

from collections.abc import Callable

import torch

from faithtune.core.errors import UserError
from faithtune.models import support
from faithtune.models.attention import KeyValues, lay_out
from faithtune.models.tree import Run, Tree


class Forest:
    """Token sequences in one tree; `grow` computes the nodes that were laid since it was last called."""

    def __init__(self, load: Callable, stacked: bool | None = None):
        self.load = load  # returns the network, when first needed
        self.stacked = stacked  # blocks of like size together: None where that is faster, on an accelerator
        self.tree = Tree()
        self.memory = KeyValues()
        self.runs: list[Run] = []
        self.computed = 0  # nodes so far, those that were pruned since too
        self.done = 0  # nodes of the tree that have keys and values

    def lay(self, tokens: list[int], wanted_from: int) -> list[int]:
        """Lay out a sequence; returns its path.

        The nodes from place `wanted_from` on are laid anew where an earlier call
        of `grow` computed them, because it kept no logits.
        """
        path = self.tree.known(tokens)
        if len(path) > wanted_from and path[wanted_from] < self.done:
            del path[wanted_from:]
        start = len(path)
        for token in tokens[start:]:
            self.tree.append(path, token)
        if start < len(path):
            self.runs.append(Run(path.copy(), start))
        return path

    def append(self, path: list[int], tokens: list[int]) -> list[int]:
        """Lay out tokens behind a path, beside whatever stands there; returns their nodes."""
        whole = path.copy()
        for token in tokens:
            self.tree.append(whole, token)
        self.runs.append(Run(whole, len(path)))
        return whole[len(path) :]

    def grow(self, wanted: list[int]) -> torch.Tensor:
        """Compute the new nodes.

        Returns their next-token logits, float32 (len(wanted), vocabulary), at
        the `wanted` nodes, which must be among the new ones.
        """
        network, tree, start = self.load(), self.tree, self.done
        device = network.device
        stacked = device.type != "cpu" if self.stacked is None else self.stacked
        layout = lay_out(self.memory, self.runs, start, stacked, device)
        output = network(
            input_ids=torch.tensor([tree.tokens[start:]], device=device),
            position_ids=torch.tensor([tree.positions[start:]], device=device),
            attention_mask=torch.ones((1, 1, 1, 1), dtype=torch.bool, device=device),  # of four axes: left as it is
            logits_to_keep=torch.tensor(wanted, device=device) - start,
            use_cache=False,
            tree=layout,
        )
        self.runs, self.done = [], len(tree)
        self.computed += len(tree) - start
        return output.logits[0].float()

    def prune(self, paths: list[list[int]]) -> None:
        """Forget all nodes that are on none of `paths`, whose nodes are numbered anew in place."""
        order = self.tree.prune(node for path in paths for node in path)
        self.memory.keep(order)
        self.done = len(order)
        new = {node: i for i, node in enumerate(order)}
        for path in paths:
            path[:] = [new[node] for node in path]


# How far next-token probabilities may be from transformers' own (total variation).
_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.03}


@torch.inference_mode()
def check(network) -> None:
    """UserError where the tree does not compute what the network itself computes.

    Asked on a few tokens in two branches: an architecture with other positions,
    layers or attention than the tree knows shows at once.
    """
    config = network.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ())
    slides = "sliding_attention" in kinds or (not kinds and getattr(config, "sliding_window", None) is not None)
    fault, woods = support.fault(network.config), Forest(lambda: network)
    try:
        difference = 1.0 if fault else _difference(network, woods)
    except torch.OutOfMemoryError:
        raise
    except (AttributeError, TypeError, ValueError, RuntimeError):  # it takes no such arguments, or has other shapes
        difference = 1.0
    if (
        not difference <= _TOLERANCE.get(network.dtype, 0.1)
        or (slides and not woods.memory.windows)
        or len(woods.memory.layers) != config.num_hidden_layers
    ):
        fault = fault or "is not computed rightly in a prefix tree"
        raise UserError(f"model {config.name_or_path}: {config.model_type} {fault}; supported are {support.SUPPORTED}")


def _difference(network, woods: Forest) -> float:
    """Total variation between a tree's next-token probabilities and the network's, the larger of two branches."""
    trunk = [(7 * i + 3) % 97 + 5 for i in range(24)]
    branches = [[*trunk[:12], *(token + 1 for token in trunk[12:])], trunk]
    woods.grow([woods.lay(trunk[:12], 11)[-1]])
    found = woods.grow([woods.lay(branch, 12)[-1] for branch in branches]).softmax(-1)
    plain = network(torch.tensor(branches, device=network.device), use_cache=False).logits[:, -1].float().softmax(-1)
    return (found - plain).abs().sum(-1).max().item() / 2 if found.shape == plain.shape else 1.0
