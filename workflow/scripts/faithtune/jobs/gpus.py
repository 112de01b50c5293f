"""A machine's GPUs, given out one job each: Snakemake counts them (`--resources gpu=4`) but says to nobody which.

A job holds a lock on a file of each device that it has. The operating system
lets go of it however the process ends, kill -9 included, so nothing is left to
clear away. POSIX locks (`lockf`), because a forked child does not inherit them:
what outlives its job keeps no device.
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
    """Let CUDA see n devices that no other job of this user has, while this process lives; returns their names.

    n is the job's resource `gpu`. To be called once, before anything starts CUDA. Waits while the devices are
    taken. Does nothing where n is 0 or the machine has no device. UserError where it has fewer than n.
    """
    names = visible_gpus() if n else []
    if not names:
        return []
    if n > len(names):
        raise UserError(
            f"the job asks for {n} GPUs (its resource gpu) and there are {len(names)}: {', '.join(names)};"
            f" expected at most {len(names)}"
        )
    got = _wait(n, names)
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(got)
    seconds = time.time() - psutil.Process().create_time()
    print(f"on GPU {', '.join(got)}, claimed {seconds:.1f} s after the job began", file=sys.stderr)
    return got


def visible_gpus() -> list[str]:
    """The devices that CUDA may see: those of CUDA_VISIBLE_DEVICES where it is set, else all; UUIDs where known."""
    known = _listed()
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is None:
        return list(known.values())
    names = (known.get(name.strip(), name.strip()) for name in given.split(","))
    # To CUDA the list ends at what is no device, such as -1; a number that nvidia-smi does not know is none.
    return list(itertools.takewhile(lambda name: _NAME.fullmatch(name) and not (known and name.isdigit()), names))


def _listed() -> dict[str, str]:
    """UUIDs by number, as nvidia-smi has them; nothing where it does not answer."""
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
    """Take n of the devices as soon as so many are free."""
    got = _take(n, names)
    if got is None:
        print(f"waiting for {n} of the GPUs {', '.join(names)}: other jobs have them", file=sys.stderr)
    while got is None:
        time.sleep(random.uniform(0.5, 1.5))  # at random: two jobs may each want what the other has
        got = _take(n, names)
    return got


def _take(n: int, names: list[str]) -> list[str] | None:
    """Lock n of the devices; none of them, and None, where fewer are free."""
    folder, held = _folder(), {}
    # Whom SLURM lets share a device are jobs of several allocations: those of one get theirs from each other.
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
    """The file at `path`, open and locked; None where another process has it.

    Temporary folders are tidied: the file is marked as used, and one that was taken away before it was locked
    is no lock, as the next job makes another.
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
    """Where this user's locks on this machine lie, and no one else's."""
    folder = Path(tempfile.gettempdir()) / f"faithtune-{os.getuid()}-{platform.node()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise UserError(f"{folder}: expected a folder of your own; set TMPDIR to one")
    return folder
