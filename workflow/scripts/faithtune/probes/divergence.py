"""KL(base || arm) of next tokens, on the chains that base wrote: how far a training has moved a model.

The arm is asked nothing: both networks read the prompt and base's chain, and each of the chain's tokens is predicted
from all tokens before it (teacher forcing). Shenfeld et al. 2025 ("RL's Razor", arXiv 2509.04259) find that this
divergence, on the new task's inputs, predicts what a training forgets.
"""

import math

import polars as pl
import torch

from faithtune.arms import chains
from faithtune.core.errors import UserError
from faithtune.core.schemas.probes import DIVERGENCE
from faithtune.models.local import LocalModel
from faithtune.models.tree_cache import TreeCache
from faithtune.settings.chains import ChainSettings

# Tokens whose predictions, over the whole vocabulary, are in memory at a time.
PIECE = 256


def divergence(
    base: LocalModel,
    arm: LocalModel,
    questions: pl.DataFrame,
    of_base: pl.DataFrame,
    templates: dict[str, str],
    settings: ChainSettings,
) -> pl.DataFrame:
    """DIVERGENCE of an arm from its base on each question (QUESTIONS), in their order.

    of_base: CHAINS of base, of these questions and maybe others; templates and settings: those of its chains. Both
    networks are loaded, and read one question after another. UserError if a network computes NaN.
    """
    rows, texts = questions.to_dicts(), dict(of_base.select("id", "text").rows())
    start, prompts = chains.render(base, rows, templates, settings)
    found = []
    for row, prompt in zip(rows, prompts, strict=True):
        asked, ids = base.token_ids(prompt), base.token_ids(prompt + texts[row["id"]].removeprefix(start))
        first = _common(asked, ids)
        kl = mean_kl(base.network, arm.network, ids, first) if first < len(ids) else None
        found.append({"id": row["id"], "n_tokens": len(ids) - first, "kl": kl})
    return pl.DataFrame(found, schema=DIVERGENCE)


@torch.inference_mode()
def mean_kl(base, arm, ids: list[int], first: int) -> float:
    """Mean KL(base || arm), in nats, of the predictions of the tokens from index `first` (at least 1) on.

    base, arm: networks with the prefix tree's attention. UserError if it is not finite.
    """
    caches, total = [TreeCache(lambda network=network: network) for network in (base, arm)], 0.0
    # A token is predicted at the one before it.
    for start in range(first - 1, len(ids) - 1, PIECE):
        end = min(start + PIECE, len(ids) - 1)
        p, q = (cache.forward(cache.insert(ids[:end], start)[start:]).log_softmax(-1) for cache in caches)
        total += (p.exp() * (p - q.to(p.device))).sum(-1).double().sum().item()
    if not math.isfinite(total):
        raise UserError("base or the arm computes NaN: the divergence of their next tokens is no finite number")
    return max(0.0, total / (len(ids) - first))  # below 0 by rounding alone


def _common(first: list[int], second: list[int]) -> int:
    """How many tokens two texts begin with in common, at least 1."""
    same = (i for i, (one, other) in enumerate(zip(first, second, strict=False)) if one != other)
    return max(1, next(same, min(len(first), len(second))))
