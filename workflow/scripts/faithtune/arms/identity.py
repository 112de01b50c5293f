"""What tells an arm's rows from every other arm's, and what a host calls the arm."""

import hashlib
import json
from collections.abc import Mapping

import polars as pl

from faithtune.jobs import job
from faithtune.settings.backend import Backend, Behaviour, HostedModel


def fingerprint(model: dict, arm: dict | None, quantisation: str, dtype: str) -> str:
    """The identity of an arm with weights here: sha256 (hex).

    `model` and `arm` are the contents of model.json and arm.json (None for base).
    """
    tuned = arm and [arm["weights_sha256"], arm["settings"]]
    return _sha256([model["weights_sha256"], tuned, quantisation, dtype])


def of_oracle(behaviour: Behaviour, questions: pl.DataFrame) -> str:
    """The identity of an oracle: sha256 (hex). An oracle knows the answers, so they are part of it."""
    return _sha256([behaviour.model_dump(exclude_none=True), questions.select("id", "answer").rows()])


def hosted_model(backend: Backend, cards: Mapping[str, str]) -> HostedModel:
    """An arm's model at its host, completed by its cards (paths of model.json, precision.json, arm.json).

    An arm that its host tuned has the name that the host gave it. Where the weights are here and the host is one's
    own server, the tokenizer is known, and the name holds the fingerprint, so that no other adapter can answer.
    """
    api, model, arm = backend.api, job.read_json(cards.get("model")), job.read_json(cards.get("arm"))
    if model is not None:
        dtype = job.read_json(cards["precision"])["dtype"]
        name = served_name(api.name, backend.quantisation, dtype, model, arm)
        return api.model_copy(update={"model": name, "tokenizer": model["path"]})
    return api.model_copy(update={"model": arm["hosted_model"]} if arm else {})


def served_name(name: str, quantisation: str, dtype: str, model: dict, arm: dict | None) -> str:
    """What one's own server must call an arm."""
    return f"{name}-{fingerprint(model, arm, quantisation, dtype)[:16]}"


def _sha256(parts: list) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
