"""Supervised fine-tuning: the likelihood of worked solutions or answers, by TRL's SFTTrainer.

Each micro-batch is one prefix tree (`collator`).
"""

import polars as pl

from faithtune.data import prompts
from faithtune.models import loading
from faithtune.settings.tunings import Training
from faithtune.tuning import examples, tokens
from faithtune.tuning.methods import collator

# A column of TRAINING -> what the trainer calls it.
LOGGED = {"loss": "loss", "token_accuracy": "mean_token_accuracy", "entropy": "entropy", "tokens": "num_tokens"}


def prepare(model: dict, questions: pl.DataFrame, templates: dict[str, str], settings: Training) -> list[dict]:
    """The training examples of QUESTIONS, each by `tokens.tokenise_example`; model: its model.json."""
    tokenizer, turns = loading.load_tokenizer(model["path"]), prompts.Turns.of(model)
    usable = examples.select_usable(questions, settings.target)
    return [
        tokens.tokenise_example(tokenizer, templates, question, question["target"], turns)
        for question in usable.to_dicts()
    ]


def make_trainer(network, settings: Training, rows: list[dict], common: dict, device: str):
    """The trainer on rows of `prepare`; common: what `train.common` gives to the trainer of every method."""
    import datasets
    import trl

    collator.score_predicting(network)
    arguments = trl.SFTConfig(
        **common["arguments"],
        max_length=None,  # a truncated example would teach the model to stop early
        completion_only_loss=True,
    )
    return trl.SFTTrainer(
        model=network,
        args=arguments,
        train_dataset=datasets.Dataset.from_list(rows),
        data_collator=collator.Collator(stacked=device != "cpu"),
        **common["trainer"],
    )


def fixed_settings(trainer) -> dict:
    """The trainer's settings of this method that no key of a tuning determines."""
    return {"loss_on": "completion" if trainer.args.completion_only_loss else "all"}
