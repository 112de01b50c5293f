"""Open an arm: its model, ready to be asked, and the rows that it has computed before."""

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping

import polars as pl

from faithtune.arms import blocks, identity
from faithtune.arms.blocks import Block
from faithtune.arms.cached_arm import CachedArm
from faithtune.arms.folders import STORE, StageRun, expanded_folder
from faithtune.arms.row_store import RowStore
from faithtune.data import prompts
from faithtune.jobs import job
from faithtune.models.backend import Model
from faithtune.settings.backend import Backend
from faithtune.settings.compute import ComputeSettings
from faithtune.settings.hosts import HostSettings


@contextlib.contextmanager
def open_arm(
    backend: Backend, questions: pl.DataFrame, run: StageRun, cards: Mapping[str, str], how: dict, threads: int
) -> Iterator[tuple[CachedArm, Iterator[Block]]]:
    """Yields the arm, and the job's questions in blocks. Weights are loaded when they are first needed.

    Args:
        backend: what decides the arm's rows, as returned by `plan.backend`; for chats with their templates as `chat`.
        questions: all of the set; the blocks are those of the job's shard.
        run: which stage of which arm the job is.
        cards: paths. An arm with weights here needs `model` (model.json), `precision` (precision.json) and, where it is
            tuned, `arm` (arm.json).
        how: what changes no row: the section `compute` of the configuration and, of hosts, `plan.host_settings` as
            `hosts`.
        threads: of PyTorch.
    """
    compute, on_disk, together = ComputeSettings(**how["compute"]), None, False
    with contextlib.ExitStack() as opened:
        if backend.oracle:
            from faithtune.models import oracle

            model = oracle.OracleModel(questions, backend.oracle)
            arm = identity.of_oracle(backend.oracle, questions)
        elif backend.api:
            from faithtune.hosts import session

            hosted = identity.hosted_model(backend, cards)
            labels = {"stage": run.stage, "arm": run.arm, "eval_set": run.eval_set}
            settings = HostSettings(**how["hosts"][hosted.name])
            model, arm, on_disk = opened.enter_context(
                session.open_session(hosted, settings, STORE, run.rows_folder, labels, backend.chat)
            )
        else:
            model, arm = open_local(backend.quantisation, cards, compute, threads)
            together = True
        folder = run.rows_folder(arm)
        rows = opened.enter_context(RowStore(folder, on_disk, run.sibling_folders(arm), together))
        cached = CachedArm(model, rows, arm)
        found = blocks.cut(questions, compute.block_size, run.shard) if together else [Block(0, questions)]
        yield cached, committed(found, cached)


def committed(found: list[Block], arm: CachedArm) -> Iterator[Block]:
    """The blocks one by one; the rows of each are committed before the next."""
    for block in found:
        if block.questions.is_empty():
            print("no question is left for this job: there are fewer blocks than shards", file=sys.stderr)
        yield block
        arm.commit()


def open_local(
    quantisation: str,
    cards: Mapping[str, str],
    compute: ComputeSettings,
    threads: int,
    open_adapter: bool = False,
) -> tuple[Model, str]:
    """A model whose weights are on this machine, and its identity; arguments as in `open_arm`.

    open_adapter: as in `loading.load_network`.
    """
    import psutil
    import torch

    from faithtune.models import loading, local, precision, weights

    torch.set_num_threads(threads)
    model, arm = job.read_json(cards["model"]), job.read_json(cards.get("arm"))
    chosen = job.read_json(cards["precision"])
    dtype, device = chosen["dtype"], precision.device_kind(compute.device)
    packed = compute.max_packed_tokens or loading.packed_token_budget(model["path"], quantisation, dtype, device)

    def load_network():
        for card in [model, *([arm] if arm else [])]:
            weights.verify_weights(card)
        expanded = expanded_folder(model, dtype)
        network = loading.load_network(model, arm, quantisation, dtype, device, expanded, open_adapter)
        seconds = time.time() - psutil.Process().create_time()
        where = f"loaded on {network.device} {seconds:.1f} s after the job began"
        print(f"{where}, in {dtype}; up to {packed} tokens in memory", file=sys.stderr)
        precision.warn_cost(chosen, precision.present_device(device))
        return network

    tokenizer = loading.load_tokenizer(model["path"])
    turns = prompts.Turns.of(model)
    network = local.LocalModel(tokenizer, load_network, compute.batch_size, packed, turns)
    return network, identity.fingerprint(model, arm, quantisation, dtype)
