"""Assigns a machine's GPUs to jobs: Snakemake counts GPUs (`--resources gpu=4`) but does not say which a job gets.

A job locks a file for each of its devices. The operating system releases the lock however the process ends, kill -9
included, so nothing needs cleaning up. The locks are POSIX locks (`lockf`), which a forked child does not inherit: a
child that outlives its job keeps no device.
"""

import contextlib
import fcntl
import itertools
import os
import platform
import random
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from faithtune.core.errors import UserError

# How CUDA_VISIBLE_DEVICES names a device: its number or its UUID.
_NAME = re.compile(r"\d+|(GPU|MIG)-[\w-]+")


def claim(n: int) -> list[str]:
    """Claim n devices (the job's resource `gpu`) for the life of this process; returns their names.

    Sets CUDA_VISIBLE_DEVICES, so call it once, before CUDA starts. Waits until n devices are free of other jobs of this
    user. Does nothing if n is 0 or the machine has no GPU. UserError if the machine has fewer than n.
    """
    names = visible_gpus() if n else []
    if not names:
        return []
    if n > len(names):
        raise UserError(
            f"the job asks for {n} GPUs (its resource gpu) but there are {len(names)}: {', '.join(names)};"
            f" expected at most {len(names)}"
        )
    claimed = _wait(n, names)
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(claimed)
    seconds = time.time() - psutil.Process().create_time()
    print(f"on GPU {', '.join(claimed)}, claimed {seconds:.1f} s after the job began", file=sys.stderr)
    return claimed


def visible_gpus() -> list[str]:
    """The devices that CUDA may use, by UUID if known: those in CUDA_VISIBLE_DEVICES if it is set, else all."""
    known = _query_uuids()
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is None:
        return list(known.values())
    names = (known.get(name.strip(), name.strip()) for name in given.split(","))
    # As for CUDA, the list ends at the first name that is no device: -1, or a number that nvidia-smi does not know.
    return list(itertools.takewhile(lambda name: _NAME.fullmatch(name) and not (known and name.isdigit()), names))


def _query_uuids() -> dict[str, str]:
    """UUIDs by number, from nvidia-smi; empty if it fails."""
    if shutil.which("nvidia-smi") is None:
        return {}
    command = ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    pairs = [line.split(", ") for line in done.stdout.splitlines()] if done.returncode == 0 else []
    return dict(pair for pair in pairs if len(pair) == 2)


def _wait(n: int, names: list[str]) -> list[str]:
    """Lock n of the devices, as soon as n are free."""
    locked = _take(n, names)
    if locked is None:
        print(f"waiting for {n} of the GPUs {', '.join(names)}: other jobs have them", file=sys.stderr)
    while locked is None:
        time.sleep(random.uniform(0.5, 1.5))  # at random: two jobs may each wait for the other's device
        locked = _take(n, names)
    return locked


def _take(n: int, names: list[str]) -> list[str] | None:
    """Lock n of the devices; None, with no device locked, if fewer are free."""
    folder, held = _folder(), {}
    # Inside one SLURM allocation we share the GPUs out ourselves; across allocations SLURM does, so the lock's name
    # includes the allocation.
    allocation = os.environ.get("SLURM_JOB_ID")
    for name in names:
        file = _lock(folder / (f"{allocation}-{name}" if allocation else name))
        if file is None:
            continue
        held[name] = file  # open, and so locked, until the process ends
        if len(held) == n:
            return list(held)
    for file in held.values():
        os.close(file)
    return None


def _lock(path: Path) -> int | None:
    """The file at `path`, open and locked; None if another process has locked it.

    Systems delete old temporary files. So the file's time is updated, and a file that was deleted before it was locked
    does not count, because the next job creates another.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.utime(file)
        if os.path.samestat(os.fstat(file), os.stat(path)):
            return file
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(file)
    return None


def _folder() -> Path:
    """The folder of this user's locks on this machine."""
    folder = Path(tempfile.gettempdir()) / f"faithtune-{os.getuid()}-{platform.node()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise UserError(f"{folder}: expected a folder of your own; set TMPDIR to one")
    return folder
