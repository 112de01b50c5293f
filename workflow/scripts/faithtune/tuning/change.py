"""How far a training moved the weights: the change of each weight, and the Frobenius norm of all changes together."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch

# peft's names of weights begin with it.
_PREFIX = "base_model.model."


@dataclass(frozen=True)
class Product:
    """The matrix left @ right, (out, rank) @ (rank, in); only the factors are in memory."""

    left: torch.Tensor
    right: torch.Tensor

    @cached_property
    def core(self) -> torch.Tensor:
        """A matrix of at most (rank, rank) with the singular values of the product, float64.

        With left = Q R and rightᵀ = Q' R' it is R R'ᵀ, as Q and Q' are orthonormal. The product of the Gram matrices
        has the squares of these values, and would lose the small ones.
        """
        left, right = (torch.linalg.qr(one.double(), mode="r").R for one in (self.left, self.right.T))
        return left @ right.T


@dataclass(frozen=True)
class Change:
    """What a training made of one weight of the base."""

    name: str  # of the weight, as the base names its parameters
    before: torch.Tensor
    difference: torch.Tensor | Product | None  # None: it cannot be computed

    def squares(self) -> tuple[float | None, float]:
        """‖ΔW‖² and ‖W‖², of values in float32; None where the change cannot be computed."""
        matrix = self.difference.core if isinstance(self.difference, Product) else self.difference
        return None if matrix is None else _square(matrix), _square(self.before.float())


def measure(network, base) -> dict:
    """{"norm": ‖ΔW‖, "relative": ‖ΔW‖ / ‖W‖} over the weights that the training could move; in float32.

    Both are None where the change of a weight cannot be computed. Arguments as in `changes`.
    """
    return total(change.squares() for change in changes(network, base))


def total(squares: Iterable[tuple[float | None, float]]) -> dict:
    """The norms of `measure`, from the `Change.squares` of all weights."""
    moved = whole = 0.0
    for of_change, of_weight in squares:
        if of_change is None:
            return {"norm": None, "relative": None}
        moved, whole = moved + of_change, whole + of_weight
    return {"norm": math.sqrt(moved), "relative": math.sqrt(moved / whole)}


@torch.no_grad()
def changes(network, base) -> Iterator[Change]:
    """The change of each weight that the training could move.

    Args:
        network: tuned. Of an adapter the layers that it adapts count, and those that are trained whole beside it. An
            adapter other than LoRA is merged, which makes the network useless afterwards.
        base: returns the network before full tuning; not called for an adapter.

    Of a 4-bit layer the change is known for LoRA alone, since merging would round it; of experts whose weights are one
    tensor it is not known.
    """
    yield from _adapted(network) if hasattr(network, "peft_config") else _all(network, base())


def _adapted(network) -> Iterator[Change]:
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import ModulesToSaveWrapper

    for name, module in network.named_modules():
        if isinstance(module, ModulesToSaveWrapper):
            for adapter in module.active_adapters:
                within = _all(module.modules_to_save[adapter], module.original_module)
                yield from (Change(_name(f"{name}.{one.name}"), one.before, one.difference) for one in within)
        elif isinstance(module, BaseTunerLayer) and hasattr(module, "parameter_name"):  # experts, in one tensor
            yield Change(_name(f"{name}.{module.parameter_name}"), module.get_param().detach(), None)
        elif isinstance(module, BaseTunerLayer) and module.active_adapters:
            yield Change(_name(f"{name}.weight"), *_of_layer(module))


def _of_layer(module) -> tuple[torch.Tensor, torch.Tensor | Product | None]:
    """The weight of an adapted layer and its change."""
    weight, product = module.get_base_layer().weight, _low_rank(module)
    if not weight.is_floating_point():
        import bitsandbytes

        return bitsandbytes.functional.dequantize_4bit(weight, weight.quant_state), product
    before = weight.detach().float()
    if product:
        return before, product
    weight.data = before.clone()
    module.merge()
    return before, module.get_base_layer().weight - before


def _low_rank(module) -> Product | None:
    """What LoRA adds to a layer; None for other adapters, and where DoRA or another variant does more than to add."""
    names = module.active_adapters
    if len(names) != 1 or names[0] not in getattr(module, "lora_A", {}) or names[0] in module.lora_variant:
        return None
    left, right = (getattr(module, f"lora_{which}")[names[0]].weight.detach() for which in "BA")
    return Product(module.scaling[names[0]] * left.double(), right)


def _all(network, base) -> Iterator[Change]:
    """The change of every parameter."""
    before = dict(base.named_parameters())
    for name, weight in network.named_parameters():
        first = before[name].detach()
        yield Change(name, first, weight.detach().to(first.device).float() - first.float())


def _name(name: str) -> str:
    return name.removeprefix(_PREFIX)


def _square(matrix: torch.Tensor) -> float:
    return float(matrix.square().sum(dtype=torch.float64))
