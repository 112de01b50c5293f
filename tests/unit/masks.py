"""Attention knocked out in plain transformers: a mask of four axes, in all layers or in some."""

import torch

from faithtune.models.tree import Blind


@torch.inference_mode()
def masked(net, tokens: list[int], start: int, cut: Blind) -> torch.Tensor:
    """Logits after every token, by transformers' eager attention with masks of our own in the layers of the cut."""
    net.set_attn_implementation("eager")
    n, hooks = len(tokens), []

    def hide(module, args, kwargs):
        mask = kwargs["attention_mask"].clone()
        mask[..., start:, sorted(cut.hidden)] = torch.finfo(mask.dtype).min
        return args, kwargs | {"attention_mask": mask}

    for i, layer in enumerate(net.model.layers):
        if cut.layers is None or i in cut.layers:
            hooks.append(layer.register_forward_pre_hook(hide, with_kwargs=True))
    found = net(torch.tensor([tokens]), use_cache=False).logits[0]
    for hook in hooks:
        hook.remove()
    net.set_attn_implementation("tree")
    assert len(found) == n
    return found
