"""Checkpoints of a training under way: each is hashed when written, and verified before training resumes from it."""

import json
import shutil
from pathlib import Path

import transformers

from faithtune.core import errors
from faithtune.models import weights

# A checkpoint's file with the hash of its other files; written last, so an interrupted checkpoint has none.
_HASH = "sha256"


class HashedCheckpoints(transformers.TrainerCallback):
    """Writes the hash of each checkpoint after its other files."""

    def on_save(self, args, state, control, **_):
        """Called by the trainer."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        (folder / _HASH).write_text(_hash_folder(folder), encoding="utf-8")


def last_checkpoint(folder: Path) -> Path | None:
    """The newest intact checkpoint of a training, or None; warns of incomplete or damaged ones and removes them."""
    whole = []
    for path in folder.glob("checkpoint-*"):
        file = path / _HASH
        if file.is_file() and file.read_bytes() == _hash_folder(path).encode():
            whole.append(path)
        else:
            errors.warn(f"{path}: incomplete or damaged: training resumes from an earlier checkpoint or starts again")
            shutil.rmtree(path)
    return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def tokens_seen(checkpoint: Path) -> int:
    """How many tokens a training had processed at a checkpoint, by the last row of its log."""
    log = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
    return int(log[-1].get("num_tokens", 0)) if log else 0


def _hash_folder(folder: Path) -> str:
    return weights.folder_fingerprint(folder, ("*.*",))  # all files but the hash itself
