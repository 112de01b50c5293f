"""Runs that are killed, disks that fill and files that are damaged: the tables come out as if nothing had been."""

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import psutil
import pyarrow.parquet
from study import Study

# How often a run is killed at work on each stage, in the order in which they come: 20 times in all.
KILLS = {
    "questions": 1,
    "model": 1,
    "tune": 2,
    "chains": 3,
    "paraphrase": 3,
    "intervene": 1,
    "answer": 3,
    "measure": 1,
    "estimates": 1,
    "claims": 1,
    "table": 2,
    "figure": 1,
}
# A moment of its work, in seconds: at most so long after its log appears. The others last a second or less.
LONGEST = {"tune": 8.0, "chains": 6.0, "paraphrase": 6.0, "answer": 6.0}


def twin(finished: Study, folder: Path) -> Study:
    """The finished study, to be run again in a folder of its own."""
    folder.mkdir(exist_ok=True)
    return Study(folder, finished.config["models"]["tiny"]["source"])


def at_work(run: subprocess.Popen, since: float, study: Study) -> list[str]:
    """The stages of the scripts that a run has under way, by what they have written to their logs since."""
    try:
        commands = [child.cmdline() for child in psutil.Process(run.pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
    scripts = {Path(word).name.split(".")[-2] for words in commands for word in words[1:2] if ".snakemake" in word}
    logs = (study.folder / "logs").rglob("*.log")
    begun = {path.relative_to(study.folder / "logs").parts[0] for path in logs if modified(path) > since}
    return sorted(scripts & {name.removesuffix(".log") for name in begun})


def modified(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0


def kill(run: subprocess.Popen, whole_group: bool) -> None:
    """End a run at once: all of its processes, as a power cut does, or its master alone; its jobs then go on."""
    (os.killpg if whole_group else os.kill)(run.pid, signal.SIGKILL)
    run.wait()


def killed_at_work(study: Study, wanted: Counter, source: random.Random, whole_group: bool) -> tuple[str, list[str]]:
    """Run until a wanted stage is at work, kill the run a moment later; that stage and all that was hit."""
    since = time.time()
    run = study.start("--cores", "2")
    while not (found := [stage for stage in at_work(run, since, study) if wanted[stage] > 0]):
        assert run.poll() is None, f"the run ended before it was killed at {+wanted}"
        time.sleep(0.02)
    time.sleep(source.uniform(0, LONGEST.get(found[0], 0.3)))
    hit = at_work(run, since, study)
    kill(run, whole_group)
    return found[0], hit


def assert_whole(study: Study) -> None:
    """Whatever stands under its own name in results/ is complete, whether Snakemake believes in it or not."""
    for path in sorted((study.folder / "results").rglob("*")):
        if path.name.startswith(".") or "checkpoints" in path.parts:  # temporary; the trainer's own
            continue
        if path.suffix == ".parquet":
            pyarrow.parquet.ParquetFile(path, page_checksum_verification=True).read()
        elif path.suffix == ".json":
            json.loads(path.read_text())


def results(study: Study) -> dict[str, bytes]:
    """Tables, figures and estimates, by name."""
    found = {}
    for path in sorted((study.folder / "results").rglob("*")):
        if path.suffix in (".csv", ".md", ".tex", ".svg") or path.name in (
            "estimates.parquet",
            "changes.parquet",
            "claims.parquet",
        ):
            found[str(path.relative_to(study.folder))] = path.read_bytes()
    return {name: content for name, content in found.items() if "/weights/" not in name and "/store/" not in name}


def assert_undisturbed(study: Study, finished: Study) -> None:
    """Tables, figures and estimates are those of the undisturbed run, to the byte."""
    expected = results(finished)
    assert len(expected) > 3 * 17
    found = results(study)
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []


def test_killed_twenty_times_the_tables_are_those_of_an_undisturbed_run(finished, tmp_path):
    study, source, wanted, seen = twin(finished, tmp_path / "twin"), random.Random(0), Counter(KILLS), Counter()
    for round_ in range(wanted.total()):
        stage, hit = killed_at_work(study, wanted, source, whole_group=round_ % 2 == 0)
        print(round_, stage, hit)
        wanted[stage] -= stage in hit
        seen.update(hit)
        assert_whole(study)
        assert study.snakemake("--unlock").returncode == 0
    assert set(seen) >= set(KILLS), seen
    study.run()
    assert_whole(study)
    assert_undisturbed(study, finished)
