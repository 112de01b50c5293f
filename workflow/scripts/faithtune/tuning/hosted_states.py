"""States of a training at a host, at the ends of epochs: they become arms of their own where the host lists them.

A host names a state by the step after which it was saved, and keeps few: OpenAI those after the last three epochs.
"""

import hashlib
import json

from faithtune.core.errors import UserError


def state_card(end: dict, arm: str, epoch: int) -> dict:
    """The arm.json of an arm after an epoch of its training; `end`: at the training's end (`hosted.train`).

    UserError if the host lists no state after that epoch.
    """
    states = _by_epoch(end)
    if epoch not in states:
        raise _missing(end, arm, epoch, sorted(states))
    state = states[epoch]
    return end | {
        "hosted_model": state["name"],
        "step": state["step"],
        "seen": epoch * end["examples"]["training"],
        "metrics": state["metrics"],
        "weights_sha256": weights_id(state["name"], end["job"]),
    }


def weights_id(name: str, job: str) -> str:
    """What distinguishes weights that stay at a host: sha256 (hex) of the host's name for them and of the job."""
    return hashlib.sha256(json.dumps([name, job]).encode()).hexdigest()


def _by_epoch(end: dict) -> dict[int, dict]:
    """The listed state at the end of each epoch before the last, where there is one.

    An epoch need not be a whole number of steps: its state is saved less than a step before or after its end.
    """
    n_epochs, found = end["settings"]["n_epochs"], {}
    for state in end["checkpoints"]:
        if not state["step"] or state["name"] in (None, end["hosted_model"]):
            continue
        length = end["steps"] / n_epochs
        epoch = round(state["step"] / length)
        distance = abs(state["step"] - epoch * length)
        if 0 < epoch < n_epochs and distance < found.get(epoch, (1,))[0]:
            found[epoch] = (distance, state)
    return {epoch: state for epoch, (_, state) in found.items()}


def _missing(end: dict, arm: str, epoch: int, kept: list[int]) -> UserError:
    where, n_epochs = f"hosted_tunings.{arm.partition('-')[0]}.checkpoints", end["settings"]["n_epochs"]
    steps = ", ".join(str(state["step"]) for state in end["checkpoints"])
    listed = f"those after the steps {steps} of {end['steps']}" if steps else "none at all"
    expected = f"epoch {' or '.join(map(str, kept))}, or fewer n_epochs" if kept else "no checkpoints"
    return UserError(
        f"config: {where}: the host lists no state of {arm} after epoch {epoch} of {n_epochs}, but {listed}; expected"
        f" {expected}"
    )
