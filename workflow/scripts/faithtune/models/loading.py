"""Loads networks: a base, NF4 or not, with the adapter of a tuned arm attached.

The base stays quantised and the adapter unmerged, because merging into a 4-bit base changes outputs (peft#1836). On a
CPU the NF4 weights are expanded once to the compute type. bitsandbytes would expand the same values in every forward
pass, and would repack weights in place, which silently loses later gradients. In float32 the adapter is then merged
into the expanded weights: that changes the last digits only and saves a fifth of the work
(tests/benchmarks/README.md).
"""

import sys
from pathlib import Path

import psutil
import torch
import transformers

import faithtune.models.attention  # noqa: F401 (registers the attention called "tree")
from faithtune.core import damage
from faithtune.core.errors import UserError
from faithtune.models import packed_linear, weights

DOUBLE_QUANTISATION = True  # NF4: quantise the scales of blocks to 8 bits
# The most distinct tokens in memory by default: more was no faster on a CPU; the figure for CUDA is a guess.
MAX_PACKED_TOKENS = {"cpu": 8192, "cuda": 16384}
# GPU memory of NF4 weights over the size of the 16-bit file, with embeddings and head not quantised: 0.35 for an 8B
# Llama, less for larger models.
_NF4 = 0.4


def load_tokenizer(folder: str | Path):
    """The model's tokenizer, padding on the left so that generation continues the prompt."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, padding_side="left", trust_remote_code=False)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def packed_token_budget(folder: str | Path, quantisation: str, dtype: str, device: str) -> int:
    """The number of tokens that the prefix tree may hold: a power of two, so that similar machines get the same.

    Their keys, values and activations fit into a quarter of the memory that the weights leave. Counts the machine's
    whole memory, not what is free at the moment.
    """
    config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False).get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    kv_size = 2 * config.num_hidden_layers * heads * size
    inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    activations = 8 * config.hidden_size + 4 * inner + config.vocab_size // 4  # some tokens need logits
    total = torch.cuda.mem_get_info()[1] if device == "cuda" else psutil.virtual_memory().total
    n_bytes = sum(path.stat().st_size for path in Path(folder).glob("*.safetensors"))
    if quantisation == "nf4" and device == "cuda":  # on a CPU they are expanded
        n_bytes = int(_NF4 * n_bytes)
    left = max(0, total - n_bytes)
    tokens = left // 4 // ((kv_size + activations) * getattr(torch, dtype).itemsize)
    return min(MAX_PACKED_TOKENS[device], 1 << max(9, tokens.bit_length() - 1))


def load_base(
    folder: str | Path,
    quantisation: str,
    dtype: str,
    device: str,
    expanded: Path | None = None,
):
    """Load a base model from a folder of weights.

    quantisation: nf4 or none; expanded: the folder in which a CPU keeps expanded NF4 weights.
    """
    settings = {"dtype": getattr(torch, dtype), "attn_implementation": "tree", "trust_remote_code": False}
    if quantisation == "nf4" and device == "cpu" and expanded is not None:
        _expand(folder, dtype, expanded)
        folder, quantisation = expanded, "none"
    if quantisation == "nf4":
        settings["quantization_config"] = transformers.BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=DOUBLE_QUANTISATION,
            bnb_4bit_compute_dtype=getattr(torch, dtype),
        )
        settings["device_map"] = {"": device}
    network = transformers.AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, **settings)
    if quantisation == "nf4" and device == "cpu":
        network = network.dequantize()
        network.is_loaded_in_4bit = False  # else trainers treat the weights as packed
    if quantisation != "nf4":
        network.to(device)
    # Decode greedily, without the penalties that a model recommends.
    stops, pad = network.generation_config.eos_token_id, network.generation_config.pad_token_id
    network.generation_config = transformers.GenerationConfig(eos_token_id=stops, pad_token_id=pad)
    return network


def copy_weights(network) -> None:
    """Copy weights from the memory-mapped file into memory: several times faster on a CPU."""
    for parameter in network.parameters():
        parameter.data = parameter.data.clone()


def _expand(folder: str | Path, dtype: str, destination: Path) -> None:
    """Save a base's expanded NF4 weights with their hash, unless they are there undamaged."""
    hashed = destination / "sha256"
    if destination.is_dir():
        if hashed.exists() and hashed.read_text() == weights.folder_fingerprint(destination):
            return
        try:
            aside = damage.set_aside(destination)
        except OSError as error:
            why = f"damaged, and it could not be renamed ({error.strerror})"
            raise UserError(f"{destination}: {why}; delete it and run again") from None
        print(f"{destination}: damaged; it is now {aside}, and is made again", file=sys.stderr)
    with weights.atomic_folder(destination, shared=True) as temporary:
        load_base(folder, "nf4", dtype, "cpu").save_pretrained(temporary)
        (temporary / hashed.name).write_text(weights.folder_fingerprint(temporary))


def load_network(
    base: dict,
    arm: dict | None,
    quantisation: str,
    dtype: str,
    device: str,
    expanded: Path | None = None,
    open_adapter: bool = False,
):
    """Load the network of a model (`base`: its model.json) or of a tuned arm (`arm`: its arm.json).

    open_adapter: the adapter stays beside the weights, and these as they are on a CPU too, so that the adapter can be
    scaled, and its change of the weights read.
    """
    if arm is not None and arm["adapter"] == "full":
        network = load_base(arm["path"], quantisation, dtype, device)
    else:
        network = load_base(base["path"], quantisation, dtype, device, expanded=expanded)
        if arm is not None:
            merged = device == "cpu" and dtype == "float32" and not open_adapter
            network = _attach(network, arm["path"], dtype, merged)
    if device == "cpu":
        if not open_adapter:
            packed_linear.pack(network)
        copy_weights(network)  # those that are not packed
    return network


def _attach(network, adapter: str | Path, dtype: str, merged: bool):
    """The network with an adapter, merged into the weights if `merged`."""
    from peft import PeftModel

    network = PeftModel.from_pretrained(network, adapter, autocast_adapter_dtype=False)
    # Only the adapter, as autocast computed it in training. `network.to` would round the rotary frequencies too, so
    # that a tuned arm would see other positions than the base.
    for name, parameter in network.named_parameters():
        if ".lora_" in name or ".ia3_" in name:
            parameter.data = parameter.data.to(getattr(torch, dtype))
    return network.merge_and_unload() if merged else network
