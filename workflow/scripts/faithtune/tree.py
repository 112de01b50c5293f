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
        """Add a token sequence from the root on; returns its nodes, one a token."""
        nodes, node = [], -1
        for token in path:
            known = self.children.get((node, token))
            node = self.append(node, token) if known is None else known
            nodes.append(node)
        return nodes

    def append(self, parent: int, token: int) -> int:
        """Add a new node below `parent`, whatever nodes it has; returns it."""
        node = len(self.tokens)
        self.tokens.append(token)
        self.parents.append(parent)
        self.positions.append(self.positions[parent] + 1 if parent >= 0 else 0)
        self.children[parent, token] = node
        return node

    def extend(self, mask: np.ndarray) -> np.ndarray:
        """Boolean (nodes, nodes): node i attends to j where j is i or an ancestor of i.

        `mask` is that of the first nodes, (0, 0) for none.
        """
        done, size = len(mask), len(self.tokens)
        full = np.eye(size, dtype=bool)
        full[:done, :done] = mask
        for node in range(done, size):
            if self.parents[node] >= 0:
                full[node] |= full[self.parents[node]]
        return full

    def __len__(self) -> int:
        return len(self.tokens)
