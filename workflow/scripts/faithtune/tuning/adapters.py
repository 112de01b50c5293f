"""What a training changes: an adapter of a base, or all of its weights."""

import json
from pathlib import Path

from faithtune.core.errors import UserError
from faithtune.models import loading
from faithtune.settings.tunings import LOW_RANK, Training


def load_network(model: dict, settings: Training, device: str):
    """The base that is tuned (its model.json), without the adapter."""
    # Full tuning updates the weights themselves, in steps too small for 16 bits.
    dtype = "float32" if settings.adapter == "full" else settings.dtype
    network = loading.load_base(model["path"], settings.quantisation, dtype, device)
    loading.copy_weights(network)
    network.config.use_cache = False
    return network


def peft_config(settings: Training, model_type: str):
    """The configuration of the adapter for peft; None for full tuning.

    model_type: of the base, by which peft knows the layers of IA3. UserError if it does not know them.
    """
    if settings.adapter in LOW_RANK:
        from peft import LoraConfig

        return LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha,
            lora_dropout=settings.dropout,
            target_modules=settings.targets,
            use_rslora=settings.adapter == "rslora",
            use_dora=settings.adapter == "dora",
            task_type="CAUSAL_LM",
        )
    return _ia3_config(settings.targets, model_type) if settings.adapter == "ia3" else None


def sort_layers(config: Path) -> None:
    """Sort an adapter's lists of layers, which peft writes in random order: equal trainings write equal files."""
    if config.exists():  # not after full tuning
        value = json.loads(config.read_text(encoding="utf-8"))
        for key in ("target_modules", "feedforward_modules"):
            if isinstance(value.get(key), list):
                value[key].sort()
        config.write_text(json.dumps(value, indent=2), encoding="utf-8")


def _ia3_config(targets: str | list[str] | None, model_type: str):
    """IA3 (Liu et al. 2022, arXiv 2205.05638): factors for keys, values and what enters the feed-forward's last layer.

    In a feed-forward layer a factor multiplies the input, in other layers the output.
    """
    from peft import IA3Config
    from peft.utils import constants

    last = constants.TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING.get(model_type)
    usual = constants.TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING.get(model_type)
    if last is None or usual is None:
        raise UserError(
            f"tuning: adapter ia3 is not known for models of the type {model_type}; expected another adapter"
        )
    names = targets or usual
    return IA3Config(
        target_modules=names,
        feedforward_modules=[name for name in last if name in names],
        task_type="CAUSAL_LM",
    )
