"""Linear layers of a frozen network on a CPU, with weights reordered once into oneDNN's layout.

`torch.nn.functional.linear` reorders a weight in every call. With few tokens a call, as in decoding, that costs as
much as the product itself. In bfloat16 the results equal those of `linear` bit for bit; in float32, where PyTorch
calls another library, they differ by rounding.
"""

import torch

from faithtune.models import precision

# Tokens of a typical call, for which oneDNN chooses the layout; calls may have any number.
TOKENS = 32
# In float32, layers narrower than this are slower packed.
MIN_WIDTH = 64


class PackedLinear(torch.nn.Module):
    """A linear layer with packed weights; for inference only."""

    def __init__(self, linear: torch.nn.Linear):
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.bias = linear.bias
        self.weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), TOKENS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., in_features) to (..., out_features)."""
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")


def pack(network: torch.nn.Module) -> None:
    """Replace the linear layers that are faster packed on this CPU; the others stay as they are.

    So do those whose weights an adapter reads in each call, as DoRA does (peft's `lora_variant`).
    """
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_reorder_linear_weight"):
        return
    for parent in list(network.modules()):
        if getattr(parent, "lora_variant", None):
            continue
        for name, linear in list(parent.named_children()):
            if type(linear) is torch.nn.Linear and _is_faster_packed(linear):
                setattr(parent, name, PackedLinear(linear))


def _is_faster_packed(linear: torch.nn.Linear) -> bool:
    if linear.weight.dtype == torch.float32:
        return min(linear.weight.shape) >= MIN_WIDTH
    return linear.weight.dtype == torch.bfloat16 and precision.cpu().best == "bfloat16"
