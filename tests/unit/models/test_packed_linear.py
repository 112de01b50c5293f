"""Packed layers compute the same as PyTorch's layers."""

import functools

import pytest
import torch

from faithtune.models import packed_linear, precision

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this PyTorch has no oneDNN")


def network(dtype: torch.dtype, bias: bool = False) -> torch.nn.Module:
    torch.manual_seed(0)
    layers = [torch.nn.Linear(128, 320, bias=bias), torch.nn.SiLU(), torch.nn.Linear(320, 64, bias=bias)]
    return torch.nn.Sequential(*layers).to(dtype)


def both(dtype: torch.dtype, tokens: int, bias: bool = False) -> list[torch.Tensor]:
    """The output of a network, before and after packing."""
    net, x = network(dtype, bias), torch.randn(1, tokens, 128).to(dtype)
    with torch.inference_mode():
        before = net(x)
        packed_linear.pack(net)
        assert [type(layer) for layer in net] == [
            packed_linear.PackedLinear,
            torch.nn.SiLU,
            packed_linear.PackedLinear,
        ]
        return [before, net(x)]


@pytest.mark.parametrize("tokens", [1, 5, 32, 33, 300])
@pytest.mark.parametrize("bias", [False, True])
def test_float32_differs_by_rounding(tokens, bias):
    before, after = both(torch.float32, tokens, bias)
    assert torch.allclose(before, after, atol=1e-5)


@pytest.mark.skipif(precision.cpu().best != "bfloat16", reason="this processor emulates bfloat16")
@pytest.mark.parametrize("tokens", [1, 5, 32, 33, 300])
@pytest.mark.parametrize("bias", [False, True])
def test_bfloat16_is_the_same_to_the_bit(tokens, bias):
    before, after = both(torch.bfloat16, tokens, bias)
    assert torch.equal(before, after)


@functools.cache
def thin(wide: int, narrow: int) -> torch.nn.Linear:
    """A random layer in bfloat16; 28 million weights take a quarter of a second to draw."""
    torch.manual_seed(0)
    return torch.nn.Linear(wide, narrow, bias=False).bfloat16()


@pytest.mark.skipif(precision.cpu().best != "bfloat16", reason="this processor emulates bfloat16")
@pytest.mark.parametrize("tokens", [1, 5, 32, 33, 300])
@pytest.mark.parametrize(("wide", "narrow"), [(576, 16), (1536, 576), (576, 49152)])
def test_an_adapters_thin_layers_in_bfloat16_are_the_same_to_the_bit(tokens, wide, narrow):
    for shape in ((wide, narrow), (narrow, wide)):
        layer = thin(*shape)
        torch.manual_seed(1)
        x = torch.randn(tokens, shape[0]).bfloat16()
        with torch.inference_mode():
            assert torch.equal(layer(x), packed_linear.PackedLinear(layer)(x))


def test_other_layers_stay():
    net = torch.nn.Sequential(torch.nn.Linear(128, 8), torch.nn.Embedding(9, 128), torch.nn.Linear(64, 64).half())
    packed_linear.pack(net)
    assert [type(layer) for layer in net] == [torch.nn.Linear, torch.nn.Embedding, torch.nn.Linear]


def test_emulated_bfloat16_stays(monkeypatch):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    net = network(torch.bfloat16)
    packed_linear.pack(net)
    assert not [layer for layer in net if isinstance(layer, packed_linear.PackedLinear)]
