"""Killed runs, full disks and damaged files change no table."""

import contextlib
import functools
import hashlib
import http.server
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import pyarrow.parquet
import pytest

from faithtune.arms import row_store
from study import Study

# How often a run is killed at work on each stage, in the order of stages: in every test run, after a kill of the
# training, and nightly, 20 times.
THREE_KILLS = {"chains": 1, "answer": 1, "table": 1}
TWENTY_KILLS = {
    "questions": 1,
    "model": 1,
    "tune": 2,
    "chains": 3,
    "paraphrase": 3,
    "answer": 5,
    "estimates": 1,
    "claims": 1,
    "table": 2,
    "figure": 1,
}
# The latest moment of the kill, in seconds after the stage's log appears. Other stages last a second or less.
LONGEST = {"tune": 7.0, "chains": 5.0, "paraphrase": 5.0, "answer": 5.0}


ARMS = ("base", "qlora-arithmetic-42")


def twin(finished: Study, folder: Path) -> Study:
    """The configuration of the finished study, in a folder of its own, to run again."""
    folder.mkdir(exist_ok=True)
    return Study(folder, finished.config["models"]["tiny"]["source"])


def at_work(run: subprocess.Popen, since: float, study: Study) -> list[str]:
    """The stages whose scripts are running, judged by what they have written to their logs since."""
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
    """Kill a run: all of its processes, like a power cut, or only the master, after which its jobs end too."""
    jobs = [] if whole_group else psutil.Process(run.pid).children(recursive=True)
    (os.killpg if whole_group else os.kill)(run.pid, signal.SIGKILL)
    run.wait()
    assert psutil.wait_procs(jobs, timeout=60)[1] == []


def kill_at_work(
    study: Study, wanted: Counter, source: random.Random, whole_group: bool, more: Sequence[str] = ()
) -> str:
    """Run until a wanted stage is at work, and kill the run during that work; returns the stage."""
    since = time.time()
    run = study.start("--cores", "2", *more)
    while run.poll() is None:
        stage = next((stage for stage in at_work(run, since, study) if wanted[stage] > 0), None)
        time.sleep(source.uniform(0, LONGEST.get(stage, 0.3)) if stage else 0.05)
        if stage and stage in (hit := at_work(run, since, study)):
            kill(run, whole_group)
            print(f"killed at {', '.join(hit)}")
            return stage
    # Their work ended before that moment.
    assert run.returncode == 0
    return kill_at_work(study, wanted, source, whole_group, (*more, "--forcerun", *+wanted))


def assert_whole(study: Study) -> None:
    """Every file under its final name in results/ is complete, even if Snakemake would make it again."""
    for path in sorted((study.folder / "results").rglob("*")):
        if path.name.startswith(".") or "checkpoints" in path.parts:  # temporary; the trainer's own
            continue
        if path.suffix == ".parquet":
            pyarrow.parquet.ParquetFile(path, page_checksum_verification=True).read()
        elif path.suffix == ".json":
            json.loads(path.read_text())


def results(study: Study) -> dict[str, bytes]:
    """Name -> content of all results of a study: questions, trainings, chains ... tables and figures."""
    patterns = ("tables/*.csv", "tables/*.md", "tables/*.tex", "figures/*.svg", "arms/*/*/arm.json", "**/*.parquet")
    found = [path for pattern in patterns for path in sorted((study.folder / "results").glob(pattern))]
    return {str(path.relative_to(study.folder)): path.read_bytes() for path in found if "store" not in path.parts}


def assert_undisturbed(study: Study, finished: Study) -> None:
    """All results equal those of the undisturbed run, to the byte."""
    expected = results(finished)
    assert len(expected) > 90 and "results/chains/tiny/base/colours.parquet" in expected
    found = results(study)
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []


@pytest.fixture(scope="module")
def crowded(finished, tmp_path_factory) -> Study:
    """A study whose disk was full in a training and again when weights were expanded, and which now has room.

    In between its training was killed. Where no disk can be mounted, only the kill happens.
    """
    folder = tmp_path_factory.mktemp("disk")
    with small_disk(folder) as resize:
        study = twin(finished, folder)
        study.failed, study.kept = [], [{}]
        if resize:
            fill(study, "200k", resize)
        kill_at_stages(study, {"tune": 1}, "--until", "tune")  # no other job may fill the disk meanwhile
        if resize:
            fill(study, "800k", resize)
        yield study


def fill(study: Study, size: str, resize: Callable[[str], object]) -> None:
    """Run the study on a disk of this size, which is too small, then enlarge the disk."""
    resize(size)
    study.failed.append(study.snakemake("--cores", "2"))
    study.kept.append(times(study))
    assert_whole(study)
    resize("64m")


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Callable[[str], object] | None]:
    """A disk in memory, mounted at the folder; yields a function that resizes it, None if mounting fails."""
    mount = ["mount", "-t", "tmpfs", "tmpfs", str(folder), "-o"]
    if not sys.platform.startswith("linux") or subprocess.run([*mount, "size=200k"], capture_output=True).returncode:
        yield None
        return
    try:
        yield lambda size: subprocess.run([*mount, f"remount,size={size}"], check=True)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def times(study: Study) -> dict[Path, int]:
    """File -> modification time in ns, for all results of a study."""
    files = [path for path in (study.folder / "results").rglob("*") if path.is_file()]
    return {path: path.stat().st_mtime_ns for path in files if "store" not in path.parts and path.name[0] != "."}


def kill_at_stages(study: Study, kills: dict[str, int], *more: str) -> None:
    """Kill the study at work on each of these stages."""
    source, wanted = random.Random(0), Counter(kills)
    while +wanted:
        stage = kill_at_work(study, wanted, source, whole_group=wanted.total() % 2 == 0, more=more)
        wanted[stage] -= 1
        assert_whole(study)
        assert study.snakemake("--unlock").returncode == 0


@pytest.fixture(scope="module")
def disturbed(crowded) -> Study:
    """The study of the full disk, killed three more times, then run to its end."""
    kill_at_stages(crowded, THREE_KILLS)
    crowded.run()
    assert_whole(crowded)
    return crowded


def test_a_full_disk_ends_in_one_line(crowded):
    if not crowded.failed:
        pytest.skip("needs the right to mount a tmpfs")
    for done in crowded.failed:
        assert done.returncode == 1
        line = (
            f"no space left on the disk of {crowded.folder}; finished results are kept: free some space and run again"
        )
        # A training that had no room for a checkpoint skips the incomplete one.
        assert {said for said in printed_lines(done) if "/checkpoint-" not in said} == {line}


def test_after_a_full_disk_and_four_kills_the_tables_are_those_of_an_undisturbed_run(finished, disturbed):
    """This also shows that two runs from scratch are equal."""
    assert_undisturbed(disturbed, finished)


def test_what_was_finished_on_a_full_disk_is_kept(disturbed):
    """A later run with more room does not make it again."""
    if not disturbed.failed:
        pytest.skip("needs the right to mount a tmpfs")
    assert len(disturbed.kept) == 3 and disturbed.kept[1]
    for earlier, later in itertools.pairwise([*disturbed.kept, times(disturbed)]):
        assert earlier.items() <= later.items()


@pytest.mark.nightly
def test_killed_twenty_times_the_tables_are_those_of_an_undisturbed_run(finished, tmp_path):
    study = twin(finished, tmp_path / "twin")
    kill_at_stages(study, TWENTY_KILLS)
    study.run()
    assert_whole(study)
    assert_undisturbed(study, finished)


def printed_lines(done: subprocess.CompletedProcess) -> list[str]:
    """The lines that faithtune itself wrote to the terminal."""
    assert "Traceback" not in done.stdout, done.stdout
    return [line.removeprefix("faithtune: ") for line in done.stdout.splitlines() if line.startswith("faithtune: ")]


def change_a_byte(path: Path, place: int) -> None:
    with open(path, "r+b") as file:
        file.seek(place, os.SEEK_SET if place >= 0 else os.SEEK_END)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))


def last_of_a_page(path: Path) -> int:
    """The offset of the last byte of a column's data in a Parquet file."""
    column = pyarrow.parquet.read_metadata(path).row_group(0).column(1)
    return (column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size - 1


def test_what_is_damaged_is_named_set_aside_and_made_again(finished, tmp_path):
    study = finished.copied(tmp_path / "twin")
    pairs = "results/{}/tiny/{}/colours.parquet"
    empty = "results/figures/match_colours.svg"  # no job reads it, so a run looks at its start
    os.truncate(study.folder / empty, 0)
    # Damage that readers find: a byte of a page; the weights of an arm, which are read if a row is missing.
    chains, weights = pairs.format("chains", "base"), "results/arms/tiny/qlora-arithmetic-42/weights"
    change_a_byte(study.folder / chains, last_of_a_page(study.folder / chains))
    change_a_byte(study.folder / weights / "adapter_model.safetensors", -100)
    for missing in (pairs.format("chains", "qlora-arithmetic-42"), pairs.format("interventions", "base")):
        (study.folder / missing).unlink()
    shutil.rmtree(study.folder / "results/store/rows")
    # No table is a target: each would be made again for the provenance.
    targets = ("--", empty, weights, *(pairs.format(stage, arm) for stage in ("chains", "answers") for arm in ARMS))

    [planned] = printed_lines(study.snakemake("-n", *targets))
    assert planned == f"{empty}: damaged (it is empty); a run makes it again, which this plan leaves out"
    assert not list(study.folder.rglob("*.damaged"))

    first = study.snakemake("--cores", "2", "--keep-going", *targets)
    assert first.returncode == 1
    lines = printed_lines(first)
    assert [line for line in lines if "damaged (" in line] == [
        f"{empty}: damaged (it is empty); it is now {empty}.damaged"
    ]
    for path in (chains, weights):
        assert [
            line for line in lines if line.startswith(f"{path}: ") and f"it is now {path}.damaged: run again" in line
        ]
    study.run(*targets)
    for path in (empty, chains, weights):
        assert (study.folder / f"{path}.damaged").exists() and (study.folder / path).exists()
    assert_undisturbed(study, finished)


@pytest.fixture
def web(tmp_path):
    """A folder, and the address at which a web server serves it."""
    folder = tmp_path / "web"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_damaged_download_is_named_set_aside_and_fetched_again(finished, tmp_path, web):
    folder, address = web
    study = twin(finished, tmp_path / "twin")
    data = Path(shutil.copy(study.folder / "choices.jsonl", folder)).read_bytes()
    source = {"source": f"url:{address}/choices.jsonl", "checksum": hashlib.sha256(data).hexdigest(), "n": 5}
    study.config["data_sets"]["colours"]["eval"] = source
    target = study.folder / "results/questions/colours.eval.parquet"
    command = ("--cores", "1", "--", str(target.relative_to(study.folder)))
    assert study.snakemake(*command).returncode == 0
    made = target.read_bytes()
    target.unlink()
    [download] = (study.folder / "results/downloads").iterdir()
    change_a_byte(download, 100)
    done = study.snakemake(*command)
    assert done.returncode == 1
    [line] = printed_lines(done)
    name = download.relative_to(study.folder)
    assert line.startswith(f"{name}: its sha256 checksum is ")
    assert line.endswith(f"; it is now {name}.damaged: run again, and it is made again")
    assert study.snakemake(*command).returncode == 0
    assert target.read_bytes() == made and download.read_bytes() == data


def test_two_runs_at_once(finished, tmp_path):
    """The second run is refused; with --nolock, however the two end, they leave no damaged file."""
    study, since = finished.copied(tmp_path / "twin"), time.time()
    targets = [f"results/{stage}/tiny/{arm}/colours.parquet" for stage in ("chains", "answers") for arm in ARMS]
    for path in targets:
        (study.folder / path).unlink()
    shutil.rmtree(study.folder / "results/store/rows")
    first = study.start("--cores", "2", "--", *targets)
    while "chains" not in at_work(first, since, study):
        assert first.poll() is None
        time.sleep(0.05)
    refused = study.snakemake("--cores", "1", "--", *targets)
    assert refused.returncode == 1
    assert "LockException" in refused.stdout and "cannot be locked" in refused.stdout
    assert first.poll() is None
    second = study.snakemake("--cores", "2", "--nolock", "--", *targets)
    assert second.returncode in (0, 1)
    assert first.wait() in (0, 1)
    printed_lines(second)
    assert_whole(study)
    for part in (study.folder / "results/store/rows").rglob("part-*.parquet"):
        row_store.parquet.load(part, row_store.ROWS)
    study.run("--", *targets)
    assert_undisturbed(study, finished)
