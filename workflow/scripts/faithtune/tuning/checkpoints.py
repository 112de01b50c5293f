"""Checkpoints of a training: each is hashed when it is written, and held to its hash before it is gone on from."""

import json
import shutil
from pathlib import Path

import transformers

from faithtune.core import errors
from faithtune.models import weights

# Beside a checkpoint's files, the hash of all of them; written last, so that what a kill cut short has none.
_HASH = "sha256"


class Hashed(transformers.TrainerCallback):
    """Writes the hash of each checkpoint once its other files are there."""

    def on_save(self, args, state, control, **_):
        """Called by the trainer."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        (folder / _HASH).write_text(_hash(folder), encoding="utf-8")


def last(folder: Path) -> Path | None:
    """The newest whole checkpoint of a training's folder; those that are cut short or damaged are named and removed."""
    whole = []
    for path in folder.glob("checkpoint-*"):
        file = path / _HASH
        if file.is_file() and file.read_bytes() == _hash(path).encode():
            whole.append(path)
        else:
            errors.warn(f"{path}: cut short or damaged: the training goes on from an earlier one, or begins anew")
            shutil.rmtree(path)
    return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def tokens(checkpoint: Path) -> int:
    """How many tokens a training had computed at a checkpoint, by the last row of its log."""
    log = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
    return int(log[-1]["num_tokens"]) if log else 0


def _hash(folder: Path) -> str:
    return weights.folder_fingerprint(folder, ("*.*",))  # all but the hash itself
