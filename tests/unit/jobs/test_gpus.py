"""GPUs are assigned to jobs: real processes, pretended devices."""

import contextlib
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from faithtune.core import paths
from faithtune.core.errors import UserError
from faithtune.jobs import gpus

SCRIPTS = paths.WORKFLOW / "scripts"
# A job: claims devices, prints their names, and works until it is asked to end.
JOB = """
import os, sys
sys.path.insert(0, sys.argv[1])
from faithtune.jobs import gpus
gpus.claim(int(sys.argv[2]))
if "fork" in sys.argv and os.fork() == 0:
    import time
    time.sleep(600)
print(os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
sys.stdin.read()
"""


def pretend(folder: Path, monkeypatch, *uuids: str) -> None:
    """An nvidia-smi that lists these devices."""
    program = folder / "nvidia-smi"
    lines = "".join(f"echo {number}, {uuid}\n" for number, uuid in enumerate(uuids))
    program.write_text(f"#!/bin/sh\n{lines}")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """A machine with two devices, with temporary files of its own."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(gpus.tempfile, "tempdir", None)  # Python caches it
    pretend(tmp_path, monkeypatch, "GPU-a", "GPU-b")
    return tmp_path


@pytest.fixture
def start(tmp_path):
    """Start a job that needs n devices."""
    jobs = []

    def job(n: int, *how: str) -> subprocess.Popen:
        log = open(tmp_path / f"job-{len(jobs)}.log", "w")  # noqa: SIM115 - the job's
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": log, "text": True}
        command = [sys.executable, "-c", JOB, str(SCRIPTS), str(n), *how]
        jobs.append(subprocess.Popen(command, start_new_session=True, **pipes))
        jobs[-1].log = Path(log.name)
        return jobs[-1]

    def end():
        for one in jobs:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(one.pid, signal.SIGKILL)  # and its children

    hanging = threading.Timer(120, end)  # a device that is never released fails the test in time
    hanging.start()
    yield job
    hanging.cancel()
    end()
    for one in jobs:
        one.communicate()


def has(job: subprocess.Popen) -> set[str]:
    """The devices of a job; waits until it has them."""
    return set(job.stdout.readline().strip().split(","))


def until_it_waits(job: subprocess.Popen) -> None:
    """Return when a job has printed that it waits."""
    while "waiting for" not in job.log.read_text():
        assert job.poll() is None
        time.sleep(0.05)


def test_jobs_side_by_side_have_distinct_devices(start):
    assert has(start(1)) | has(start(1)) == {"GPU-a", "GPU-b"}


def test_a_third_job_waits_until_one_ends(start):
    first, second = start(1), start(1)
    freed, kept = has(first), has(second)
    third = start(1)
    until_it_waits(third)
    first.communicate()
    assert has(third) == freed != kept
    assert third.log.read_text().count("waiting for 1 of the GPUs GPU-a, GPU-b: other jobs have them") == 1
    assert third.log.read_text().count("on GPU") == 1


@pytest.mark.parametrize("how", [(), ("fork",)], ids=["alone", "with a child that lives on"])
def test_a_killed_job_leaves_its_device_free(start, how):
    first, second = start(1, *how), start(1)
    freed = has(first)
    has(second)
    first.kill()
    first.wait()
    assert has(start(1)) == freed


def test_a_job_may_have_several(machine, monkeypatch, start):
    pretend(machine, monkeypatch, "GPU-a", "GPU-b", "GPU-c")
    first = start(2)
    assert len(has(first)) == 2
    second = start(2)
    until_it_waits(second)
    assert len(has(start(1))) == 1  # the waiting job holds none
    first.communicate()
    assert len(has(second)) == 2


def test_only_visible_devices_are_assigned(monkeypatch, start):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    first = start(1)
    assert has(first) == {"GPU-b"}
    until_it_waits(start(1))


def test_jobs_of_one_allocation_of_slurm_do_not_share_its_device(monkeypatch, start):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert has(start(1)) == {"GPU-a"}
    until_it_waits(start(1))


def test_slurm_may_let_its_jobs_share_a_device(monkeypatch, start):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    for number in ("7", "8"):
        monkeypatch.setenv("SLURM_JOB_ID", number)
        assert has(start(1)) == {"GPU-a"}


def test_a_lock_is_marked_as_used(machine, start):
    """So that the system does not delete it as an old temporary file."""
    for name in ("GPU-a", "GPU-b"):
        (gpus._folder() / name).touch()
        os.utime(gpus._folder() / name, (0, 0))
    [used] = has(start(1))
    assert (gpus._folder() / used).stat().st_mtime > 0


def test_a_lock_that_is_deleted_before_it_is_locked_does_not_count(machine, monkeypatch):
    path = gpus._folder() / "GPU-a"
    with monkeypatch.context() as patch:
        patch.setattr(gpus.fcntl, "lockf", lambda *_: path.unlink())
        assert gpus._lock(path) is None
    assert gpus._lock(path) is not None


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (None, ["GPU-a", "GPU-b"]),
        ("1, 0", ["GPU-b", "GPU-a"]),
        ("GPU-b,MIG-3f-1", ["GPU-b", "MIG-3f-1"]),
        ("", []),
        ("-1", []),
        ("0,-1,1", ["GPU-a"]),
        ("0,7,1", ["GPU-a"]),
        ("NoDevFiles", []),
        ("0,../b", ["GPU-a"]),
    ],
)
def test_devices_are_those_that_cuda_would_see(monkeypatch, given, names):
    if given is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert gpus.visible_gpus() == names


@pytest.mark.parametrize("program", ["exit 9", "echo 0, GPU-a; exit 1", "echo No devices were found", None])
def test_without_a_device_nothing_is_done(machine, monkeypatch, program):
    if program is None:
        (machine / "nvidia-smi").unlink()
        monkeypatch.setenv("PATH", str(machine))
    else:
        (machine / "nvidia-smi").write_text(f"#!/bin/sh\n{program}\n")
    assert gpus.claim(1) == []
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    assert list(machine.glob("faithtune-*")) == []


def test_without_nvidia_smi_numbers_stay_numbers(machine, monkeypatch):
    (machine / "nvidia-smi").unlink()
    monkeypatch.setenv("PATH", str(machine))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert gpus.visible_gpus() == ["0", "1"]


def test_a_job_without_gpus_changes_nothing(machine):
    assert gpus.claim(0) == []
    assert list(machine.glob("faithtune-*")) == []


def test_too_many_devices_are_an_error_in_one_line():
    with pytest.raises(UserError, match=r"asks for 3 GPUs .* there are 2: GPU-a, GPU-b; expected at most 2"):
        gpus.claim(3)


def test_the_folder_of_locks_is_the_user_s_own(machine):
    folder = machine / f"faithtune-{os.getuid()}-{platform.node()}"
    assert gpus._folder() == folder
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.rmdir()
    folder.symlink_to(machine)
    with pytest.raises(UserError, match="expected a folder of your own; set TMPDIR"):
        gpus._folder()


@pytest.mark.parametrize(
    ("given", "allocation", "warned"), [("0", None, 1), ("", "7", 1), ("", None, 0), ("-1", None, 0)]
)
def test_a_gpu_that_pytorch_does_not_find_is_a_warning(monkeypatch, capsys, given, allocation, warned):
    import torch

    from faithtune.models import precision

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    if allocation:
        monkeypatch.setenv("SLURM_JOB_ID", allocation)
    assert precision.device_kind("auto") == precision.device_kind("cpu") == "cpu"
    assert capsys.readouterr().err.count("PyTorch finds no CUDA") == warned
    with pytest.raises(UserError, match=r"^compute\.device is cuda, but PyTorch finds no GPU here; expected one"):
        precision.device_kind("cuda")
