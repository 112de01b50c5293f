"""Which models a prefix tree can compute, as far as their configuration (config.json) shows.

`tree_cache.check_network` tests the network itself, once the weights are in memory.
"""

from pathlib import Path

import transformers
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

SUPPORTED = "decoders with rotary positions and full or sliding-window attention, such as Llama, Qwen and Gemma 3"

_LAYERS = {"full_attention", "sliding_attention"}
_ROPES = {"dynamic", "longrope"}


def read_config(folder: str | Path) -> transformers.PretrainedConfig:
    """The configuration in a model's folder."""
    return transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)


def unsupported_because(config: transformers.PretrainedConfig) -> str | None:
    """Why a tree cannot compute a model: words that follow the model's type; None if nothing speaks against it."""
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        return "is no decoder of text"
    if not getattr(MODEL_FOR_CAUSAL_LM_MAPPING[type(config)], "_supports_attention_backend", True):
        return "does not let its attention be exchanged"
    config = config.get_text_config()
    if other := set(getattr(config, "layer_types", None) or ()) - _LAYERS:
        return f"has layers of the kind {', '.join(sorted(other))}"
    if getattr(config, "attn_logit_softcapping", None):
        return "caps its attention scores"
    rope = getattr(config, "rope_parameters", None) or {}
    # These ropes choose frequencies by the longest position of a pass, so other packed tokens would change a token.
    found = {each.get("rope_type") for each in (rope, *rope.values()) if isinstance(each, dict)} & _ROPES
    return f"has {', '.join(sorted(found))} rotary positions" if found else None
