"""Attention along the branches of a prefix tree, for the models of transformers.

A node attends to the nodes of its own path only. A dense mask over all packed tokens would cost as much for masked
pairs as for the others. So queries are grouped into *blocks*: some queries, the keys they may attend to, and a mask.
On a CPU, short segments (answer cues, decoded tokens) whose paths overlap share a block. On an accelerator, segments
of similar size are stacked and padded, which takes fewer calls.

`tree_attention` is registered as the attention implementation "tree". It computes blocks if the model is called with
`tree=TreeLayout`; otherwise it is the SDPA of transformers.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from faithtune.core.errors import UserError
from faithtune.models.tree import Segment

SHORT_SEGMENT = 16  # nodes; longer segments have a block of their own
BLOCK_KEYS = 1024  # the most keys that short segments may share
# Is called with a layer's number; queries of the new nodes, (heads, new nodes, size); keys and values of all nodes,
# (nodes, key heads, size) each; the scale of their products; and the layer's window, if it has one.
Watch = Callable[[int, torch.Tensor, torch.Tensor, torch.Tensor, float | None, int | None], None]


class KVCache:
    """Keys and values of every layer, a row for each node: (rows, heads, size)."""

    def __init__(self):
        self.layers: dict[int, list[torch.Tensor]] = {}
        self.windows: set[int] = set()  # sizes of the sliding windows that layers used

    def write(self, layer: int, start: int, key: torch.Tensor, value: torch.Tensor) -> list[torch.Tensor]:
        """Write key and value, each (1, heads, new rows, size), to a layer's rows from `start` on; returns all rows."""
        end = start + key.shape[2]
        rows = self.layers.setdefault(layer, [new.new_empty((0, new.shape[1], new.shape[3])) for new in (key, value)])
        for i, new in enumerate((key, value)):
            if len(rows[i]) < end:  # at least double the size, so that growing copies a row once on average
                larger = new.new_empty((max(end, 2 * start), new.shape[1], new.shape[3]))
                larger[:start] = rows[i][:start]
                rows[i] = larger
            rows[i][start:end] = new[0].transpose(0, 1)
        return rows

    def keep(self, nodes: list[int]) -> None:
        """Drop the rows of all other nodes; the rows of `nodes` are numbered in their order."""
        index = torch.tensor(nodes, dtype=torch.long)
        for rows in self.layers.values():
            rows[:] = [old[index.to(old.device)] for old in rows]


@dataclass
class AttentionBlock:
    """Queries and the keys they may attend to; a batch of them, padded to one size."""

    queries: torch.Tensor  # (batch, queries): indices among the new nodes; padding is the number of new nodes
    keys: torch.Tensor  # (batch, keys): nodes
    # (batch, queries, keys): steps from the key down to the query; -1 if masked, -2 - steps if hidden (`tree.Blind`)
    distance: torch.Tensor
    layers: range | None = None  # where keys are hidden; None: in all layers
    masks: dict[tuple[int, int | None, bool], torch.Tensor] = field(default_factory=dict)

    def to(self, device) -> "AttentionBlock":
        """The block on a device."""
        return AttentionBlock(*(each.to(device) for each in (self.queries, self.keys, self.distance)), self.layers)

    def mask(self, layer: int, query: torch.Tensor, n_groups: int, window: int | None) -> torch.Tensor:
        """The additive mask, (batch, 1, groups * queries, keys); window: in tokens, counting the query itself."""
        blind = self.layers is None or layer in self.layers
        if (n_groups, window, blind) not in self.masks:
            steps = self.distance if blind else torch.maximum(self.distance, -2 - self.distance)
            seen = steps >= 0 if window is None else (steps >= 0) & (steps < window)
            mask = query.new_zeros(seen.shape).masked_fill_(~seen, -torch.inf)
            self.masks[n_groups, window, blind] = mask.repeat(1, n_groups, 1)[:, None]
        return self.masks[n_groups, window, blind]


@dataclass
class TreeLayout:
    """The new nodes of a tree, as attention needs them."""

    cache: KVCache
    start: int  # the first new node
    blocks: list[AttentionBlock]
    watch: Watch | None = field(default=None, kw_only=True)

    def rows(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> list[torch.Tensor]:
        """Keys and values of all nodes, (nodes, heads, size) each; those of the new nodes are added to the cache."""
        return self.cache.write(layer, self.start, key, value)

    def attend(self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling, window):
        """Attention of the new nodes: from (1, heads, nodes, size) each to (1, nodes, heads, size)."""
        keys, values = self.rows(layer, key, value)
        if self.watch:
            self.watch(layer, query[0], keys, values, scaling, window)
        heads, (_, _, n_nodes, size) = key.shape[1], query.shape
        grouped = query[0].view(heads, -1, n_nodes, size)  # query heads that share a key head, side by side
        out = value.new_empty((n_nodes + 1, query.shape[1], value.shape[3]))  # the last row takes the padding
        for block in self.blocks:
            batch, n = block.queries.shape
            queries = grouped[:, :, block.queries.clamp(max=n_nodes - 1)].permute(2, 0, 1, 3, 4)
            attended = scaled_dot_product_attention(
                queries.reshape(batch, heads, -1, size),
                _gather(keys, block.keys).transpose(1, 2),
                _gather(values, block.keys).transpose(1, 2),
                attn_mask=block.mask(layer, query, grouped.shape[1], window),
                scale=scaling,
            )
            attended = attended.view(batch, heads, -1, n, value.shape[3]).permute(0, 3, 1, 2, 4)
            out[block.queries] = attended.reshape(batch, n, query.shape[1], -1)
        return out[None, :n_nodes]


def _gather(rows: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """rows[index], (batch, keys, heads, size), faster than by indexing."""
    return rows.index_select(0, index.view(-1)).view(*index.shape, *rows.shape[1:])


def tree_attention(module, query, key, value, attention_mask, tree: TreeLayout | None = None, **kwargs):
    """An attention function of transformers: computes the blocks of `tree`; plain SDPA without a tree.

    Raises UserError for an attention that blocks do not compute.
    """
    if tree is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    for name in ("softcap", "s_aux", "position_bias"):
        if kwargs.get(name) is not None:
            raise UserError(f"model: its attention uses {name}, which the prefix tree does not compute")
    if kwargs.get("dropout"):
        raise UserError("model: attention_dropout is not 0 in its config.json; expected 0: the prefix tree has none")
    window = kwargs.get("sliding_window")
    if window is not None:
        tree.cache.windows.add(window)
    return tree.attend(module.layer_idx, query, key, value, kwargs.get("scaling"), window), None


AttentionInterface.register("tree", tree_attention)
AttentionMaskInterface.register("tree", sdpa_mask)


def build_layout(cache: KVCache, segments: Sequence[Segment], start: int, stacked: bool, device) -> TreeLayout:
    """Divide segments, which hold all nodes from `start` on, into blocks.

    stacked: stack segments of similar size (accelerators) instead of joining short ones (CPUs).
    """
    n_new, blocks = sum(len(segment.path) - segment.start for segment in segments), []
    for layers in dict.fromkeys(segment.blind.layers for segment in segments):
        alike = [segment for segment in segments if segment.blind.layers == layers]
        if stacked:
            found = [_stacked_block(group, start, n_new, device) for group in _same_size(alike)]
        else:
            found = [_joint_block(group, start, device) for group in _share_block(alike)]
        blocks += [replace(block, layers=layers) for block in found]
    return TreeLayout(cache, start, blocks)


def _share_block(segments: Sequence[Segment]) -> Iterator[list[Segment]]:
    """Group segments: each long one alone, short ones as long as they have at most BLOCK_KEYS keys."""
    group, keys = [], set()
    for segment in segments:
        if len(segment.path) - segment.start > SHORT_SEGMENT:
            yield [segment]
            continue
        if group and len(keys.union(segment.path)) > BLOCK_KEYS:
            yield group
            group, keys = [], set()
        group.append(segment)
        keys.update(segment.path)
    if group:
        yield group


def _joint_block(segments: list[Segment], start: int, device) -> AttentionBlock:
    """A block without padding: the nodes of all segments attend within the union of their paths."""
    paths = [np.array(segment.path) for segment in segments]
    keys = functools.reduce(np.union1d, paths)
    queries = np.concatenate([path[segment.start :] for path, segment in zip(paths, segments, strict=True)])
    distance, hidden = np.full((len(queries), len(keys)), -1), np.zeros((len(queries), len(keys)), dtype=bool)
    first = 0
    for path, segment in zip(paths, segments, strict=True):
        depths = np.arange(segment.start, len(path))
        own = slice(first, first + len(depths))
        distance[own, np.searchsorted(keys, path)] = np.maximum(-1, depths[:, None] - np.arange(len(path)))
        if segment.blind.hidden:
            hidden[own] = np.isin(keys, list(segment.blind.hidden))
        first += len(depths)
    arrays = (queries - start, keys, distance, hidden)
    queries, keys, distance, hidden = (torch.from_numpy(array[None]).to(device) for array in arrays)
    return AttentionBlock(queries, keys, _hide(distance, hidden) if hidden.any() else distance)


def _hide(distance: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    """Distances, at least -1, with the hidden keys marked; a masked key stays masked."""
    return torch.where(hidden, -2 - distance, distance)


def _same_size(segments: Sequence[Segment]) -> Iterable[list[Segment]]:
    """Group segments of similar size, so that stacking them needs little padding."""
    sizes: dict[tuple[int, int], list[Segment]] = {}
    for segment in segments:
        size = (len(segment.path) - segment.start).bit_length(), len(segment.path) // 256
        sizes.setdefault(size, []).append(segment)
    return sizes.values()


def _stacked_block(segments: list[Segment], start: int, n_new: int, device) -> AttentionBlock:
    """A block with a row for each segment, padded; each row has its own path. n_new: the number of new nodes."""
    n_queries = max(len(segment.path) - segment.start for segment in segments)
    n_keys = max(len(segment.path) for segment in segments)
    queries = np.full((len(segments), n_queries), n_new)
    keys = np.zeros((len(segments), n_keys), dtype=np.int64)
    depths = np.full((len(segments), n_queries), n_keys)  # padding attends to all keys: its output is dropped
    for i, segment in enumerate(segments):
        n = len(segment.path) - segment.start
        keys[i, : len(segment.path)] = segment.path
        queries[i, :n] = keys[i, segment.start : len(segment.path)] - start
        depths[i, :n] = range(segment.start, len(segment.path))
    hidden = np.array([np.isin(row, list(one.blind.hidden)) for row, one in zip(keys, segments, strict=True)])
    queries, keys, depths, hidden = (torch.from_numpy(array).to(device) for array in (queries, keys, depths, hidden))
    # Keys are in the order of their depths, so padding keys are deeper than every query: masked.
    distance = (depths[:, :, None] - torch.arange(n_keys, device=device)).clamp(min=-1)
    return AttentionBlock(queries, keys, _hide(distance, hidden[:, None]) if hidden.any() else distance)
