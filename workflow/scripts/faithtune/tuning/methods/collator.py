"""Collates a micro-batch of training examples into one prefix tree: no padding, and common beginnings only once.

The prompts of a study begin alike, so much of a micro-batch is the same tokens.
Shared tokens are computed once and get the sum of the gradients that the examples
would give alone, except that the examples also share their dropout.

Only nodes that predict a learnt token are scored against the vocabulary: for a
small model, scoring is as much work as all its layers.
"""

from dataclasses import dataclass

import torch

from faithtune.models.attention import KVCache, TreeLayout, build_layout
from faithtune.models.tree import Segment, Tree


@dataclass
class TrainingLayout(TreeLayout):
    """How a micro-batch lies in its tree, as attention needs it, and which of its nodes are scored."""

    predicting: torch.Tensor  # (learnt tokens,): the node before each token; several tokens may share a node

    def rows(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> list[torch.Tensor]:
        """Keys and values of this pass alone: `KVCache` writes in place, which gradients do not survive."""
        return [new[0].transpose(0, 1) for new in (key, value)]

    def to(self, device, **_) -> "TrainingLayout":
        """The layout on a device; called by the trainer."""
        blocks = [block.to(device) for block in self.blocks]
        return TrainingLayout(self.cache, self.start, blocks, self.predicting.to(device))


class Collator:
    """Collates examples {input_ids, labels} for a trainer; labels are -100 for tokens that are not learnt."""

    def __init__(self, stacked: bool):
        self.stacked = stacked  # see `attention.build_layout`

    def __call__(self, examples: list[dict]) -> dict:
        """The network's keyword arguments for one micro-batch, without padding."""
        tree, runs, predicting, learnt = Tree(), [], [], []
        for example in examples:
            tokens = example["input_ids"][:-1]  # the last one predicts nothing
            start = len(tree.known_prefix(tokens))
            path = tree.insert(tokens)
            if start < len(path):
                runs.append(Segment(path, start))
            for node, label in zip(path, example["labels"][1:], strict=True):
                if label != -100:
                    predicting.append(node)
                    learnt.append(label)
        layout = build_layout(KVCache(), runs, 0, self.stacked, "cpu")
        return {
            "input_ids": torch.tensor([tree.tokens]),
            "position_ids": torch.tensor([tree.positions]),
            "attention_mask": torch.ones((1, 1, 1, len(tree)), dtype=torch.bool),  # transformers keeps four axes
            "labels": torch.tensor([learnt]),  # TRL scores shift_labels, and asks whether there are labels
            "shift_labels": torch.tensor([learnt]),
            "tree": TrainingLayout(layout.cache, layout.start, layout.blocks, torch.tensor(predicting)),
        }


def score_predicting(network) -> None:
    """Hook the network so that its head gets only the predicting nodes of a TrainingLayout."""

    def keep(module, args, kwargs, output):
        tree = kwargs.get("tree")
        if isinstance(tree, TrainingLayout):
            output.last_hidden_state = output.last_hidden_state[:, tree.predicting]
        return output

    network.base_model.register_forward_hook(keep, with_kwargs=True)
