"""Whether an arm's weights are on: how far its next-token probabilities are from those of its base.

The base continues the prompts of a few questions greedily. Both networks then predict each next token of these texts,
from the first token of the chain on.
"""

from collections.abc import Sequence

import torch

from faithtune.core.errors import UserError
from faithtune.models.local import LocalModel
from faithtune.models.tree_cache import TreeCache

QUESTIONS, TOKENS = 8, 16
# A text as token ids, and the place of the prompt's last token.
Text = tuple[list[int], int]


def continue_greedily(model: LocalModel, prompts: Sequence[str]) -> list[Text]:
    """Each prompt with up to TOKENS tokens that the model writes after it."""
    written = dict(model.generate(list(prompts), TOKENS))
    found = [(model.token_ids(prompt), written[i].text) for i, prompt in enumerate(prompts)]
    return [(model.token_ids(prompt + text), len(ids) - 1) for prompt, (ids, text) in zip(prompts, found, strict=True)]


@torch.inference_mode()
def log_probabilities(network, texts: Sequence[Text]) -> torch.Tensor:
    """log p of every next token after the prompts, float32 (positions, vocabulary), on the CPU."""
    found = []
    for ids, start in texts:
        cache = TreeCache(lambda: network)
        nodes = cache.insert(ids, start)[start:]
        found.append(cache.forward(nodes).log_softmax(-1).cpu())
    return torch.cat(found)


def compare(arm: str, before: torch.Tensor, after: torch.Tensor) -> dict[str, float]:
    """How far `after`, of the arm of that name, is from `before`, of its base, both as `log_probabilities` has them.

    mean, largest: absolute difference of log p, in nats; kl: mean KL divergence of the arm from the base, in nats;
    changed: share of positions at which another token is the likeliest. UserError if nothing changed, or the arm's
    probabilities are no numbers.
    """
    if not after.isfinite().all():
        broken = int((~after.isfinite()).any(-1).sum())
        raise UserError(f"{arm} computes NaN: no finite probabilities at {broken} of {len(after)} next tokens")
    difference = (after - before).abs()
    if difference.max() == 0:
        raise UserError(
            f"{arm} changes nothing: each of {len(after)} next tokens has the probability that it has in the base;"
            " expected weights that were trained"
        )
    return {
        "mean": difference.mean().item(),
        "largest": difference.max().item(),
        "kl": (before.exp() * (before - after)).sum(-1).mean().item(),
        "changed": (after.argmax(-1) != before.argmax(-1)).float().mean().item(),
        "positions": len(after),
    }
