"""Tunes a model through a host's fine-tuning endpoint, with one job per arm (`hosts/finetune_jobs.py`).

A job is identified by a hash of its files, the base model and the request. Its record, RECORDS/MODEL/HASH.json, holds
every id that the host returns, written before the next step, so that a rerun attaches to the same job.
"""

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl

from faithtune.core.errors import UserError
from faithtune.core.schemas.training import HOSTED_TRAINING
from faithtune.hosts.billing import Meter
from faithtune.hosts.finetune_api import FineTuneSpec
from faithtune.hosts.finetune_jobs import FineTuneJob, JobCharge
from faithtune.hosts.host import Host
from faithtune.hosts.spend import prices
from faithtune.hosts.spend.ledger import Reservation
from faithtune.models import token_counts
from faithtune.settings.tunings import HostedTraining
from faithtune.tuning import examples, hosted_states

# A method -> what hosts call it.
_NAMES = {"sft": "supervised", "dpo": "dpo"}
HYPERPARAMETERS = ("n_epochs", "batch_size", "learning_rate_multiplier")
# Assumed if the host chooses: hosts' choice for files of the usual size.
USUAL_EPOCHS = 3
# Upper bound of the tokens that a host's format adds to each message.
MESSAGE_TOKENS = 8

_LOGGED = {
    "loss": "train_loss",
    "token_accuracy": "train_mean_token_accuracy",
    "validation_loss": "valid_loss",
    "validation_token_accuracy": "valid_mean_token_accuracy",
    "full_validation_loss": "full_valid_loss",
    "full_validation_token_accuracy": "full_valid_mean_token_accuracy",
}


def train(
    meter: Meter,
    questions: pl.DataFrame,
    templates: dict[str, str],
    settings: HostedTraining,
    records: Path,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[dict, pl.DataFrame]:
    """Tune the host's model on training questions; returns the arm's card and its HOSTED_TRAINING log.

    The host chooses the hyperparameters that are None.

    Raises BudgetError before sending anything, and UserError with the host's message if the job fails or is cancelled.
    """
    spec = _fine_tune_spec(meter.host, settings, *training_files(questions, templates, settings))
    charge = JobCharge(meter.ledger, meter.price, _reservation(meter, settings, spec))
    record = Path(records) / meter.host.name / f"{spec.short}.json"
    ended, checkpoints, metrics = FineTuneJob(meter.host, charge, spec, record, sleep).run()
    metrics += [found["metrics"] for found in checkpoints if found.get("metrics")]
    card = _arm_card(meter.host, settings, spec, ended, checkpoints)
    return card | {"steps": _last_step(metrics, card["checkpoints"])}, training_log(metrics)


def training_files(
    questions: pl.DataFrame, templates: dict[str, str], settings: HostedTraining
) -> tuple[bytes, bytes | None]:
    """The training and validation files as JSONL; None without validation questions."""
    usable = examples.select_usable(questions, settings.target)
    learnt, held = examples.split_validation(usable, settings.validation_share)
    make = examples.preference_example if settings.method == "dpo" else examples.supervised_example
    training, validation = (
        examples.to_jsonl([make(templates, question, question["target"]) for question in part.to_dicts()])
        for part in (learnt, held)
    )
    return training, validation or None


def count_training_tokens(training: bytes, count: Callable[[str], int] = token_counts.estimate_tokens) -> int:
    """Tokens that one epoch on a training file trains on, an upper bound.

    A preference counts its prompt with each of the two outputs.
    """
    total = 0
    for line in training.splitlines():
        example = json.loads(line)
        turns = example.get("messages") or [
            turn
            for output in ("preferred_output", "non_preferred_output")
            for turn in (*example["input"]["messages"], *example[output])
        ]
        total += sum(count(turn["content"]) + MESSAGE_TOKENS for turn in turns)
    return total


def training_log(metrics: list[dict]) -> pl.DataFrame:
    """HOSTED_TRAINING by step, from the metrics of the host's events and checkpoints."""
    steps: dict[int, dict] = {}
    for found in metrics:
        if (step := found.get("step")) is not None:
            row = steps.setdefault(int(step), {"step": int(step)})
            row |= {name: float(found[key]) for name, key in _LOGGED.items() if found.get(key) is not None}
    return pl.DataFrame([steps[step] for step in sorted(steps)], schema=HOSTED_TRAINING)


def _fine_tune_spec(host: Host, settings: HostedTraining, training: bytes, validation: bytes | None) -> FineTuneSpec:
    method = _NAMES[settings.method]
    names = (*HYPERPARAMETERS, "beta") if method == "dpo" else HYPERPARAMETERS
    chosen = settings.model_dump(include=set(names), exclude_none=True)
    request = {"model": host.model, "method": {"type": method, method: {"hyperparameters": chosen}}}
    request["seed"] = settings.seed
    content = {"training": training} | ({"validation": validation} if validation else {})
    hashes = {part: hashlib.sha256(data).hexdigest() for part, data in content.items()}
    identity = hashlib.sha256(json.dumps([request, hashes], sort_keys=True).encode()).hexdigest()
    return FineTuneSpec(identity, request, content)


def _reservation(meter: Meter, settings: HostedTraining, spec: FineTuneSpec) -> Reservation:
    """The job as the ledger reserves it: the price of an epoch times the number of epochs."""
    epochs = settings.n_epochs
    if epochs is None:
        if meter.ledger.budget_usd is not None:
            raise UserError(
                f"config: budget_usd is set, but n_epochs of {meter.arm} is left to the host, so its cost is unknown;"
                " expected a number of epochs"
            )
        epochs = USUAL_EPOCHS
    tokens = epochs * count_training_tokens(spec.files["training"], meter.count_tokens)
    usd = prices.training_cost(meter.price, tokens)
    key = f"{meter.host.name}-{spec.identity}"  # two hosts may get the same spec
    names = (key, meter.host.name, meter.host.model, meter.arm, meter.eval_set, meter.stage, "fine_tuning")
    return Reservation(*names, tokens, 0, usd)


def _arm_card(host: Host, settings: HostedTraining, spec: FineTuneSpec, ended: dict, checkpoints: list[dict]) -> dict:
    method = spec.request["method"]["type"]
    reported = ((ended.get("method") or {}).get(method) or {}).get("hyperparameters")
    name, n_examples = ended["fine_tuned_model"], {part: data.count(b"\n") for part, data in spec.files.items()}
    return {
        "method": settings.method,
        "hosted_model": name,
        "base": host.model,
        "job": ended["id"],
        "files": {part: ended.get(f"{part}_file") for part in spec.files},
        "examples": n_examples,
        "seen": settings.n_epochs and settings.n_epochs * n_examples["training"],
        "hyperparameters": reported or ended.get("hyperparameters") or {},
        "seed": ended.get("seed"),
        "trained_tokens": ended.get("trained_tokens"),
        "checkpoints": [
            {
                "name": found.get("fine_tuned_model_checkpoint"),
                "step": found.get("step_number"),
                "metrics": found.get("metrics") or {},
            }
            for found in checkpoints
        ],
        "settings": settings.model_dump(),
        "weights_sha256": hosted_states.weights_id(name, ended["id"]),  # the weights stay at the host
    }


def _last_step(metrics: list[dict], checkpoints: list[dict]) -> int | None:
    """The steps of the whole training, by the host's metrics or checkpoints (of `arm.json`); None: it gives neither."""
    steps = [found.get(key) for found in metrics for key in ("total_steps", "step")]
    return max((int(step) for step in [*steps, *(found["step"] for found in checkpoints)] if step), default=None)
