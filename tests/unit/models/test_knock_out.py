"""A part of a prompt that is hidden in the tree is hidden as by a mask of four axes in plain transformers."""

import pytest
import torch
from test_tree_cache import ARCHITECTURES, network

import small
from faithtune.extraction.steps import line_ended
from faithtune.models.backend import KnockOut, Query
from faithtune.models.tree import Blind
from faithtune.models.tree_cache import TreeCache
from masks import masked

TOKENS = [*range(5, 45)]
# What the tokens from 30 on cannot see, and in which layers.
CUTS = [
    Blind(frozenset(range(3, 28))),
    Blind(frozenset({1, 7, 29}), range(1, 2)),
    Blind(frozenset(range(2, 30)), range(0, 2)),
]
START = 30


@torch.inference_mode()
@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_hidden_parts_equal_masks(kind, stacked):
    net = network(kind, **ARCHITECTURES[kind])
    cache = TreeCache(lambda: net, stacked)
    seen = cache.insert(TOKENS[:START], START)
    plain = cache.insert(TOKENS, START)
    branches = [cache.branch(seen, TOKENS[START:], cut) for cut in CUTS]
    found = cache.forward([node for nodes in (plain[START:], *branches) for node in nodes]).split(len(TOKENS) - START)
    assert torch.allclose(found[0], masked(net, TOKENS, START, Blind())[START:], atol=1e-4)
    for mine, cut in zip(found[1:], CUTS, strict=True):
        assert torch.allclose(mine, masked(net, TOKENS, START, cut)[START:], atol=1e-4)
        assert (mine - found[0]).abs().max() > 1e-2  # it makes a difference


@torch.inference_mode()
def test_a_blind_branch_is_found_by_no_other_text():
    net = network("llama")
    cache = TreeCache(lambda: net)
    seen = cache.insert(TOKENS[:START], START)
    cache.branch(seen, TOKENS[START:], CUTS[0])
    again = cache.insert(TOKENS, len(TOKENS) - 1)
    assert torch.allclose(cache.forward([again[-1]])[0], masked(net, TOKENS, START, Blind())[-1], atol=1e-4)


def by_hand(net, query: Query, n_new: int) -> list[int]:
    """The tokens that are written greedily after a query's prompt, one whole pass a token."""
    cut = query.knock_out
    blind = Blind(frozenset(cut.hidden), cut.layers and range(*cut.layers)) if cut else Blind()
    ids = small.tokenizer()(query.prompt, add_special_tokens=False)["input_ids"]
    written = []
    for _ in range(n_new):
        logits = masked(net, ids + written, cut.start if cut else 0, blind)[-1]
        written.append(int(logits.argmax()))
    return written


@pytest.mark.parametrize("draft", [None, " 7", " red"])
def test_a_number_is_written_with_the_part_hidden(draft):
    """Every token of the answer, not the first alone; whatever was expected of it."""
    net = small.network(3)
    model = small.model(net)
    prompt = model.render("red plus 3 blue", "Step 1: red plus 4\nFinal Answer:")
    n = len(model.token_ids(prompt))
    cuts = [None, *(KnockOut(n - 3, tuple(range(1, end)), layers) for end in (4, n - 3) for layers in (None, (0, 1)))]
    queries = [Query(prompt, reference="7", draft=draft, knock_out=cut) for cut in cuts]
    for _ in model.memory_groups([[prompt]]):
        found = dict(model.answer(queries, 5, line_ended))
    stops = model.stop_tokens
    said = []
    for i, query in enumerate(queries):
        expected = by_hand(net, query, 5)
        cut = next((place for place, token in enumerate(expected) if token in stops), len(expected))
        text = small.tokenizer().decode(expected[:cut], skip_special_tokens=True)
        whole = next((text[:end] for end in range(1, len(text) + 1) if line_ended(text[:end])), text)
        assert found[i].text.startswith(whole.rstrip("\n")[:3]) and text.startswith(found[i].text.rstrip("\n"))
        said.append((found[i].text, found[i].p_reference))
    assert len(set(said)) == len(said)
