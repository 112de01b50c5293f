"""Odds ratio preference optimisation (Hong et al. 2024, arXiv 2403.07691), by TRL's ORPOTrainer.

Supervised tuning on the right completion, with a penalty where the wrong one is likelier; it needs no reference. `beta`
is the paper's λ.
"""

from faithtune.settings.tunings import Training
from faithtune.tuning.methods.pairs import LOGGED, fixed_settings, prepare

__all__ = ["LOGGED", "fixed_settings", "make_trainer", "prepare"]


def make_trainer(network, settings: Training, rows: list[dict], common: dict, device: str):
    """The trainer on rows of `prepare`; common: what `train.make_trainer` gives to every method."""
    import datasets
    from trl.experimental import orpo

    class Trainer(orpo.ORPOTrainer):
        def tokenize_row(self, feature, model=None):
            return _sequences(feature)  # rows are token ids already

        def concatenated_forward(self, model, batch):
            *found, _ = super().concatenated_forward(model, batch)
            return *found, likelihood_loss(found[2], batch["chosen_labels"])  # TRL's is over the prompt, too

    arguments = orpo.ORPOConfig(
        **common["arguments"],
        beta=settings.beta,
        max_length=max(len(row["prompt_ids"]) + max(len(row[key]) for key in _COMPLETIONS.values()) for row in rows),
        disable_dropout=False,  # the key `dropout` decides
    )
    texts = dict.fromkeys(("prompt", "chosen", "rejected"), "")  # which TRL asks for, and `tokenize_row` replaces
    return Trainer(
        model=network,
        args=arguments,
        train_dataset=datasets.Dataset.from_list([row | texts for row in rows]),
        **common["trainer"],
    )


def likelihood_loss(logits, labels):
    """Mean negative log-likelihood of the learnt tokens, nats.

    Args:
        logits: (completions, tokens, vocabulary), of the token after each but the last, maybe padded.
        labels: (completions, tokens) of all tokens; -100 where a token is not learnt.
    """
    from torch.nn.functional import cross_entropy

    following = labels[:, 1:]
    return cross_entropy(logits[:, : following.shape[1]].flatten(0, 1), following.flatten().to(logits.device))


_COMPLETIONS = {"chosen": "chosen_ids", "rejected": "rejected_ids"}


def _sequences(row: dict) -> dict:
    """The columns that ORPOTrainer makes of texts, from token ids; prompts are not learnt (-100)."""
    prompt = row["prompt_ids"]
    made = {"prompt_input_ids": prompt, "prompt_attention_mask": [1] * len(prompt)}
    for name, key in _COMPLETIONS.items():
        made[f"{name}_input_ids"] = prompt + row[key]
        made[f"{name}_attention_mask"] = [1] * len(made[f"{name}_input_ids"])
        made[f"{name}_labels"] = [-100] * len(prompt) + row[key]
    return made
