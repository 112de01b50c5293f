"""Parallel jobs on a machine with two pretended GPUs; torch finds no GPU and computes on the CPU."""

import itertools
import os
import re
import shutil

import polars as pl
import pytest

from study import Study

RULES = ("tune", "chains", "paraphrase", "answer")
ANSWERS = [f"results/answers/tiny/{arm}/colours.parquet" for arm in ("base", "qlora-arithmetic-42")]
# From a job's log.
CLAIMED = re.compile(r"^on GPU (GPU-[ab]), claimed ([\d.]+) s after the job began$", re.MULTILINE)


@pytest.fixture(scope="module")
def ran(finished, tmp_path_factory) -> Study:
    """The finished study's answers on one set, made again from scratch with two GPU jobs at a time."""
    folder = tmp_path_factory.mktemp("gpus")
    program = folder / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 0, GPU-a\necho 1, GPU-b\n")
    program.chmod(0o755)
    study = finished.copied(folder)
    for kept in ("results/store/rows", "logs", "benchmarks"):
        shutil.rmtree(folder / kept)
    study.config["compute"] |= {"device": "auto", "tune_threads": 1}
    study.config["eval_sets"] = ["colours"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        patch.setenv("TMPDIR", str(folder))
        patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        study.run("--resources", "gpu=2", "--forcerun", "questions", *RULES, "--", *ANSWERS)
    return study


def jobs(study: Study) -> list[tuple[str, float, float]]:
    """For each job that asked a model: its device, and the times (s) between which it held the device."""
    found = []
    for log in sorted(path for rule in RULES for path in (study.folder / "logs" / rule).rglob("*.log")):
        [(device, seconds)] = CLAIMED.findall(log.read_text())
        timed = (study.folder / "benchmarks" / log.relative_to(study.folder / "logs")).with_suffix(".tsv")
        ended = timed.stat().st_mtime  # a little later than the job
        began = ended - pl.read_csv(timed, separator="\t")["s"].item()
        found.append((device, began + float(seconds) + 0.1, log.stat().st_mtime))
    return found


def test_every_job_that_loads_weights_claims_one_device(ran):
    assert len(jobs(ran)) == 1 + 2 + 2 + 2  # a tuning; chains, paraphrases and answers of two arms


def test_jobs_side_by_side_have_distinct_devices(ran):
    pairs = itertools.combinations(jobs(ran), 2)
    beside = [(one, two) for one, two in pairs if one[1] < two[2] and two[1] < one[2]]
    assert beside
    assert all(one[0] != two[0] for one, two in beside)


def test_nothing_else_claims_a_device(ran):
    logs = [path for path in (ran.folder / "logs").rglob("*.log") if path.relative_to(ran.folder).parts[1] not in RULES]
    assert logs
    assert not any("on GPU" in path.read_text() for path in logs)
