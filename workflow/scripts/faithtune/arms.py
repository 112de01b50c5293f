"""An arm made ready to be asked, with the store of what it was asked before."""

import hashlib
import json
import sys
import time
from pathlib import Path

import psutil
import torch

from faithtune import job, local, networks
from faithtune.store import RowStore

STORE = Path("results/store")


def fingerprint(model: dict, arm: dict | None, quantisation: str, dtype: str) -> str:
    """What tells an arm's rows from every other arm's: sha256 (hex).

    `model` and `arm` are the contents of model.json and arm.json (None for base).
    """
    tuned = arm and [arm["weights_sha256"], arm["settings"]]
    parts = [model["weights_sha256"], tuned, quantisation, dtype]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def expanded_folder(model: dict, dtype: str) -> Path:
    """Where a CPU keeps a model's NF4 weights, expanded."""
    return STORE / "expanded" / f"{model['weights_sha256'][:32]}-{dtype}"


def load(
    model_card: str, arm_card: str | None, loading: dict, compute: dict, threads: int, shelf: str
) -> tuple[local.LocalModel, tuple[RowStore, str]]:
    """An arm (weights are loaded when first needed), its row store and its fingerprint.

    `loading` holds quantisation and dtype, `compute` the configuration's section of
    that name. A job keeps its rows on a shelf of its own in the arm's store: what
    jobs side by side find there must not hang on which was first, because the
    composition of a batch can change a near tie.
    """
    torch.set_num_threads(threads)
    model, arm = job.read_json(model_card), job.read_json(arm_card)
    quantisation, dtype = loading["quantisation"], loading["dtype"]
    device = networks.device_of(compute["device"])

    def load_network():
        network = networks.load_network(model, arm, quantisation, dtype, device, expanded_folder(model, dtype))
        seconds = time.time() - psutil.Process().create_time()
        print(f"loaded {seconds:.1f} s after the job began; up to {packed} tokens in memory", file=sys.stderr)
        return network

    tokenizer = networks.load_tokenizer(model["path"])
    packed = compute["max_packed_tokens"] or networks.room(model["path"], dtype, device)
    ready = local.LocalModel(tokenizer, load_network, compute["batch_size"], packed)
    identity = fingerprint(model, arm, quantisation, dtype)
    return ready, (RowStore(STORE / "rows" / identity[:32] / shelf), identity)
