"""Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290), by TRL's DPOTrainer.

The reference is the base as the training finds it: with an adapter, the base without it; for full tuning, a copy.
"""

from faithtune.settings.tunings import Training
from faithtune.tuning.methods.pairs import LOGGED, fixed_settings, prepare

__all__ = ["LOGGED", "fixed_settings", "make_trainer", "prepare"]


def make_trainer(network, settings: Training, rows: list[dict], common: dict, device: str):
    """The trainer on rows of `prepare`; common: what `train.make_trainer` gives to every method."""
    import datasets
    import trl

    class Trainer(trl.DPOTrainer):
        def _prepare_dataset(self, dataset, *_):
            return dataset  # rows are token ids already

    arguments = trl.DPOConfig(
        **common["arguments"],
        beta=settings.beta,
        max_length=None,  # a truncated completion would teach the model to stop early
        disable_dropout=False,  # the key `dropout` decides
    )
    return Trainer(
        model=network,
        ref_model=common["reference"](),
        args=arguments,
        train_dataset=datasets.Dataset.from_list(rows),
        **common["trainer"],
    )
