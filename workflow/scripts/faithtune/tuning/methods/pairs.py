"""Training on pairs: of a question, a completion that is right and one that is wrong.

Both are whole turns of the assistant after the evaluation prompt. The wrong one is the right one with another answer:
another option, or a number that differs by 1 to 10 (`examples.wrong_answer`). With the target `own` both are chains
that the model drew (`own.contrasted`).
"""

import polars as pl

from faithtune.data import prompts
from faithtune.models import loading
from faithtune.settings.tunings import Training
from faithtune.tuning import examples, tokens

# A column of TRAINING -> what the trainers of pairs call it.
LOGGED = {
    "loss": "loss",
    "margin": "rewards/margins",
    "preferred": "rewards/accuracies",
    "tokens": "num_tokens",
}


def prepare(model: dict, questions: pl.DataFrame, templates: dict[str, str], settings: Training) -> list[dict]:
    """prompt_ids, chosen_ids and rejected_ids of each of QUESTIONS; model: its model.json.

    The completions are all tokens after what both begin with, so the prompt may include the first tokens of a turn.
    """
    tokenizer, turns = loading.load_tokenizer(model["path"]), prompts.Turns.of(model)
    rows = []
    for question in examples.select_usable(questions, settings.target).to_dicts():
        wrong = question | wrong_turn(question)
        made = [
            tokens.tokenise_example(tokenizer, templates, one, question["target"], turns) for one in (question, wrong)
        ]
        rows.append(pair(*made))
    return rows


def wrong_turn(question: dict) -> dict:
    """What the wrong completion of a question has in place of the right one's."""
    if question["target"] == "own":
        return {"steps": question["wrong_steps"], "answer": question["wrong_answer"]}
    return {"answer": examples.wrong_answer(question)}


def pair(chosen: dict, rejected: dict) -> dict:
    """A row from the examples (`tokens.tokenise_example`) of both completions."""
    n_prompt = min(example["completion_mask"].index(1) for example in (chosen, rejected))
    return {
        "prompt_ids": chosen["input_ids"][:n_prompt],
        "chosen_ids": chosen["input_ids"][n_prompt:],
        "rejected_ids": rejected["input_ids"][n_prompt:],
    }


def reference_trainer(kind: type, arguments: type, network, settings: Training, rows: list[dict], common: dict):
    """TRL's trainer of a kind that compares the model with a reference, on rows that are token ids already.

    arguments: the kind's configuration; common: what `train.make_trainer` gives to every method.
    """
    import datasets

    class Trainer(kind):
        def _prepare_dataset(self, dataset, *_):
            return dataset

    return Trainer(
        model=network,
        ref_model=common["reference"](),
        args=arguments(
            **common["arguments"],
            beta=settings.beta,
            max_length=None,  # a truncated completion would teach the model to stop early
            disable_dropout=False,  # the key `dropout` decides
        ),
        train_dataset=datasets.Dataset.from_list(rows),
        **common["trainer"],
    )


def fixed_settings(trainer) -> dict:
    """The trainer's settings of these methods that no key of a tuning determines."""
    return {"loss_type": getattr(trainer.args, "loss_type", "orpo")}
