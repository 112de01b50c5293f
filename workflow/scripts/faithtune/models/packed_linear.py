"""Linear layers of a frozen network on a CPU, their weights laid out once as oneDNN multiplies them.

`torch.nn.functional.linear` brings a weight into that layout in every call, which costs as much as the product itself
where few tokens are computed at a time, as in decoding. In bfloat16 the results are those of `linear`, bit for bit; in
float32, where PyTorch calls another library, they differ by rounding.
"""

import torch

from faithtune.models import precision

# Tokens of a typical call, which the layout suits; it computes any number.
TOKENS = 32
# In float32 a thinner product is slower than PyTorch's own.
THIN = 64


class PackedLinear(torch.nn.Module):
    """What `linear` computes, with its weights packed; for inference only."""

    def __init__(self, linear: torch.nn.Linear):
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.bias = linear.bias
        self.weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), TOKENS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., in_features) to (..., out_features)."""
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")


def pack(network: torch.nn.Module) -> None:
    """Replace the linear layers of a network that PyTorch can pack on this CPU; the others stay as they are."""
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_reorder_linear_weight"):
        return
    for parent in list(network.modules()):
        for name, linear in list(parent.named_children()):
            if type(linear) is torch.nn.Linear and _gains(linear):
                setattr(parent, name, PackedLinear(linear))


def _gains(linear: torch.nn.Linear) -> bool:
    if linear.weight.dtype == torch.float32:
        return min(linear.weight.shape) >= THIN
    return linear.weight.dtype == torch.bfloat16 and precision.cpu().best == "bfloat16"
