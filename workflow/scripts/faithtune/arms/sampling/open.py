"""Open a model that draws chains for its training questions, with the rows that it has drawn before."""

import contextlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from faithtune.arms import blocks
from faithtune.arms.blocks import Block
from faithtune.arms.cached_arm import CachedArm
from faithtune.arms.folders import STORE
from faithtune.arms.open import committed, open_local
from faithtune.arms.row_store import RowStore
from faithtune.settings.chains import SamplingSettings
from faithtune.settings.compute import ComputeSettings


@dataclass(frozen=True)
class SampleRun:
    """The chains that a model draws for the training questions of a data set."""

    data_set: str
    name: str  # `study.sampling.Sampled.name`
    how: SamplingSettings

    def rows_folder(self, identity: str) -> Path:
        """The folder with the job's rows; identity: of the model."""
        return STORE / "rows" / identity[:32] / f"samples-{self.data_set}-{self.name}"

    def sibling_folders(self, identity: str, made: Collection[str]) -> list[Path]:
        """The folders with chains drawn alike, of another number or for other questions, of an earlier configuration.

        made: the names of this study's jobs. These may run at the same time, so they must not find each other's rows.
        """
        folder = self.rows_folder(identity)
        own = {folder, *(folder.with_name(f"samples-{self.data_set}-{name}") for name in made)}
        alike = re.compile(rf"samples-{self.data_set}-(n\d+-)?{re.escape(self.how.way)}-m\d+")
        return [
            path for path in sorted(folder.parent.glob("samples-*")) if alike.fullmatch(path.name) and path not in own
        ]


@contextlib.contextmanager
def open_sampler(
    quantisation: str,
    questions: pl.DataFrame,
    run: SampleRun,
    made: Collection[str],
    cards: Mapping[str, str],
    compute: ComputeSettings,
    threads: int,
) -> Iterator[tuple[CachedArm, Iterator[Block]]]:
    """Yields a model with weights here, and its training questions in blocks of `compute.block_size` chains or fewer.

    made: as of `SampleRun.sibling_folders`; the other arguments as of `open_arm`.
    """
    model, identifier = open_local(quantisation, cards, compute, threads)
    siblings = run.sibling_folders(identifier, made)
    with RowStore(run.rows_folder(identifier), None, siblings, together=True) as rows:
        arm = CachedArm(model, rows, identifier)
        found = blocks.cut(questions, max(1, compute.block_size // run.how.samples))
        yield arm, committed(found, arm)
