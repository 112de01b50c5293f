"""Networks in memory: a base, NF4 or not, and the adapter of a tuned arm attached to it.

The base stays quantised and the adapter un-merged (merging a 4-bit base changes
outputs, peft#1836). On a CPU the NF4 weights are expanded once to the compute
type: the same values that bitsandbytes would expand again in every forward
pass, without its in-place repacking that silently costs later gradients. In
float32 an adapter is then merged into them, which changes the last digits only
and spares a fifth of the work (tests/benchmarks/README.md).
"""

import sys
from pathlib import Path

import psutil
import torch
import transformers

import faithtune.models.attention  # noqa: F401 (registers the attention called "tree")
from faithtune.core import damage
from faithtune.core.errors import UserError
from faithtune.models import packed_linear
from faithtune.models import weights as model_weights

DOUBLE_QUANTISATION = True  # of NF4: the blocks' scales in 8 bits
# Distinct tokens in memory together where nothing is said: more was no faster on a CPU; on CUDA it is a guess.
MOST_PACKED = {"cpu": 8192, "cuda": 16384}
# Of 16-bit weights in a file, what NF4 takes in a GPU's memory, embeddings and head left as they are: 0.35 of an 8B
# Llama's, less of larger models'.
_NF4 = 0.4


def load_tokenizer(folder: str | Path):
    """The model's tokenizer, padding on the left so that generation continues the prompt."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, padding_side="left", trust_remote_code=False)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def room(folder: str | Path, quantisation: str, dtype: str, device: str) -> int:
    """How many tokens the prefix tree may hold: a power of two, so that runs on like machines are equal.

    A quarter of the memory that the weights leave has room for their keys, values and what a forward pass
    holds of them: of all memory there is, not of what happens to be free.
    """
    config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False).get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    kept = 2 * config.num_hidden_layers * heads * size
    inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    passing = 8 * config.hidden_size + 4 * inner + config.vocab_size // 4  # logits are wanted of some tokens
    whole = torch.cuda.mem_get_info()[1] if device == "cuda" else psutil.virtual_memory().total
    weights = sum(path.stat().st_size for path in Path(folder).glob("*.safetensors"))
    if quantisation == "nf4" and device == "cuda":  # a CPU expands them
        weights = int(_NF4 * weights)
    left = max(0, whole - weights)
    tokens = left // 4 // ((kept + passing) * getattr(torch, dtype).itemsize)
    return min(MOST_PACKED[device], 1 << max(9, tokens.bit_length() - 1))


def load_base(
    folder: str | Path,
    quantisation: str,
    dtype: str,
    device: str,
    expanded: Path | None = None,
):
    """The model as it came: weights of a folder, NF4 where `quantisation` says so.

    `expanded` is where a CPU keeps the NF4 weights once they are expanded.
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
        network.is_loaded_in_4bit = False  # left on, it makes trainers treat the weights as packed
    if quantisation != "nf4":
        network.to(device)
    # Decoding is greedy, whatever penalties a model recommends.
    stops, pad = network.generation_config.eos_token_id, network.generation_config.pad_token_id
    network.generation_config = transformers.GenerationConfig(eos_token_id=stops, pad_token_id=pad)
    return network


def copy_weights(network) -> None:
    """Move weights off the memory-mapped file, which makes them several times faster on a CPU."""
    for parameter in network.parameters():
        parameter.data = parameter.data.clone()


def _expand(folder: str | Path, dtype: str, destination: Path) -> None:
    """Save a base as a CPU computes it in NF4, with its hash, unless it is there undamaged."""
    hashed = destination / "sha256"
    if destination.is_dir():
        if hashed.exists() and hashed.read_text() == model_weights.folder_fingerprint(destination):
            return
        try:
            aside = damage.set_aside(destination)
        except OSError as error:
            why = f"damaged, and it could not be renamed ({error.strerror})"
            raise UserError(f"{destination}: {why}; delete it and run again") from None
        print(f"{destination}: damaged, made anew; it is now {aside}", file=sys.stderr)
    with model_weights.whole_folder(destination, shared=True) as temporary:
        load_base(folder, "nf4", dtype, "cpu").save_pretrained(temporary)
        (temporary / hashed.name).write_text(model_weights.folder_fingerprint(temporary))


def load_network(
    base: dict, arm: dict | None, quantisation: str, dtype: str, device: str, expanded: Path | None = None
):
    """The network of a model (its model.json) or of a tuned arm (its arm.json too), ready to be asked."""
    if arm is not None and arm["method"] == "full":
        network = load_base(arm["path"], quantisation, dtype, device)
    else:
        network = load_base(base["path"], quantisation, dtype, device, expanded=expanded)
        if arm is not None:
            network = _attach(network, arm["path"], dtype, merged=device == "cpu" and dtype == "float32")
    if device == "cpu":
        packed_linear.pack(network)
        copy_weights(network)  # those that are left
    return network


def _attach(network, adapter: str | Path, dtype: str, merged: bool):
    """The network with an adapter, merged into its weights where that rounds no more than float32 does."""
    from peft import PeftModel

    network = PeftModel.from_pretrained(network, adapter, autocast_adapter_dtype=False)
    # The adapter alone, as autocast computed it in training. `network.to` would also
    # round the rotary frequencies, and a tuned arm would see other positions than base.
    for name, parameter in network.named_parameters():
        if ".lora_" in name:
            parameter.data = parameter.data.to(getattr(torch, dtype))
    return network.merge_and_unload() if merged else network
