"""Tuning through a host's fine-tuning endpoint: a job that is made once, waited for, and becomes an arm.

    train           files of examples -> the host's job (`finetune_jobs`) -> the arm's card and its training log

The job is named by a hash of its files, the base model and the request. Its record, RECORDS/MODEL/HASH.json, holds
every id the host gives, each written before anything is waited for: a re-run attaches to the job.
"""

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl

from faithtune.core.errors import UserError
from faithtune.core.schemas.training import HOSTED_TRAINING
from faithtune.hosts.finetune_api import Order
from faithtune.hosts.finetune_jobs import Bill, Job
from faithtune.hosts.host import Host
from faithtune.hosts.spend import prices
from faithtune.hosts.spend.ledger import Call, Ledger
from faithtune.models import token_counts
from faithtune.tuning import examples

HYPERPARAMETERS = ("n_epochs", "batch_size", "learning_rate_multiplier")
VALIDATION_SHARE = 0.1
# Reckoned with where the host is to choose: what it chooses for files of the usual size.
USUAL_EPOCHS = 3
# What a host's format adds to each message, rather too many.
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
    host: Host,
    ledger: Ledger,
    price: prices.Price | None,
    questions: pl.DataFrame,
    templates: dict[str, str],
    settings: dict,
    records: Path,
    sleep: Callable[[float], None] = time.sleep,
    arm: str = "tuned",
    count: Callable[[str], int] = token_counts.estimated,
) -> tuple[dict, pl.DataFrame]:
    """Tune the host's model on training questions; returns the arm's card and its HOSTED_TRAINING log.

    settings: method (supervised | dpo), target, seed; where they are given validation_share, n_epochs, batch_size,
    learning_rate_multiplier and, for dpo, beta: the host chooses what is left out or "auto".
    arm: its name in the ledger; count: tokens of a text, rather too many.

    BudgetError before anything is sent; UserError with the host's words where the job fails or is cancelled.
    """
    order = _order(host, settings, *files(questions, templates, settings))
    call = _call(host, ledger, price, settings, order, arm, count)
    record = Path(records) / host.name / f"{order.short}.json"
    ended, checkpoints, metrics = Job(host, Bill(ledger, price, call), order, record, sleep).run()
    metrics += [one["metrics"] for one in checkpoints if one.get("metrics")]
    return _card(host, settings, order, ended, checkpoints), training_log(metrics)


def files(questions: pl.DataFrame, templates: dict[str, str], settings: dict) -> tuple[bytes, bytes | None]:
    """The files of a tuning as JSONL: training and validation (None: none)."""
    usable = examples.usable(questions, settings["target"])
    learnt, held = examples.held_out(usable, settings.get("validation_share", VALIDATION_SHARE))
    make = examples.preference if settings["method"] == "dpo" else examples.supervised
    training, validation = (
        examples.jsonl([make(templates, question, settings["target"]) for question in part.to_dicts()])
        for part in (learnt, held)
    )
    return training, validation or None


def training_tokens(training: bytes, count: Callable[[str], int] = token_counts.estimated) -> int:
    """About how many tokens one pass over a training file trains on, rather too many.

    A preference is its prompt twice, with each of the two outputs.
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
    """HOSTED_TRAINING of what the host's events and checkpoints measured, by step."""
    steps: dict[int, dict] = {}
    for found in metrics:
        if (step := found.get("step")) is not None:
            row = steps.setdefault(int(step), {"step": int(step)})
            row |= {name: float(found[key]) for name, key in _LOGGED.items() if found.get(key) is not None}
    return pl.DataFrame([steps[step] for step in sorted(steps)], schema=HOSTED_TRAINING)


def _order(host: Host, settings: dict, training: bytes, validation: bytes | None) -> Order:
    method = settings["method"]
    names = (*HYPERPARAMETERS, "beta") if method == "dpo" else HYPERPARAMETERS
    chosen = {name: settings[name] for name in names if settings.get(name) not in (None, "auto")}
    request = {"model": host.model, "method": {"type": method, method: {"hyperparameters": chosen}}}
    if settings.get("seed") is not None:
        request["seed"] = settings["seed"]
    content = {"training": training} | ({"validation": validation} if validation else {})
    hashes = {what: hashlib.sha256(data).hexdigest() for what, data in content.items()}
    identity = hashlib.sha256(json.dumps([request, hashes], sort_keys=True).encode()).hexdigest()
    return Order(identity, request, content)


def _call(
    host: Host,
    ledger: Ledger,
    price: prices.Price | None,
    settings: dict,
    order: Order,
    arm: str,
    count: Callable[[str], int],
) -> Call:
    """The job as the ledger reserves it: at what a pass costs, times the passes."""
    epochs = settings.get("n_epochs")
    if epochs in (None, "auto"):
        if ledger.budget_usd is not None:
            raise UserError(
                f"config: budget_usd is set, but the host is to choose n_epochs of {arm}, so that what it costs is not"
                " known; expected a number of passes over the training questions"
            )
        epochs = USUAL_EPOCHS
    tokens = epochs * training_tokens(order.files["training"], count)
    usd = prices.training_cost(price, tokens)
    key = f"{host.name}-{order.identity}"  # one order may go to two hosts
    return Call(key, host.name, host.model, arm, None, "tune", "fine_tuning", tokens, 0, usd)


def _card(host: Host, settings: dict, order: Order, ended: dict, checkpoints: list[dict]) -> dict:
    method = order.request["method"]["type"]
    reported = ((ended.get("method") or {}).get(method) or {}).get("hyperparameters")
    name = ended["fine_tuned_model"]
    return {
        "method": method,
        "hosted_model": name,
        "base": host.model,
        "job": ended["id"],
        "files": {what: ended.get(f"{what}_file") for what in order.files},
        "examples": {what: data.count(b"\n") for what, data in order.files.items()},
        "hyperparameters": reported or ended.get("hyperparameters") or {},
        "seed": ended.get("seed"),
        "trained_tokens": ended.get("trained_tokens"),
        "checkpoints": [
            {
                "name": one.get("fine_tuned_model_checkpoint"),
                "step": one.get("step_number"),
                "metrics": one.get("metrics") or {},
            }
            for one in checkpoints
        ],
        "settings": settings,
        # The weights are the host's: its name for them and the job that made them tell arms apart.
        "weights_sha256": hashlib.sha256(json.dumps([name, ended["id"]]).encode()).hexdigest(),
    }
