"""The tree cache computes what the network computes, whatever is shared, laid later, forgotten or stacked."""

import types

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model

from faithtune.core.errors import UserError
from faithtune.models import loading, tree_cache
from faithtune.models.tree_cache import TreeCache

SIZES = {
    "vocab_size": 128,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "attn_implementation": "tree",
    "initializer_range": 0.3,  # as large as after training, so that attention matters
}
# Three branches of a trunk: longer and shorter than a window of six, and than a short segment.
BRANCHES = [[*range(5, 40)], [*range(5, 25), 90, 91, 92], [*range(5, 30), *range(60, 90)]]


def network(kind: str, **more):
    """A random network of an architecture, in float32."""
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(kind, **SIZES | more)
    return transformers.AutoModelForCausalLM.from_config(config).eval()


@torch.inference_mode()
def plainly(net, tokens: list[int]) -> torch.Tensor:
    """Next-token logits after a sequence, by transformers' eager attention."""
    net.set_attn_implementation("eager")
    logits = net(torch.tensor([tokens]), use_cache=False).logits[0, -1]
    net.set_attn_implementation("tree")
    return logits


@torch.inference_mode()
def computed_in_a_tree(cache: TreeCache, sequences: list[list[int]]) -> torch.Tensor:
    paths = [cache.insert(tokens, len(tokens) - 1) for tokens in sequences]
    return cache.forward([path[-1] for path in paths])


_SLIDES = ("sliding", "full", "sliding")
ARCHITECTURES = {
    "llama": {},
    "qwen2": {},
    "qwen3": {"head_dim": 8},
    "gemma": {"head_dim": 8},
    "gemma3_text": {"head_dim": 8, "sliding_window": 6, "layer_types": [f"{a}_attention" for a in _SLIDES]},
    "mistral": {"sliding_window": 6},
}


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_architectures(kind, stacked):
    net = network(kind, **ARCHITECTURES[kind])
    tree_cache.check_network(net)
    cache = TreeCache(lambda: net, stacked)
    first = computed_in_a_tree(cache, [BRANCHES[0]])
    found = torch.cat([first, computed_in_a_tree(cache, BRANCHES[1:])])
    for tokens, logits in zip(BRANCHES, found, strict=True):
        assert torch.allclose(logits, plainly(net, tokens), atol=1e-4)


@pytest.mark.parametrize("kind", ["gemma3_text", "mistral"])
def test_the_windows_of_these_tests_matter(kind):
    narrow, full = (network(kind, **ARCHITECTURES[kind] | {"sliding_window": size}) for size in (6, 200))
    assert not torch.allclose(plainly(narrow, BRANCHES[0]), plainly(full, BRANCHES[0]), atol=1e-2)


LLAMA4 = {"head_dim": 8, "attention_chunk_size": 8, "num_local_experts": 1, "intermediate_size_mlp": 48}


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("gemma2", {"head_dim": 8}),  # caps its scores
        ("bloom", {"n_layer": 2, "n_head": 4}),  # a bias by distance in the sequence
        ("mamba", {"state_size": 4, "intermediate_size": 64}),  # no attention
        ("phimoe", {"sliding_window": 30, "num_local_experts": 2}),  # a window that attention does not get
        (
            "llama",
            {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}},
        ),
        ("llama4_text", LLAMA4),
        ("deepseek_v3", {"first_k_dense_replace": 3}),  # keys and values differ in size
    ],
)
def test_architectures_that_the_tree_does_not_compute_are_refused(kind, more):
    with pytest.raises(UserError, match=rf"{kind} .*; supported are decoders with rotary positions"):
        tree_cache.check_network(network(kind, **more))


@pytest.mark.parametrize("stacked", [False, True])
def test_adapters_are_computed(stacked):
    net = network("llama")
    before = plainly(net, BRANCHES[0])
    tuned = get_peft_model(net, LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False)).eval()
    found = computed_in_a_tree(TreeCache(lambda: tuned, stacked), BRANCHES)
    assert torch.allclose(found[2], plainly(tuned.base_model.model, BRANCHES[2]), atol=1e-4)
    assert not torch.allclose(found[0], before, atol=1e-2)


SEQUENCES = st.lists(st.lists(st.integers(5, 8), min_size=1, max_size=24), min_size=1, max_size=7)


@pytest.fixture(scope="module")
def llama():
    return network("llama")


@pytest.mark.parametrize("stacked", [False, True])
@settings(deadline=None, max_examples=25)
@given(first=SEQUENCES, then=SEQUENCES, pruned=st.booleans())
def test_random_trees(llama, stacked, first, then, pruned):
    cache = TreeCache(lambda: llama, stacked)
    found = [computed_in_a_tree(cache, first)]
    if pruned:
        cache.prune([cache.tree.known_prefix(tokens) for tokens in then])
    found = torch.cat([*found, computed_in_a_tree(cache, then)])
    for tokens, logits in zip(first + then, found, strict=True):
        expected = plainly(llama, tokens)
        assert logits.argmax() == expected.argmax()
        assert torch.allclose(logits.softmax(-1), expected.softmax(-1), atol=1e-4)


def test_a_token_is_computed_once():
    net = network("llama")
    cache = TreeCache(lambda: net)
    computed_in_a_tree(cache, BRANCHES)
    assert cache.n_computed == len({tuple(tokens[:i]) for tokens in BRANCHES for i in range(1, len(tokens) + 1)})
    computed_in_a_tree(cache, [[*BRANCHES[0], 99]])
    assert cache.n_computed == len(cache.tree)
    before = cache.n_computed
    computed_in_a_tree(cache, BRANCHES[:1])  # only the last token, whose logits were not kept
    assert cache.n_computed == before + 1


def test_the_token_budget_follows_the_machines_memory(tiny_model, monkeypatch):
    def budget_with(n_bytes):
        memory = types.SimpleNamespace(total=n_bytes, available=0)
        monkeypatch.setattr(loading.psutil, "virtual_memory", lambda: memory)
        return loading.packed_token_budget(tiny_model, "nf4", "float32", "cpu")

    assert budget_with(1 << 40) == loading.MAX_PACKED_TOKENS["cpu"]
    # A token of the tiny model: keys and values of 2 layers, 2 heads of 16; 8 hidden states of 64, 4 of 128; a
    # quarter of the logits; 4 bytes each.
    vocabulary = transformers.AutoConfig.from_pretrained(tiny_model).vocab_size
    per_token = (2 * 2 * 2 * 16 + 8 * 64 + 4 * 128 + vocabulary // 4) * 4
    weights = (tiny_model / "model.safetensors").stat().st_size
    assert budget_with(weights + 4 * 3000 * per_token) == 2048
    assert budget_with(0) == 512


@pytest.mark.parametrize(("quantisation", "tokens"), [("none", 2048), ("nf4", 4096)])
def test_the_token_budget_on_a_gpu_counts_quantised_weights(tiny_model, tmp_path, monkeypatch, quantisation, tokens):
    vocabulary = transformers.AutoConfig.from_pretrained(tiny_model).vocab_size
    left = 4 * 2048 * 2 * (2 * 2 * 2 * 16 + 8 * 64 + 4 * 128 + vocabulary // 4)  # as above, 2 bytes
    weights = int(left / 0.6) + 1000  # as NF4 they leave twice as much
    (tmp_path / "config.json").write_bytes((tiny_model / "config.json").read_bytes())
    with open(tmp_path / "model.safetensors", "wb") as file:
        file.truncate(weights)
    monkeypatch.setattr(loading.torch.cuda, "mem_get_info", lambda: (0, weights + left))
    assert loading.packed_token_budget(tmp_path, quantisation, "bfloat16", "cuda") == tokens
