"""The prefix tree: the distinct tokens of many prompts, each laid out once.

The interventions of one question share its prompt and the first steps of its
chain. Their token sequences are merged into a tree; the tree's nodes become one
sequence in which a token attends to its ancestors only and sits at the position
of its depth. One forward pass then gives, at every node, what a causal model
computes at the end of that node's own path.

    a b c        nodes  a b c d      parents  -1 0 1 1      positions  0 1 2 2
    a b d
"""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Tree:
    """Nodes in an order that puts every parent before its children."""

    tokens: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)  # -1 for a root
    positions: list[int] = field(default_factory=list)  # depth from 0
    children: dict[tuple[int, int], int] = field(default_factory=dict)  # (parent, token) -> node

    def insert(self, path: list[int]) -> list[int]:
        """Add a token sequence; returns its nodes, one a token."""
        nodes, node = [], -1
        for position, token in enumerate(path):
            child = self.children.get((node, token))
            if child is None:
                child = self.children[node, token] = len(self.tokens)
                self.tokens.append(token)
                self.parents.append(node)
                self.positions.append(position)
            nodes.append(child)
            node = child
        return nodes

    def __len__(self) -> int:
        return len(self.tokens)


def ancestor_mask(parents: list[int], size: int) -> np.ndarray:
    """Boolean (size, size): node i attends to j where j is i or an ancestor of i.

    Rows beyond the tree are padding; they attend to themselves, because a row
    that attends to nothing has no softmax.
    """
    mask = np.eye(size, dtype=bool)
    for node, parent in enumerate(parents):
        if parent >= 0:
            mask[node] |= mask[parent]
    return mask
