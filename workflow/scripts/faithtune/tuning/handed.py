"""Weights that were tuned elsewhere and handed in: an adapter or all weights of a base, copied or linked, and checked.

Names and shapes are compared on a network without memory (PyTorch's device `meta`), so a check costs seconds whatever
the size of the model. Whether the weights change anything is seen once they are loaded (`arms.applied`).
"""

import json
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from faithtune.core import errors
from faithtune.core.errors import UserError
from faithtune.data import sources
from faithtune.models import weights

CONFIG, ADAPTER = "adapter_config.json", "adapter_model.safetensors"
# The settings of an adapter that are shown, by their keys in adapter_config.json.
_SHOWN = {
    "rank": "r",
    "alpha": "lora_alpha",
    "dropout": "lora_dropout",
    "rslora": "use_rslora",
    "dora": "use_dora",
    "rank_pattern": "rank_pattern",
    "alpha_pattern": "alpha_pattern",
    "modules_to_save": "modules_to_save",
    "base_named": "base_model_name_or_path",
}
# The values that keys of adapter_config.json may have: other adapters do not act on every token alike, or name code.
_TAKEN = {
    "peft_type": ["LORA"],
    "task_type": ["CAUSAL_LM", None],
    "alora_invocation_tokens": [None],
    "megatron_config": [None],
}

Shapes = Mapping[str, tuple[int, ...]]


def check_files(folder: Path, kind: str) -> None:
    """UserError if a folder lacks the files of an `adapter` or of `weights`; imports no library of models."""
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder")
    is_adapter = (folder / CONFIG).is_file()
    if kind == "weights" and is_adapter:
        raise UserError(f"{folder}: it holds an adapter ({CONFIG}); expected the key adapter in place of weights")
    if kind == "adapter" and not is_adapter:
        raise UserError(f"{folder}: no {CONFIG} there; expected an adapter as PEFT saves it, or the key weights")
    if kind == "weights" and not (folder / "config.json").is_file():
        raise UserError(f"{folder}: no config.json there; expected a model as transformers saves it")
    wanted = ADAPTER if kind == "adapter" else "*.safetensors"
    if not list(folder.glob(wanted)):
        raise UserError(f"{folder}: no {wanted} there; pickled weights are never loaded: save them as safetensors")


def files(source: str) -> list[str]:
    """The files of a local folder that decide what it computes; none of a hub's, which its commit pins."""
    parsed = sources.parse(source)
    patterns = weights.FINGERPRINTED if parsed.kind == "file" else ()
    return sorted({str(path) for pattern in patterns for path in Path(parsed.location).glob(pattern)})


def prepare(kind: str, source: str, base: dict, destination: Path) -> dict:
    """Make `destination` the weights that were handed in; returns the card of the arm, before `arms.applied`.

    An adapter is copied, because it is small; whole weights are linked. base: the model's card (model.json). UserError
    if they are not weights of this base, or if some of them would not land in it.
    """
    parsed = sources.parse(source)
    folder = weights.snapshot(source) if parsed.kind == "hub" else Path(parsed.location)
    check_files(folder, kind)
    weights.check_headers(folder, kind)
    base_folder = Path(base["path"])
    _check_tokenizer(folder, base_folder)
    if kind == "adapter":
        settings = _check_adapter(folder, base_folder)
        with weights.atomic_folder(destination) as temporary:
            for name in (CONFIG, ADAPTER):
                shutil.copyfile(folder / name, temporary / name)
        hashes = {"folder_sha256": weights.folder_fingerprint(destination)}
    else:
        settings = _check_weights(folder, base_folder)
        weights.link(folder.resolve(), destination)
        hashes = {"outline_sha256": weights.quick_hash(destination)}
    return {
        "adapter": settings["adapter"],
        "handed_in": kind,
        "source": source,
        "path": str(destination),
        "weights_sha256": weights.folder_fingerprint(destination),
        **hashes,
        "settings": settings,
    }


def _check_adapter(folder: Path, base: Path) -> dict:
    """The settings of an adapter; UserError if it is none of this base."""
    from peft import PeftConfig, get_peft_model, get_peft_model_state_dict

    given = _read_json(folder / CONFIG)
    for key, known in _TAKEN.items():
        if given.get(key) not in known:
            raise UserError(f"{folder / CONFIG}: {key} is {given.get(key)!r}; expected {json.dumps(known[0])}")
    named = given.get("base_model_name_or_path")
    hint = "; expected an adapter of this model" + (f" ({CONFIG} names {named!r})" if named else "")
    try:
        config = PeftConfig.from_pretrained(str(folder))
        config.init_lora_weights, config.inference_mode = False, True
        network = get_peft_model(_skeleton(base), config)
    except (TypeError, ValueError, KeyError, RuntimeError) as error:
        raise UserError(f"{folder}: it does not fit the model ({_first_line(error)}){hint}") from None
    layers = _adapted_layers(network)
    _check_shared(network, layers, folder)
    # `save_embedding_layers` would look for the base on the hub.
    wanted = _shapes(get_peft_model_state_dict(network, save_embedding_layers=False))
    # Embeddings that a trainer saved beside the adapter land as well, if they have the base's size.
    beside = {name: shape for name, shape in _shapes(network.state_dict()).items() if name not in wanted}
    found = _stored(folder / ADAPTER)
    _compare(found, wanted, {name: beside[name] for name in beside if name in found}, str(folder), hint)
    config = config.to_dict() | given
    shown = {name: config.get(key) for name, key in _SHOWN.items()}
    shown |= {"targets": sorted({name.rpartition(".")[2] for name in layers}), "layers": len(layers)}
    adapter = next((kind for kind in ("dora", "rslora") if config.get(f"use_{kind}")), "lora")
    return {"adapter": adapter} | {name: value for name, value in shown.items() if value not in (None, {}, [])}


def _check_weights(folder: Path, base: Path) -> dict:
    """The settings of whole weights; UserError if they are none of this base."""
    from transformers import AutoModelForCausalLM

    given, theirs = (_read_json(path / "config.json") for path in (folder, base))
    if given.get("quantization_config") is not None:
        raise UserError(f"{folder}: its weights are quantised; expected them merged in 16 or 32 bits")
    if given.get("model_type") != theirs.get("model_type"):
        kinds = f"{given.get('model_type')!r} and the model is {theirs.get('model_type')!r}"
        raise UserError(f"{folder}: it is {kinds}; expected weights tuned from this model")
    hint = "; expected weights tuned from this model"
    own, wanted = (_shapes(_skeleton(path).state_dict()) for path in (folder, base))
    _compare(own, wanted, {}, f"{folder}: by its config.json", hint)
    try:
        _, report = AutoModelForCausalLM.from_pretrained(
            folder, device_map="meta", output_loading_info=True, use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError, RuntimeError) as error:  # shapes that its own config.json does not have; no weights
        raise UserError(f"{folder}: its weights cannot be loaded ({_first_line(error)})") from None
    missing, unexpected = (sorted(report[f"{which}_keys"]) for which in ("missing", "unexpected"))
    _refuse_keys(missing, unexpected, len(wanted), str(folder), hint)
    return {"adapter": "full"}


def _skeleton(folder: Path):
    """The network of a model's folder, without memory."""
    import torch
    from transformers import AutoModelForCausalLM

    from faithtune.models import support

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(support.read_config(folder), trust_remote_code=False)


def _adapted_layers(network) -> dict[str, Any]:
    """The layers of the base that an adapter changes, by name."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    found = {name: module for name, module in network.named_modules() if isinstance(module, BaseTunerLayer)}
    return {name.removeprefix("base_model.model."): module.get_base_layer() for name, module in found.items()}


def _check_shared(network, layers: Mapping[str, Any], folder: Path) -> None:
    """UserError if an adapter changes a layer that shares its weights with another one.

    Merged on a CPU it would change the other layer too, and attached on a GPU it would not.
    """
    holders = [id(module.weight) for module in network.modules() if hasattr(module, "weight")]
    for name, layer in layers.items():
        if holders.count(id(layer.weight)) > 2:  # the layer itself, the adapter's layer around it, and another
            raise UserError(
                f"{folder}: it changes {name}, which shares its weights with another layer; expected the key weights"
                " with the adapter merged"
            )


def _stored(path: Path) -> Shapes:
    """The names and shapes in a file of safetensors."""
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 (no mapping)


def _shapes(state: Mapping) -> Shapes:
    """Names without the adapter's, and shapes."""
    return {name.replace(".default.", ".").removesuffix(".default"): tuple(x.shape) for name, x in state.items()}


def _compare(found: Shapes, wanted: Shapes, beside: Shapes, where: str, hint: str) -> None:
    """UserError if `found` lacks weights of `wanted`, has more than these and `beside`, or has them in other shapes."""
    known = {**beside, **wanted}
    other = sorted(name for name in found if name in known and found[name] != known[name])
    if other:
        first, n = other[0], len(other)
        raise UserError(
            f"{where}: {n} of {len(found)} weights have another shape than in the model, first {first}:"
            f" {list(found[first])}, not {list(known[first])}{hint}"
        )
    missing, unexpected = sorted(set(wanted) - set(found)), sorted(set(found) - set(known))
    _refuse_keys(missing, unexpected, len(wanted), where, hint)


def _refuse_keys(missing: Collection[str], unexpected: Collection[str], n: int, where: str, hint: str) -> None:
    parts = [f"{len(missing)} of {n} weights are missing, first {_first(missing)}"] if missing else []
    parts += [f"{len(unexpected)} weights have no place in the model, first {_first(unexpected)}"] if unexpected else []
    if parts:
        raise UserError(f"{where}: {'; '.join(parts)}{hint}")


def _first(names: Collection[str]) -> str:
    return ", ".join([*names][:2])


def _check_tokenizer(folder: Path, base: Path) -> None:
    """Compare vocabulary and chat template with the base's, where the folder has them.

    UserError if a token of the base has another id; a warning if tokens were added or the template is another, because
    base and arm are prompted alike, with the base's.
    """
    if (folder / "tokenizer.json").is_file():
        own, theirs = _vocabulary(folder), _vocabulary(base)
        moved = sorted(token for token, i in theirs.items() if own.get(token) != i)
        if moved:
            raise UserError(
                f"{folder}: its tokenizer.json differs from the model's in {len(moved)} of {len(theirs)} tokens, first"
                f" {moved[0]!r}; expected an arm tuned from this model"
            )
        if added := sorted(set(own) - set(theirs)):
            errors.warn(f"{folder}: its tokenizer has {len(added)} tokens more, first {added[0]!r}; the base's is used")
    own, theirs = (_chat_template(path) for path in (folder, base))
    if own is not None and own != theirs:
        errors.warn(f"{folder}: its chat template is not the base's; the base's is used, for base and arm alike")


def _vocabulary(folder: Path) -> dict[str, int]:
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab(with_added_tokens=True)
    except Exception as error:  # the library raises plain Exception
        raise UserError(f"{folder}: its tokenizer.json cannot be read ({_first_line(error)})") from None


def _chat_template(folder: Path) -> str | None:
    """The chat template in a folder; None if it has none."""
    if (path := folder / "chat_template.jinja").is_file():
        return path.read_text(encoding="utf-8").strip()
    path = folder / "tokenizer_config.json"
    found = _read_json(path).get("chat_template") if path.is_file() else None
    return found.strip() if isinstance(found, str) else None


def _read_json(path: Path) -> dict:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable JSON file ({error})") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: expected a JSON object")
    return found


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
