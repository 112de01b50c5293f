"""A job ends when the Snakemake that started it is gone, and not before."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from faithtune.core import paths
from faithtune.jobs import parent

LIBRARY = paths.WORKFLOW / "scripts"

# Passes its process id to its job, as common.smk does, and prints the id of the job, which runs in a shell.
SNAKEMAKE = f"""
import os, subprocess, sys
os.environ["{parent.STARTED_BY}"] = str(os.getpid())
job = subprocess.Popen(["bash", "-c", sys.argv[1] + "; true"], stdout=sys.stdout)
job.wait()
"""
JOB = """
import os, time
from faithtune.jobs import job
with job.logged("log"):
    import sys
    print(os.getpid(), file=sys.__stdout__, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def at_work(tmp_path):
    """A pretended Snakemake and its running job."""
    (tmp_path / "job.py").write_text(JOB)
    command = [sys.executable, "-c", SNAKEMAKE, f"{sys.executable} job.py"]
    environment = os.environ | {"PYTHONPATH": str(LIBRARY)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as snakemake:
        job = psutil.Process(int(snakemake.stdout.readline()))
        yield snakemake, job
        for process in (snakemake, job):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


@pytest.mark.parametrize("reaped", [True, False])
def test_a_job_ends_with_its_snakemake(at_work, tmp_path, reaped):
    """Reaped, or a zombie because its parent does not wait for it."""
    snakemake, job = at_work
    with pytest.raises(psutil.TimeoutExpired):
        job.wait(3 * parent._SECONDS)
    os.kill(snakemake.pid, signal.SIGKILL)
    if reaped:
        snakemake.wait()
    else:
        while psutil.Process(snakemake.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
    job.wait(60)  # raises if it runs on
    assert "the Snakemake that started this job is gone: the job ends" in (tmp_path / "log").read_text()


def test_a_job_whose_snakemake_is_gone_does_not_begin(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    environment = os.environ | {"PYTHONPATH": str(LIBRARY), parent.STARTED_BY: str(gone.pid)}
    script = "from faithtune.jobs import job\nwith job.logged('log'):\n    open('begun', 'w')"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "begun").exists()


def test_without_a_snakemake_nothing_is_watched(monkeypatch):
    monkeypatch.delenv(parent.STARTED_BY, raising=False)
    monkeypatch.setattr(parent, "_end", lambda: pytest.fail("ended"))
    monkeypatch.setattr(parent.threading, "Thread", lambda **_: pytest.fail("watched"))
    parent.end_with_parent()
