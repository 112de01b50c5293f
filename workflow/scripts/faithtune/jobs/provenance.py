"""The provenance of results: everything needed to reproduce them, and nothing about who made them.

Absolute paths are cut to their last part, and addresses lose credentials and queries. Host name, user and environment
variables are not recorded, nor is the time, so that two runs of one commit on one machine have equal provenance.
"""

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from faithtune.core import paths

# The Parquet metadata key under which a table holds its provenance.
KEY = "faithtune.provenance"
# Packages that can change results.
PACKAGES = (
    *("accelerate", "bitsandbytes", "datasets", "gguf", "huggingface-hub", "numpy", "openai", "peft", "polars"),
    *("pyarrow", "safetensors", "scipy", "sentencex", "snakemake", "statsmodels", "tokenizers", "torch"),
    *("transformers", "trl"),
)
_CREDENTIALS, _QUERY = re.compile(r"(?<=://)[^/@\s]*@"), re.compile(r"(://[^?#\s]*)[?#]\S*")


@dataclass(frozen=True)
class Cards:
    """Records of jobs about the models of a study: the contents of JSON files, by name."""

    models: Mapping[str, dict]  # model.json
    arms: Mapping[str, dict]  # arm.json
    hosts: Mapping[str, dict]  # each host's description of itself
    precision: dict | None  # precision.json; None if no weights are loaded


def collect(
    configuration: dict,
    questions: Mapping[str, str | Path],
    templates: Mapping[str, str],
    cards: Cards,
    imported: Mapping[str, str | Path],
    published: str,
) -> dict:
    """The provenance of a study.

    configuration: with all defaults; questions: files by SET.SPLIT; templates: texts by file; imported: files of
    chains by MODEL/ARM/SET; published: sha256 of the file of transcribed numbers.
    """
    return {
        "code": code_version(paths.WORKFLOW),
        "configuration": public(configuration),
        "data": {
            name: _source(configuration["data_sets"], name) | {"questions_sha256": sha256(Path(path).read_bytes())}
            for name, path in questions.items()
        },
        "prompts": {name: sha256(text.encode()) for name, text in templates.items()},
        "models": {name: _without_path(card) for name, card in cards.models.items()},
        "arms": {name: _without_path(card) for name, card in cards.arms.items()},
        "hosts": public(dict(cards.hosts)),
        "imported_chains": {name: sha256(Path(path).read_bytes()) for name, path in imported.items()},
        "published_sha256": published,
        "packages": {"python": platform.python_version()} | dict(_versions()),
        "precision": cards.precision,
        "snakemake_ran_on": hardware(),
    }


def digest(value: dict) -> str:
    """sha256 (hex) of a JSON object, independent of the order of its keys."""
    return sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode())


def summary_line(provenance: dict) -> str:
    """The provenance in one line: commit, digest of the configuration, digest of the whole."""
    commit = provenance["code"]["commit"] + (" with changes" if provenance["code"]["changed"] else "")
    configuration, whole = digest(provenance["configuration"])[:12], short_digest(provenance)
    return f"Provenance: commit {commit}, configuration {configuration}, provenance {whole}"


def short_digest(provenance: dict) -> str:
    """The first 12 digits of the digest, for readers to compare."""
    return digest(provenance)[:12]


def code_version(folder: Path) -> dict:
    """{"commit", "changed"} of the git work tree that tracks `folder`; "unknown" and None if there is none."""
    commit = _git(folder, "rev-parse", "HEAD") if _git(folder, "ls-files", "--", "Snakefile") else None
    status = _git(folder, "status", "--porcelain", "--", ".") if commit else None
    return {"commit": commit or "unknown", "changed": None if status is None else bool(status)}


def public(value):
    """`value` (JSON) for publication: without absolute paths and credentials in addresses."""
    if isinstance(value, dict):
        return {key: public(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [public(part) for part in value]
    if not isinstance(value, str):
        return value
    if value.startswith(("/", "~", "..")) and Path(value).name.strip("."):
        return f"…/{Path(value).name}"
    return _QUERY.sub(r"\1", _CREDENTIALS.sub("", value))


def sha256(content: bytes) -> str:
    """sha256 (hex), as sha256sum prints it."""
    return hashlib.sha256(content).hexdigest()


def hardware() -> dict:
    """Processor, cores, memory (GiB) and GPUs of this machine; None or empty if unknown.

    On a cluster this is the machine that runs Snakemake, not a node.
    """
    try:
        memory = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    except (OSError, ValueError):
        memory = None
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": memory,
        "gpus": _gpus(),
    }


def _source(data_sets: dict, name: str) -> dict:
    data_set, split = name.rsplit(".", 1)
    part = data_sets[data_set][split]
    return public({"source": part.get("source", "generated"), "checksum": part.get("checksum")})


def _without_path(card: dict) -> dict:
    return public({key: value for key, value in card.items() if key != "path"})


def _versions() -> Iterable[tuple[str, str]]:
    for name in PACKAGES:
        try:
            yield name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield name, "not installed"


def _git(folder: Path, *arguments: str) -> str | None:
    """The output of git; None if it fails or is not installed."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return _output("git", "-C", str(folder), *arguments, env=inherited)


def _gpus() -> list[str]:
    return (_output("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader") or "").splitlines()


def _processor() -> str | None:
    try:
        names = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        names = []
    return names[0] if names else platform.processor() or None


def _output(program: str, *arguments: str, env: dict | None = None) -> str | None:
    if shutil.which(program) is None:
        return None
    try:
        done = subprocess.run([program, *arguments], env=env, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
