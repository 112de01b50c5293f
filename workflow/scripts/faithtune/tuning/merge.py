"""Makes a model of a tuned arm: its adapter merged into the weights of its base, from which another tuning can start.

An arm is measured with its adapter beside the base (`loading`). A model that starts from it has both in one set of
weights, which is then quantised, tuned and measured like any other model.
"""

import shutil
from pathlib import Path

import torch

from faithtune.core.errors import UserError
from faithtune.models import loading, weights

# The files of a base that describe its weights; the merged model has its own. All others, the tokenizer's among them,
# are the base's: an arm is tuned and measured with the base's tokenizer.
_OF_WEIGHTS = ("config.json", "*.safetensors", "*.safetensors.index.json")


def merge(base: dict, arm: dict, arm_path: str, quantisation: str, dtype: str, destination: Path) -> dict:
    """Write the weights of a tuned arm to the folder `destination`; returns the new model's card (model.json).

    `base` and `arm` are the contents of model.json and arm.json, arm_path is MODEL/ARM, `quantisation` is that of the
    base. An NF4 base is expanded to `dtype`, as a CPU computes it. The adapter is added in float32 and each sum rounded
    to `dtype` once. After full tuning the weights are the arm's own files. Raises UserError if the weights of base or
    arm are missing or damaged, or if the adapter changes a layer that shares its weights with another.

    The card's `lineage` has the arms that the model comes from, the first training first.
    """
    for card in (base, arm):
        weights.verify_weights(card)
    with weights.atomic_folder(destination) as temporary:
        if arm["adapter"] == "full":
            _copy(Path(arm["path"]), temporary, _OF_WEIGHTS)
        else:
            network = loading.load_base(base["path"], quantisation, dtype, "cpu")
            merge_adapter(network, arm["path"], getattr(torch, dtype)).save_pretrained(temporary)
        for pattern in (*weights.FINGERPRINTED, "*.txt"):
            _copy(Path(base["path"]), temporary, (pattern,), without=_OF_WEIGHTS)
    parents = [*base.get("lineage", []), {"arm": arm_path, "weights_sha256": arm["weights_sha256"]}]
    turns = {"turns": base["turns"]} if "turns" in base else {}  # it speaks as it was tuned
    return weights.card(f"arm:{arm_path}", destination) | {"lineage": parents} | turns


@torch.no_grad()
def merge_adapter(network, adapter: str | Path, dtype: torch.dtype):
    """The network with the adapter merged into its weights, added in float32 and rounded to `dtype`.

    One layer at a time is in float32, so that a large model needs little more memory than its weights.
    """
    from peft import PeftModel
    from peft.tuners.tuners_utils import BaseTunerLayer

    network = PeftModel.from_pretrained(network, adapter)  # the adapter stays in float32
    holders = [id(module.weight) for module in network.modules() if hasattr(module, "weight")]
    for name, module in network.named_modules():
        if not isinstance(module, BaseTunerLayer):
            continue
        weight = module.get_base_layer().weight
        if holders.count(id(weight)) > 2:  # the layer, the adapter's layer around it, and another
            layer = name.removeprefix("base_model.model.")
            raise UserError(
                f"{adapter}: it changes {layer}, which shares its weights with another layer, so it cannot be merged;"
                " expected a tuning without that layer in targets"
            )
        weight.data = weight.data.float()
        module.merge()
        weight.data = weight.data.to(dtype)
    return network.unload()


def _copy(folder: Path, destination: Path, patterns: tuple[str, ...], without: tuple[str, ...] = ()) -> None:
    """Copy the files that match one of `patterns` and none of `without`, replacing what is there."""
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern)}):
        if not any(path.match(pattern) for pattern in without):
            shutil.copyfile(path, destination / path.name)
