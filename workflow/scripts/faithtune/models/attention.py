"""Attention along the branches of a prefix tree, for the models of transformers.

A run's nodes attend to the run's path and to nothing else: no dense mask over
all that is packed, whose masked part would cost as much as the rest. What is
computed together is a *block*: queries, the keys they may look at, and a mask
among these. On a CPU short runs (answer cues, decoded tokens) that have much of
their paths in common share a block; an accelerator gets blocks of like size
stacked, in fewer calls.

`tree_attention` is registered under the name "tree". It computes blocks where
the model is called with `tree=Layout`, and is transformers' own SDPA otherwise.
"""

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from faithtune.core.errors import UserError
from faithtune.models.tree import Run

SHORT_RUN = 16  # nodes; longer runs have a block of their own
BLOCK_KEYS = 1024  # keys that short runs may have together


class KeyValues:
    """Keys and values of every layer, a row a node: (rows, heads, size)."""

    def __init__(self):
        self.layers: dict[int, list[torch.Tensor]] = {}
        self.windows: set[int] = set()  # of the layers that slide

    def write(self, layer: int, start: int, key: torch.Tensor, value: torch.Tensor) -> list[torch.Tensor]:
        """Set a layer's rows from `start` on to key and value, each (1, heads, new rows, size); returns all rows."""
        end = start + key.shape[2]
        rows = self.layers.setdefault(layer, [new.new_empty((0, new.shape[1], new.shape[3])) for new in (key, value)])
        for i, new in enumerate((key, value)):
            if len(rows[i]) < end:  # twice the room, so that growing copies a row once on average
                larger = new.new_empty((max(end, 2 * start), new.shape[1], new.shape[3]))
                larger[:start] = rows[i][:start]
                rows[i] = larger
            rows[i][start:end] = new[0].transpose(0, 1)
        return rows

    def keep(self, nodes: list[int]) -> None:
        """Drop all rows but these."""
        index = torch.tensor(nodes, dtype=torch.long)
        for rows in self.layers.values():
            rows[:] = [old[index.to(old.device)] for old in rows]


@dataclass
class Block:
    """Queries and the keys they may attend to, `batch` of them padded to one size."""

    queries: torch.Tensor  # (batch, queries): places among the new nodes; padding points behind the last
    keys: torch.Tensor  # (batch, keys): nodes
    distance: torch.Tensor  # (batch, queries, keys): steps from the key down to the query; < 0 where it may not look
    masks: dict[tuple[int, int | None], torch.Tensor] = field(default_factory=dict)

    def to(self, device) -> "Block":
        """The same on a device."""
        return Block(*(tensor.to(device) for tensor in (self.queries, self.keys, self.distance)))

    def mask(self, query: torch.Tensor, n_groups: int, window: int | None) -> torch.Tensor:
        """What is added to scores, (batch, 1, groups * queries, keys); a window is so many tokens, its own included."""
        if (n_groups, window) not in self.masks:
            seen = self.distance >= 0 if window is None else (self.distance >= 0) & (self.distance < window)
            mask = query.new_zeros(seen.shape).masked_fill_(~seen, -torch.inf)
            self.masks[n_groups, window] = mask.repeat(1, n_groups, 1)[:, None]
        return self.masks[n_groups, window]


@dataclass
class Layout:
    """New nodes of a forest as attention needs them."""

    memory: KeyValues
    start: int  # the first new node
    blocks: list[Block]

    def rows(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> list[torch.Tensor]:
        """Keys and values of all nodes, (nodes, heads, size) each, with the new ones, kept for nodes to come."""
        return self.memory.write(layer, self.start, key, value)

    def attend(self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling, window):
        """Attention of new nodes, (1, heads, nodes, size) each; returns (1, nodes, heads, size)."""
        keys, values = self.rows(layer, key, value)
        heads, (_, _, n_nodes, size) = key.shape[1], query.shape
        grouped = query[0].view(heads, -1, n_nodes, size)  # query heads that share a key head, side by side
        out = value.new_empty((n_nodes + 1, query.shape[1], value.shape[3]))  # a last row for the padding
        for block in self.blocks:
            batch, n = block.queries.shape
            asked = grouped[:, :, block.queries.clamp(max=n_nodes - 1)].permute(2, 0, 1, 3, 4)
            found = scaled_dot_product_attention(
                asked.reshape(batch, heads, -1, size),
                _gather(keys, block.keys).transpose(1, 2),
                _gather(values, block.keys).transpose(1, 2),
                attn_mask=block.mask(query, grouped.shape[1], window),
                scale=scaling,
            )
            found = found.view(batch, heads, -1, n, value.shape[3]).permute(0, 3, 1, 2, 4)
            out[block.queries] = found.reshape(batch, n, query.shape[1], -1)
        return out[None, :n_nodes]


def _gather(rows: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """rows[index], faster: (batch, keys, heads, size)."""
    return rows.index_select(0, index.view(-1)).view(*index.shape, *rows.shape[1:])


def tree_attention(module, query, key, value, attention_mask, tree: Layout | None = None, **kwargs):
    """An attention function of transformers: blocks of a `tree`, plain SDPA without one."""
    if tree is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    for name in ("softcap", "s_aux", "position_bias"):
        if kwargs.get(name) is not None:
            raise UserError(f"model: its attention uses {name}, which the prefix tree does not compute")
    if kwargs.get("dropout"):
        raise UserError("model: attention_dropout is not 0 in its config.json; expected 0, as the prefix tree has none")
    window = kwargs.get("sliding_window")
    if window is not None:
        tree.memory.windows.add(window)
    return tree.attend(module.layer_idx, query, key, value, kwargs.get("scaling"), window), None


AttentionInterface.register("tree", tree_attention)
AttentionMaskInterface.register("tree", sdpa_mask)


def lay_out(memory: KeyValues, runs: Sequence[Run], start: int, stacked: bool, device) -> Layout:
    """The blocks of runs whose nodes are `start` and all that follow."""
    if stacked:
        behind = sum(len(run.path) - run.start for run in runs)
        blocks = [_stack(alike, start, behind, device) for alike in _alike(runs)]
    else:
        blocks = [_join(shared, start, device) for shared in _together(runs)]
    return Layout(memory, start, blocks)


def _together(runs: Sequence[Run]) -> Iterator[list[Run]]:
    """Runs that share a block: each long one alone, short ones while their keys together are few."""
    joined, union = [], set()
    for run in runs:
        if len(run.path) - run.start > SHORT_RUN:
            yield [run]
            continue
        if joined and len(union.union(run.path)) > BLOCK_KEYS:
            yield joined
            joined, union = [], set()
        joined.append(run)
        union.update(run.path)
    if joined:
        yield joined


def _join(runs: list[Run], start: int, device) -> Block:
    """A block of all nodes of some runs and all nodes of their paths."""
    paths = [np.array(run.path) for run in runs]
    keys = functools.reduce(np.union1d, paths)
    queries = np.concatenate([path[run.start :] for path, run in zip(paths, runs, strict=True)])
    distance = np.full((len(queries), len(keys)), -1)
    first = 0
    for path, run in zip(paths, runs, strict=True):
        depths = np.arange(run.start, len(path))
        distance[first : first + len(depths), np.searchsorted(keys, path)] = depths[:, None] - np.arange(len(path))
        first += len(depths)
    return Block(*(torch.from_numpy(array[None]).to(device) for array in (queries - start, keys, distance)))


def _alike(runs: Sequence[Run]) -> Iterable[list[Run]]:
    """Runs of like size together, so that little is padded."""
    sizes: dict[tuple[int, int], list[Run]] = {}
    for run in runs:
        sizes.setdefault(((len(run.path) - run.start).bit_length(), len(run.path) // 256), []).append(run)
    return sizes.values()


def _stack(runs: list[Run], start: int, behind: int, device) -> Block:
    """A block of runs one above the other, each with its own path."""
    n_queries = max(len(run.path) - run.start for run in runs)
    n_keys = max(len(run.path) for run in runs)
    queries = np.full((len(runs), n_queries), behind)
    keys = np.zeros((len(runs), n_keys), dtype=np.int64)
    depths = np.full((len(runs), n_queries), n_keys)  # padding sees all: what comes out of it is dropped
    for i, run in enumerate(runs):
        n = len(run.path) - run.start
        keys[i, : len(run.path)] = run.path
        queries[i, :n] = keys[i, run.start : len(run.path)] - start
        depths[i, :n] = range(run.start, len(run.path))
    queries, keys, depths = (torch.from_numpy(array).to(device) for array in (queries, keys, depths))
    # A path's nodes stand in the order of their depths, so keys that pad it are deeper than its queries.
    return Block(queries, keys, depths[:, :, None] - torch.arange(n_keys, device=device))
