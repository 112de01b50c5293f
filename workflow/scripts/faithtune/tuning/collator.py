"""A micro-batch of training examples as one prefix tree: no padding, and beginnings that examples share once.

All prompts of a study begin alike, a one-shot example included, so a good part
of a micro-batch is the same tokens. They are computed once and get the gradients
of every example behind them: what each example would give alone, summed, save
that the examples then share the dropout of what they share.

Of the nodes only those that predict a learnt token are scored against the
vocabulary, which for a small model is as much work as all its layers.
"""

from dataclasses import dataclass

import torch

from faithtune.models.attention import KeyValues, Layout, lay_out
from faithtune.models.tree import Run, Tree


@dataclass
class TrainingLayout(Layout):
    """How a micro-batch lies in its tree, as attention needs it, and which of its nodes are scored."""

    predicting: torch.Tensor  # (learnt tokens,): the node before each; several learnt tokens may have one

    def rows(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> list[torch.Tensor]:
        """Keys and values of this pass alone: `KeyValues` writes in place, which gradients do not survive."""
        return [new[0].transpose(0, 1) for new in (key, value)]

    def to(self, device, **_) -> "TrainingLayout":
        """All of it on a device; asked for by the trainer."""
        blocks = [block.to(device) for block in self.blocks]
        return TrainingLayout(self.memory, self.start, blocks, self.predicting.to(device))


class Collator:
    """Makes a trainer's batch of examples {input_ids, labels}, labels -100 where nothing is learnt."""

    def __init__(self, stacked: bool):
        self.stacked = stacked  # see `attention.lay_out`

    def __call__(self, examples: list[dict]) -> dict:
        """What the network is called with; no token is padding."""
        tree, runs, predicting, learnt = Tree(), [], [], []
        for example in examples:
            tokens = example["input_ids"][:-1]  # the last one predicts nothing
            start = len(tree.known(tokens))
            path = tree.insert(tokens)
            if start < len(path):
                runs.append(Run(path, start))
            for node, label in zip(path, example["labels"][1:], strict=True):
                if label != -100:
                    predicting.append(node)
                    learnt.append(label)
        layout = lay_out(KeyValues(), runs, 0, self.stacked, "cpu")
        return {
            "input_ids": torch.tensor([tree.tokens]),
            "position_ids": torch.tensor([tree.positions]),
            "attention_mask": torch.ones((1, 1, 1, len(tree)), dtype=torch.bool),  # of four axes: left as it is
            "labels": torch.tensor([learnt]),  # TRL scores shift_labels, and asks whether there are labels
            "shift_labels": torch.tensor([learnt]),
            "tree": TrainingLayout(layout.memory, layout.start, layout.blocks, torch.tensor(predicting)),
        }


def score_predicting(network) -> None:
    """From now on the network's head gets, of a tree of TrainingLayout, only the nodes that predict."""

    def keep(module, args, kwargs, output):
        tree = kwargs.get("tree")
        if isinstance(tree, TrainingLayout):
            output.last_hidden_state = output.last_hidden_state[:, tree.predicting]
        return output

    network.base_model.register_forward_hook(keep, with_kwargs=True)
