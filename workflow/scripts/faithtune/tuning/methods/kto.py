"""Kahneman-Tversky optimisation (Ethayarajh et al. 2024, arXiv 2402.01306), by TRL's KTOTrainer.

It learns from completions that are right or wrong, not from pairs. The two completions of a question are two examples.
The reference is the same as for `dpo`.
"""

import random

import polars as pl

from faithtune.settings.tunings import Training
from faithtune.tuning.methods import pairs

LOGGED = pairs.LOGGED | {"kl": "kl"}


def prepare(model: dict, questions: pl.DataFrame, templates: dict[str, str], settings: Training) -> list[dict]:
    """prompt_ids, completion_ids and label (whether it is right) of each completion, in an order of the seed's.

    TRL takes them in this order in every epoch: it estimates the KL term from neighbours.
    """
    rows = [
        {"prompt_ids": row["prompt_ids"], "completion_ids": row[f"{kind}_ids"], "label": kind == "chosen"}
        for row in pairs.prepare(model, questions, templates, settings)
        for kind in ("chosen", "rejected")
    ]
    random.Random(settings.seed).shuffle(rows)
    return rows


def make_trainer(network, settings: Training, rows: list[dict], common: dict, device: str):
    """The trainer on rows of `prepare`; common: what `train.make_trainer` gives to every method."""
    import trl

    rows = _with_neighbours(rows, settings.micro_batch_size)
    return pairs.reference_trainer(trl.KTOTrainer, trl.KTOConfig, network, settings, rows, common)


def fixed_settings(trainer) -> dict:
    """The trainer's settings of this method that no key of a tuning determines."""
    arguments = trainer.args
    return {"loss_type": arguments.loss_type, "weights": [arguments.desirable_weight, arguments.undesirable_weight]}


def _with_neighbours(rows: list[dict], size: int) -> list[dict]:
    """Each row with the completion of the row before it in its micro-batch, mostly of another question.

    The KL term is estimated on them, as TRL does (`KTOTrainer._prepare_dataset`).
    """
    batches = (rows[start : start + size] for start in range(0, len(rows), size))
    return [
        row | {"KL_completion_ids": other["completion_ids"]}
        for batch in batches
        for row, other in zip(batch, [batch[-1], *batch[:-1]], strict=True)
    ]
