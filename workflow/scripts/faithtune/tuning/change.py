"""How far a training moved the weights: the Frobenius norm of their change, alone and against the weights' own."""

import math
from collections.abc import Iterator

import torch


@torch.no_grad()
def measure(network, base) -> dict:
    """{"norm": ‖ΔW‖, "relative": ‖ΔW‖ / ‖W‖} over the weights that the training could move.

    Args:
        network: tuned. Of an adapter the layers that it adapts count; merging makes the network useless afterwards.
        base: returns the network before full tuning; not called for an adapter.

    A 4-bit layer counts by the change that its adapter of low rank adds, since merging would round it.
    """
    pairs = _adapted(network) if hasattr(network, "peft_config") else _all(network, base())
    moved = whole = 0.0
    for before, change in pairs:
        moved += float(change.float().square().sum(dtype=torch.float64))
        whole += float(before.float().square().sum(dtype=torch.float64))
    return {"norm": math.sqrt(moved), "relative": math.sqrt(moved / whole)}


def _adapted(network) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """(weight, its change) of each adapted layer."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for module in network.modules():
        if not isinstance(module, BaseTunerLayer) or not module.active_adapters:
            continue
        weight = module.get_base_layer().weight
        if weight.is_floating_point():
            before = weight.detach().clone()
            module.merge()
            yield before, module.get_base_layer().weight - before
        else:
            import bitsandbytes

            before = bitsandbytes.functional.dequantize_4bit(weight, weight.quant_state)
            yield before, module.get_delta_weight(module.active_adapters[0])


def _all(network, base) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """(weight, its change) of every parameter."""
    before = dict(base.named_parameters())
    for name, weight in network.named_parameters():
        yield before[name], weight.detach().to(before[name].device) - before[name]
