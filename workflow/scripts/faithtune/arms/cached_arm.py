"""An arm made ready to be asked, with the store of what it was asked before."""

import contextlib
import functools
import hashlib
import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl

from faithtune.arms import blocks
from faithtune.arms.blocks import Block
from faithtune.arms.row_store import RowStore
from faithtune.jobs import job
from faithtune.models.backend import Model

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


@contextlib.contextmanager
def open_arm(
    backend: dict,
    questions: pl.DataFrame,
    how: dict,
    threads: int,
    stage: str,
    names: Mapping[str, str],
    cards: Mapping[str, str],
) -> Iterator[tuple[Model, tuple[RowStore, str], Iterator[Block]]]:
    """An arm (weights are loaded when first needed), its row store with its fingerprint, and the job's questions.

    `backend` is as `plan.backend` has it, for chats with their templates as `chat`; `how`, no part of what is
    asked: the configuration's section `compute`, and of hosts `plan.hosting` as `hosts`. An oracle needs the
    questions; an arm with weights its `cards`: the paths of `model` (model.json), `precision` (precision.json) and,
    where it is tuned, of `arm` (arm.json). stage: chains, answers,
    regenerations, paraphrases or mistakes; names: the job's `model`, `arm`, `eval_set` and `shard`. The questions
    come in the blocks of that shard.

    A job keeps its rows on a shelf of its own in the arm's store: what jobs side by side find there must not
    hang on which was first, because the composition of a batch can change a near tie.
    """
    on_disk, together = None, False
    with contextlib.ExitStack() as open_while_asked:
        if "oracle" in backend:
            model, identity = _oracle(backend["oracle"], questions)
        elif "api" in backend:
            from faithtune.hosts import session

            api, labels = at_host(backend, cards), {"stage": stage, "arm": names["arm"], "eval_set": names["eval_set"]}
            on_shelf = functools.partial(shelf, stage=stage, names=names)
            settings = how["hosts"][api["name"]]
            model, identity, on_disk = open_while_asked.enter_context(
                session.open_session(api, settings, STORE, on_shelf, labels, backend.get("chat", {}))
            )
        else:
            model, arm = job.read_json(cards["model"]), job.read_json(cards.get("arm"))
            chosen = job.read_json(cards["precision"])
            model, identity = _local(backend["quantisation"], chosen, how["compute"], threads, model, arm)
            together = True
        own = shelf(identity, stage, names)
        with RowStore(own, on_disk, others(own), together) as rows:
            size = how["compute"]["block_size"]
            found = blocks.cut(questions, size, names["shard"]) if together else [Block(0, questions)]
            yield model, (rows, identity), each(found, rows)


def each(found: list[Block], rows: RowStore) -> Iterator[Block]:
    """The blocks, one after the other; the rows of each are settled before the next."""
    for block in found:
        if block.questions.is_empty():
            print("no question is left for this job: there are fewer blocks than shards", file=sys.stderr)
        yield block
        rows.settle()


def shelf(identity: str, stage: str, names: Mapping[str, str]) -> Path:
    """The folder of a job's rows."""
    name = f"{names['eval_set']}{names['shard']}"
    if stage in ("paraphrases", "mistakes"):  # asked of one model, for all arms
        name = f"{stage}-{names['model']}-{names['arm']}-{name}"
    return STORE / "rows" / identity[:32] / name


def others(own: Path) -> list[Path]:
    """The other shelves of the same set, whole or divided over some number of jobs.

    Jobs side by side have no key in common that they look for there (`Block.apart`, `answers._tell`).
    """
    name = own.name.partition(".")[0]
    return [path for path in (own.with_name(name), *sorted(own.parent.glob(f"{name}.*of*"))) if path != own]


def at_host(backend: dict, cards: Mapping[str, str]) -> dict:
    """An arm's section `api`, completed by what its cards say.

    Tuned by its host, it bears the name that the host gave it. Of weights that lie here and are served
    elsewhere the tokenizer is known, and the name holds their fingerprint, so that no other adapter can answer.
    """
    api, model, arm = backend["api"], job.read_json(cards.get("model")), job.read_json(cards.get("arm"))
    if model is not None:
        dtype = job.read_json(cards["precision"])["dtype"]
        name = served_name(api["name"], backend["quantisation"], dtype, model, arm)
        return api | {"model": name, "tokenizer": model["path"]}
    return api | ({"model": arm["hosted_model"]} if arm else {})


def served_name(name: str, quantisation: str, dtype: str, model: dict, arm: dict | None) -> str:
    """What a server of one's own is to call an arm."""
    return f"{name}-{fingerprint(model, arm, quantisation, dtype)[:16]}"


def _oracle(behaviour: dict, questions: pl.DataFrame) -> tuple[Model, str]:
    from faithtune.models import oracle

    known = [behaviour, questions.select("id", "answer").rows()]  # it knows the answers, so they are part of it
    identity = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()
    return oracle.OracleModel(questions, behaviour), identity


def _local(
    quantisation: str, chosen: dict, compute: dict, threads: int, model: dict, arm: dict | None
) -> tuple[Model, str]:
    import psutil
    import torch

    from faithtune.models import loading, local, precision, weights

    torch.set_num_threads(threads)
    dtype, device = chosen["dtype"], precision.device_kind(compute["device"])
    packed = compute["max_packed_tokens"] or loading.room(model["path"], quantisation, dtype, device)

    def load_network():
        for card in [model, *([arm] if arm else [])]:
            weights.hold_to_card(card)
        network = loading.load_network(model, arm, quantisation, dtype, device, expanded_folder(model, dtype))
        seconds = time.time() - psutil.Process().create_time()
        where = f"loaded on {network.device} {seconds:.1f} s after the job began"
        print(f"{where}, in {dtype}; up to {packed} tokens in memory", file=sys.stderr)
        precision.tell_cost(chosen, precision.present(device))
        return network

    tokenizer = loading.load_tokenizer(model["path"])
    asked = local.LocalModel(tokenizer, load_network, compute["batch_size"], packed)
    return asked, fingerprint(model, arm, quantisation, dtype)
