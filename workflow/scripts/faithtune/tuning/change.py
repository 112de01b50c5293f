"""How far a training moved the weights: the Frobenius norm of their change, alone and against the weights' own."""

import math
from collections.abc import Iterator

import torch


@torch.no_grad()
def measure(network, base) -> dict:
    """{"norm": ‖ΔW‖, "relative": ‖ΔW‖ / ‖W‖} over the weights that the training could move; in float32.

    Args:
        network: tuned. Of an adapter the layers that it adapts count; merging makes the network useless afterwards.
        base: returns the network before full tuning; not called for an adapter.

    A 4-bit layer counts by the matrix that LoRA adds, since merging would round it; both are None where its adapter is
    of another kind.
    """
    pairs = _adapted(network) if hasattr(network, "peft_config") else _all(network, base())
    moved = whole = 0.0
    for before, change in pairs:
        if change is None:
            return {"norm": None, "relative": None}
        moved += float(change.float().square().sum(dtype=torch.float64))
        whole += float(before.float().square().sum(dtype=torch.float64))
    return {"norm": math.sqrt(moved), "relative": math.sqrt(moved / whole)}


def _adapted(network) -> Iterator[tuple[torch.Tensor, torch.Tensor | None]]:
    """(weight, its change) of each adapted layer; None for the change if it cannot be computed."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for module in network.modules():
        if not isinstance(module, BaseTunerLayer) or not module.active_adapters:
            continue
        weight = module.get_base_layer().weight
        if weight.is_floating_point():
            before = weight.detach().float()
            weight.data = before.clone()
            module.merge()
            yield before, module.get_base_layer().weight - before
        else:
            import bitsandbytes

            before, name = (
                bitsandbytes.functional.dequantize_4bit(weight, weight.quant_state),
                module.active_adapters[0],
            )
            exact = hasattr(module, "get_delta_weight") and not getattr(module, "use_dora", {}).get(name)
            yield before, module.get_delta_weight(name) if exact else None


def _all(network, base) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """(weight, its change) of every parameter."""
    before = dict(base.named_parameters())
    for name, weight in network.named_parameters():
        yield before[name], weight.detach().to(before[name].device) - before[name]
