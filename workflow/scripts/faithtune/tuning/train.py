"""Tunes a model: what all methods share. Each method is a module of `methods`, with these functions:

    prepare(model, questions, templates, settings)     the training's rows, as tokens
    make_trainer(network, settings, rows, common, device)   TRL's trainer for these rows
    fixed_settings(trainer)                             its settings that no key of a tuning determines

and with LOGGED, the columns of TRAINING that it logs.
"""

import contextlib
import fcntl
import hashlib
import importlib
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import polars as pl
import transformers

from faithtune.core import errors
from faithtune.core.schemas.training import TRAINING
from faithtune.models import loading, precision, tree_cache
from faithtune.models import weights as model_weights
from faithtune.settings.tunings import Training
from faithtune.tuning import adapters, change, checkpoints, states

# A column of TRAINING -> what every trainer calls it.
_LOGGED = {"step": "step", "epoch": "epoch", "learning_rate": "learning_rate", "gradient_norm": "grad_norm"}


def method(name: str) -> ModuleType:
    """The module of a method."""
    return importlib.import_module(f"faithtune.tuning.methods.{name}")


def train(
    model: dict,
    settings: Training,
    rows: list[dict],
    under_way: Path,
    weights: Path,
    device: str = "auto",
    saved: states.SavedStates | None = None,
) -> tuple[dict, pl.DataFrame, Path]:
    """Tune a model (its model.json) on rows of its method's `prepare`; `saved`: which states on the way are kept.

    Returns the arm's card, its TRAINING log and the folder of its checkpoints, under_way/HASH. A killed training
    resumes from its last checkpoint there. The hash covers everything that determines the training, so a training with
    other settings starts from the beginning. The caller removes the folder once the arm is stored.
    """
    model_weights.verify_weights(model)
    folder = under_way / _identity(model["weights_sha256"], settings.model_dump(), rows)
    trainer = make_trainer(model, settings, rows, folder, precision.device_kind(device))
    checkpoint = checkpoints.last_checkpoint(folder)
    if saved is not None:
        trainer.add_callback(saved)
        if checkpoint is not None and not saved.all_saved(checkpoint):
            errors.warn(f"{checkpoint}: not all states before it were saved: the training starts again")
            shutil.rmtree(folder)
            checkpoint = None
    if checkpoint is not None:
        trainer._total_train_tokens = checkpoints.tokens_seen(checkpoint)  # TRL does not store this count
    trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))
    log = _log(trainer, settings)
    with model_weights.atomic_folder(weights) as temporary:
        trainer.save_model(str(temporary))
        adapters.sort_layers(temporary / "adapter_config.json")
    card = {
        "method": settings.method,
        "adapter": settings.adapter,
        "path": str(weights),
        # With `settings`, the identity of the arm.
        "weights_sha256": model_weights.folder_fingerprint(weights, ("*.safetensors",)),
        "folder_sha256": model_weights.folder_fingerprint(weights),  # detects damage (model_weights.verify_weights)
        "settings": settings.model_dump(exclude={"code"}),
        "fixed": _fixed_settings(trainer, settings),
        "examples": len(rows),
        "steps": trainer.state.global_step,
        "seen": min(trainer.state.global_step * settings.batch_size, math.ceil(settings.epochs * len(rows))),
        "tokens": log["tokens"].drop_nulls().last(),  # None: the trainer does not count
        "change": change.measure(trainer.model, lambda: adapters.load_network(model, settings, "cpu")),
    }
    return card, log, folder


def make_trainer(model: dict, settings: Training, rows: list[dict], folder: Path, device: str):
    """The trainer of the method, which writes checkpoints to `folder`."""
    network = adapters.load_network(model, settings, device)
    tree_cache.check_network(network.eval())  # before hours of training an arm that could not be evaluated
    common = {
        "arguments": common_arguments(settings, folder, device, len(rows)),
        # A copy of the base as a reference; an adapter's is the base without it.
        "reference": lambda: adapters.load_network(model, settings, device) if settings.adapter == "full" else None,
        "trainer": {
            "processing_class": loading.load_tokenizer(model["path"]),
            "peft_config": adapters.peft_config(settings, network.config.model_type),
            "callbacks": [checkpoints.HashedCheckpoints()],
        },
    }
    transformers.set_seed(settings.seed)  # before the adapter draws its first weights
    return method(settings.method).make_trainer(network, settings, rows, common, device)


def common_arguments(settings: Training, folder: Path, device: str, n_examples: int) -> dict:
    """The arguments that the trainers of all methods have."""
    total = math.ceil(n_examples / settings.batch_size) * settings.epochs
    return {
        "output_dir": str(folder),
        "per_device_train_batch_size": settings.micro_batch_size,
        "gradient_accumulation_steps": settings.batch_size // settings.micro_batch_size,
        "num_train_epochs": settings.epochs,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.schedule,
        "warmup_steps": math.ceil(settings.warmup * total),
        "weight_decay": settings.weight_decay,
        "gradient_checkpointing": settings.gradient_checkpointing,
        "bf16": settings.dtype == "bfloat16",
        "fp16": settings.dtype == "float16" and device != "cpu",
        "use_cpu": device == "cpu",
        "logging_steps": _logging_steps(total, settings.checkpoint_steps),
        "save_strategy": "steps",
        "save_steps": settings.checkpoint_steps,
        "save_total_limit": 2,
        "seed": settings.seed,
        "data_seed": settings.seed,
        "report_to": [],
        "disable_tqdm": False,  # shows rate and remaining time in the log
    }


@contextlib.contextmanager
def exclusive(lock: Path) -> Iterator[None]:
    """Hold `lock` while an arm is tuned, so that a second run in the folder (--nolock) waits."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with open(lock, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            errors.warn(f"another run is tuning this arm (it holds {lock}): waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:  # a file system without locks
            print(f"{lock}: not locked ({error.strerror}); make sure that no other run tunes this arm")
        yield


def _identity(*parts: str | dict | list) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _logging_steps(total: int, checkpoint_steps: int) -> int:
    """Logging interval in steps: at least 40 rows; divides checkpoint_steps, so a resumed run logs the same rows."""
    return max(n for n in range(1, max(1, int(total // 40)) + 1) if checkpoint_steps % n == 0)


def _log(trainer, settings: Training) -> pl.DataFrame:
    """The TRAINING log; null where the method does not log a column."""
    names = _LOGGED | method(settings.method).LOGGED
    rows = [{column: entry.get(names.get(column)) for column in TRAINING} for entry in trainer.state.log_history]
    return pl.DataFrame([row for row in rows if row["loss"] is not None], schema=TRAINING)


def _fixed_settings(trainer, settings: Training) -> dict:
    """The trainer's settings that no key of a tuning determines, read from the trainer."""
    arguments, learnt = trainer.args, (weight for weight in trainer.model.parameters() if weight.requires_grad)
    fixed = {
        "optimiser": str(getattr(arguments.optim, "value", arguments.optim)),
        "betas": [arguments.adam_beta1, arguments.adam_beta2],
        "epsilon": arguments.adam_epsilon,
        "clipping": arguments.max_grad_norm,  # of the gradient's norm
        "trained_in": str(next(learnt).dtype).removeprefix("torch."),
    }
    quantised = {"double_quantisation": loading.DOUBLE_QUANTISATION} if settings.quantisation == "nf4" else {}
    return fixed | method(settings.method).fixed_settings(trainer) | quantised
