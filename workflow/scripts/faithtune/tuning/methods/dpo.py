"""Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290), by TRL's DPOTrainer.

The reference is the base as the training finds it: with an adapter, the base without it; for full tuning, a copy.
"""

from faithtune.settings.tunings import Training
from faithtune.tuning.methods.pairs import LOGGED, fixed_settings, prepare, reference_trainer

__all__ = ["LOGGED", "fixed_settings", "make_trainer", "prepare"]


def make_trainer(network, settings: Training, rows: list[dict], common: dict, device: str):
    """The trainer on rows of `prepare`; common: what `train.make_trainer` gives to every method."""
    import trl

    return reference_trainer(trl.DPOTrainer, trl.DPOConfig, network, settings, rows, common)
