"""The prefix tree: the distinct tokens of many prompts, each stored once.

The interventions of one question share its prompt and the first steps of its chain. Their token sequences are merged
into a tree. The tree's nodes form one sequence in which a token attends to its ancestors only and has the position of
its depth. One forward pass then computes, at every node, what a causal model computes at the end of the node's path.

    a b c        nodes  a b c d      positions  0 1 2 2
    a b d

A sequence that differs from the tree from some token on adds one *segment*: the nodes from there to its end.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple


class Blind(NamedTuple):
    """What the nodes of a segment cannot see of their path: attention is knocked out."""

    hidden: frozenset[int] = frozenset()  # nodes before the segment
    layers: range | None = None  # in these layers, from 0; None: in all


SIGHTED = Blind()


class Segment(NamedTuple):
    """Consecutive new nodes: the end of one path. They attend to nodes of this path only."""

    path: list[int]  # nodes from the root to the last node of the segment
    start: int  # index in `path` of the segment's first node
    blind: Blind = SIGHTED


@dataclass
class Tree:
    """Nodes in an order that puts every parent before its children."""

    tokens: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)  # depth from 0
    children: dict[tuple[int, int], int] = field(default_factory=dict)  # (parent or -1, token) -> node

    def known_prefix(self, tokens: list[int]) -> list[int]:
        """The path of the longest prefix of `tokens` that the tree holds."""
        path, node = [], -1
        for token in tokens:
            node = self.children.get((node, token))
            if node is None:
                break
            path.append(node)
        return path

    def insert(self, tokens: list[int]) -> list[int]:
        """Add a token sequence, from the root; returns its path."""
        path = self.known_prefix(tokens)
        for token in tokens[len(path) :]:
            self.append(path, token)
        return path

    def append(self, path: list[int], token: int, known: bool = True) -> None:
        """Extend `path`, in place, by a new node, even if the tree has a node for this token there.

        known: whether `known_prefix` finds the node.
        """
        node = len(self.tokens)
        self.tokens.append(token)
        self.positions.append(len(path))
        if known:
            self.children[path[-1] if path else -1, token] = node
        path.append(node)

    def prune(self, kept: Iterable[int]) -> list[int]:
        """Drop all nodes but `kept`, which must include their parents, and renumber the rest.

        Returns the old numbers of the kept nodes, in the new order.
        """
        order = sorted(set(kept))
        new = {-1: -1} | {node: i for i, node in enumerate(order)}
        self.tokens = [self.tokens[node] for node in order]
        self.positions = [self.positions[node] for node in order]
        self.children = {
            (new[parent], token): new[node]
            for (parent, token), node in self.children.items()
            if node in new and parent in new
        }
        return order

    def __len__(self) -> int:
        return len(self.tokens)
