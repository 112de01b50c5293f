"""States of a training on the way, saved at chosen steps: they become arms of their own."""

import json
import math
import shutil
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import polars as pl
import transformers

from faithtune.core.errors import UserError
from faithtune.models import weights
from faithtune.tuning import adapters

# The folder of states beside the checkpoints from which a killed training resumes.
FOLDER = "states"


class SavedStates(transformers.TrainerCallback):
    """Saves what the training has made of the model after the steps of `places` (`CheckpointSettings.places`)."""

    def __init__(self, places: Sequence[str], arm: str):
        self.places, self.arm, self.steps = places, arm, {}

    def on_train_begin(self, args, state, control, **_):
        """Called by the trainer; UserError if a step is none of this training."""
        self.steps = steps_of(self.places, state.max_steps, self.arm)

    def on_step_end(self, args, state, control, model, **_):
        """Called by the trainer."""
        if place := self.steps.get(state.global_step):
            with weights.atomic_folder(Path(args.output_dir) / FOLDER / place) as temporary:
                model.save_pretrained(temporary)
                adapters.sort_layers(temporary / "adapter_config.json")

    def all_saved(self, checkpoint: Path) -> bool:
        """Whether every state before a resume checkpoint is there, so that the training may go on from it."""
        state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
        steps = steps_of(self.places, state["max_steps"], self.arm)
        folder = checkpoint.parent / FOLDER
        return all((folder / place).is_dir() for step, place in steps.items() if step <= state["global_step"])

    def keep(self, folder: Path, destination: Path, card: dict, log: pl.DataFrame) -> None:
        """Copy the states to `destination`/PLACE, and write the card of each to PLACE.json beside it.

        folder: of the training's checkpoints; card: of the arm at the training's end; log: TRAINING.
        """
        with weights.atomic_folder(destination) as temporary:
            for step, place in self.steps.items():
                state = temporary / place
                shutil.copytree(folder / FOLDER / place, state)
                tokens = log.filter(pl.col("step") <= step)["tokens"].drop_nulls()
                own = {
                    "path": str(destination / place),
                    "weights_sha256": weights.folder_fingerprint(state, ("*.safetensors",)),
                    "folder_sha256": weights.folder_fingerprint(state),
                    "step": step,
                    "seen": min(step * card["settings"]["batch_size"], card["seen"]),
                    "tokens": tokens.last() if tokens.len() else None,
                    "change": {"norm": None, "relative": None},
                }
                (temporary / f"{place}.json").write_text(json.dumps(card | own, indent=2), encoding="utf-8")


def steps_of(places: Sequence[str], total: int, arm: str) -> dict[int, str]:
    """{step: place} of a training of `total` steps; UserError if it ends before, or two places are one step."""
    found: dict[int, str] = {}
    tuning = arm.partition("-")[0]
    for place in places:
        # A share is exact: in floating point 0.28 of 25 steps would be more than 7.
        step = math.ceil(Fraction(place.replace("p", ".")) * total) if "p" in place else int(place)
        if step > total:
            raise UserError(
                f"config: tunings.{tuning}.checkpoints: there is no step {step}: {arm} is tuned in {total} steps;"
                f" expected at most {total}"
            )
        if step in found:
            raise UserError(
                f"config: tunings.{tuning}.checkpoints: {found[step]} and {place} are both step {step} of {total};"
                " expected one of them"
            )
        found[step] = place
    return found
