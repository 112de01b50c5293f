"""Where jobs keep what outlives Snakemake's files: `results/store`, and in it a folder of rows for each job."""

from dataclasses import dataclass
from pathlib import Path

STORE = Path("results/store")

# They ask one model, the paraphraser, about the chains of all arms.
_OF_ONE_MODEL = ("paraphrases", "mistakes")


@dataclass(frozen=True)
class StageRun:
    """A stage of an arm on a set, or on a shard: one of the folders in results/ for which models are asked."""

    stage: str
    model: str
    arm: str
    eval_set: str
    shard: str = ""  # `.2of3`; empty for the whole set
    writer: str = ""  # of the stage crossed: the arm whose chains are read

    def rows_folder(self, identity: str) -> Path:
        """The folder with the job's rows; identity: of the arm that is asked.

        Jobs that run at the same time must not find each other's rows: which of them was first would decide what is
        computed in one batch, and that can change a near tie. So each job has a folder of its own.
        """
        name = f"{self.eval_set}{self.shard}"
        if self.stage in _OF_ONE_MODEL:
            name = f"{self.stage}-{self.model}-{self.arm}-{name}"
        if self.stage == "probes":
            name = f"probes-{name}"
        if self.writer:
            name = f"crossed-{self.model}-{self.writer}-{name}"
        return STORE / "rows" / identity[:32] / name

    def sibling_folders(self, identity: str) -> list[Path]:
        """The other folders with rows of the same set, whole or divided over some number of jobs.

        Jobs that run at the same time look for no key in common there (`CachedArm.scoped_to`, `Query.owner`). The
        stages crossed and probes look where the arm's own stages wrote, which have ended.
        """
        folder = self.rows_folder(identity)
        of_own_stages = self.writer or self.stage == "probes"
        name = self.eval_set if of_own_stages else folder.name.partition(".")[0]
        found = (folder.with_name(name), *sorted(folder.parent.glob(f"{name}.*of*")))
        return [path for path in found if path != folder]


def expanded_folder(model: dict, dtype: str) -> Path:
    """Where a CPU keeps a model's NF4 weights, expanded; model: the content of model.json."""
    return STORE / "expanded" / f"{model['weights_sha256'][:32]}-{dtype}"
