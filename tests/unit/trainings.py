"""A small training for tests of tuning: its settings, its model's card, and how it is run."""

from pathlib import Path

import polars as pl

from faithtune.models import weights as models
from faithtune.settings.tunings import GrpoSettings, Training
from faithtune.tuning import train as tune

SETTINGS = Training(
    method="sft",
    adapter="qlora",
    target="rationale",
    rank=2,
    alpha=4,
    dropout=0.1,
    targets="all-linear",
    learning_rate=0.001,
    epochs=1,
    batch_size=4,
    micro_batch_size=2,
    schedule="cosine",
    warmup=0.0,
    weight_decay=0.0,
    gradient_checkpointing=False,
    checkpoint_steps=2,
    seed=1,
    quantisation="nf4",
    dtype="float32",
)


def changed(**settings) -> Training:
    """SETTINGS with some of them replaced."""
    return SETTINGS.model_copy(update=settings)


def of_method(method: str, **settings) -> Training:
    """Settings for a method, each with a section of its own where it has one."""
    own = {"beta": None if method == "sft" else 0.1, "target": "own" if method == "grpo" else "rationale"}
    own["grpo"] = GrpoSettings(generations=3, max_new_tokens=12) if method == "grpo" else None
    return changed(method=method, **own | settings)


def card(folder) -> dict:
    return {"path": str(folder), "weights_sha256": models.folder_fingerprint(folder)}


def trained(model: dict, folder: Path, settings: Training, asked: pl.DataFrame, templates: dict, run: str = ""):
    """Train on the CPU, with checkpoints in folder c and weights in folder w; returns the result of `train`."""
    rows = tune.method(settings.method).prepare(model, asked, templates, settings)
    return tune.train(model, settings, rows, folder / f"c{run}", folder / f"w{run}", "cpu")
