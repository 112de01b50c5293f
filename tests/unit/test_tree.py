"""The prefix tree: distinct tokens once, each seeing its own path only."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from faithtune.tree import Tree

PATHS = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), min_size=1, max_size=8)


@given(PATHS)
def test_a_path_reads_back_along_its_nodes(paths):
    tree = Tree()
    for path in paths:
        nodes = tree.insert(path)
        assert [tree.tokens[node] for node in nodes] == path
        assert [tree.positions[node] for node in nodes] == list(range(len(path)))
        assert [tree.parents[node] for node in nodes] == [-1, *nodes[:-1]]


@given(PATHS)
def test_a_node_for_each_distinct_prefix(paths):
    tree = Tree()
    for path in paths:
        tree.insert(path)
    assert len(tree) == len({tuple(path[:i]) for path in paths for i in range(1, len(path) + 1)})


@given(PATHS)
def test_a_node_attends_to_its_path_and_nothing_else(paths):
    tree = Tree()
    inserted = [tree.insert(path) for path in paths]
    mask = tree.extend(np.zeros((0, 0), dtype=bool))
    for nodes in inserted:
        for depth, node in enumerate(nodes):
            assert np.flatnonzero(mask[node]).tolist() == sorted(nodes[: depth + 1])


@given(PATHS, PATHS)
def test_a_mask_grows_with_the_tree(paths, more):
    tree = Tree()
    for path in paths:
        tree.insert(path)
    mask = tree.extend(np.zeros((0, 0), dtype=bool))
    for path in more:
        tree.insert(path)
    assert (tree.extend(mask) == tree.extend(np.zeros((0, 0), dtype=bool))).all()


def test_an_appended_node_is_new_even_where_its_token_stands():
    tree = Tree()
    [first] = tree.insert([7])
    second = tree.append(-1, 7)
    assert first != second
    assert tree.positions == [0, 0]
