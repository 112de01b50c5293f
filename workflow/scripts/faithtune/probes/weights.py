"""Size and shape of an arm's change of weights: by how much each moved, and in how many directions."""

import re
from collections.abc import Iterator

import torch

from faithtune.core import errors
from faithtune.tuning import change
from faithtune.tuning.change import Change, Product

# A module within a decoder layer: its layer, and its name there.
_WITHIN = re.compile(r"\.(\d+)\.(.+)")


def layer_of(name: str) -> tuple[int | None, str]:
    """The decoder layer of a module, from 0, and its name within the layer; None and the whole name in no layer.

    >>> layer_of("model.layers.3.self_attn.q_proj")
    (3, 'self_attn.q_proj')
    """
    found = _WITHIN.search(name)
    return (int(found[1]), found[2]) if found else (None, name)


def weight_changes(network, base) -> list[dict]:
    """Rows of PROBES, `weight_change` and `effective_rank`, of each weight and of all together (part and layer null).

    Arguments as in `change.changes`; in float32 nothing is rounded away. The row of all together is also what
    the arm's card calls its relative change. Vectors within the decoder layers (norms, biases) count there alone. Of a
    4-bit layer under another adapter than LoRA the change cannot be computed, and is null.
    """
    rows, squares, unknown = [], [], 0
    for one in change.changes(network, base):
        squares.append(one.squares())
        unknown += squares[-1][0] is None
        rows += _rows(one, squares[-1])
    if unknown:
        errors.warn(f"the change of {unknown} weights is not known: a merged adapter would be rounded to 4 bits")
    together = change.total(squares)["relative"]
    return [*rows, {"measure": "weight_change", "part": None, "layer": None, "value": together}]


@torch.no_grad()
def effective_rank(matrix: torch.Tensor | Product) -> float | None:
    """exp(H(p)) of the normalised singular values p (Roy & Vetterli 2007): 1 ... min(shape); None for a matrix of 0.

    Of a whole matrix from the eigenvalues of its smaller Gram matrix, in float64. These tell singular values from 0
    down to about 1e-6 of the largest, and smaller ones hardly add to the entropy.
    """
    if isinstance(matrix, Product):
        values = torch.linalg.svdvals(matrix.core)
    else:
        wide = matrix.double() if matrix.shape[0] <= matrix.shape[1] else matrix.double().T
        squares = torch.linalg.eigvalsh(wide @ wide.T)
        noise = len(squares) * torch.finfo(squares.dtype).eps * squares.max()
        values = squares.where(squares > noise, 0.0).sqrt()
    if not values.sum() > 0:
        return None
    return float(torch.special.entr(values / values.sum()).sum().exp())


def _rows(one: Change, squares: tuple[float | None, float]) -> Iterator[dict]:
    module = one.name.removesuffix(".weight")
    layer = layer_of(module)[0]
    if layer is not None and one.before.ndim < 2:
        return
    about = {"part": module.rpartition(".")[2], "layer": layer}
    moved, whole = squares
    known = moved is not None and whole > 0
    yield {"measure": "weight_change", **about, "value": (moved / whole) ** 0.5 if known else None}
    if one.before.ndim == 2:
        yield {"measure": "effective_rank", **about, "value": None if moved is None else effective_rank(one.difference)}
