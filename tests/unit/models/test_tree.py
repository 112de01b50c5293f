"""The prefix tree holds distinct tokens once, each on its own path."""

from hypothesis import given
from hypothesis import strategies as st

from faithtune.models.tree import Tree

SEQUENCES = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), min_size=1, max_size=8)


@given(SEQUENCES)
def test_a_sequence_reads_back_along_its_path(sequences):
    tree = Tree()
    for tokens in sequences:
        known = [tree.tokens[node] for node in tree.known_prefix(tokens)]
        assert known == tokens[: len(known)]
        path = tree.insert(tokens)
        assert [tree.tokens[node] for node in path] == tokens
        assert [tree.positions[node] for node in path] == list(range(len(tokens)))
        assert tree.known_prefix(tokens) == path


@given(SEQUENCES)
def test_a_node_for_each_distinct_prefix(sequences):
    tree = Tree()
    for tokens in sequences:
        tree.insert(tokens)
    assert len(tree) == len({tuple(tokens[:i]) for tokens in sequences for i in range(1, len(tokens) + 1)})


@given(SEQUENCES, st.data())
def test_what_is_kept_reads_as_before_and_what_is_not_is_unknown(sequences, data):
    tree = Tree()
    paths = [tree.insert(tokens) for tokens in sequences]
    kept = data.draw(st.sets(st.sampled_from(range(len(paths)))))
    order = tree.prune(node for i in kept for node in paths[i])
    assert len(tree) == len(order) == len({node for i in kept for node in paths[i]})
    new = {node: i for i, node in enumerate(order)}
    for i, tokens in enumerate(sequences):
        expected = [new[node] for node in paths[i] if node in new]
        assert tree.known_prefix(tokens) == expected
        assert [tree.tokens[node] for node in expected] == tokens[: len(expected)]
        assert [tree.positions[node] for node in expected] == list(range(len(expected)))


def test_an_appended_node_is_new_even_if_its_token_is_there():
    tree = Tree()
    [first] = tree.insert([7])
    path = []
    tree.append(path, 7)
    assert path != [first]
    assert tree.positions == [0, 0]
