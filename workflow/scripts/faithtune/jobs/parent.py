"""Ends a job when the Snakemake that started it is gone.

If only Snakemake is killed, its jobs survive. They would run beside the jobs of the next run, pay a host for the same
calls again, and replace new results by results of an old configuration. On a cluster, a job's parent is the Snakemake
on its node, which lives until the job is cancelled.
"""

import contextlib
import os
import signal
import sys
import threading
import time

import psutil

# The environment variable with the process id of Snakemake (set in common.smk).
STARTED_BY = "FAITHTUNE_STARTED_BY"
_SECONDS = 0.5  # between checks


def end_with_parent() -> None:
    """Kill this process (SIGKILL) as soon as the Snakemake that started it is gone; does nothing without one."""
    if STARTED_BY not in os.environ:
        return
    try:
        snakemake = psutil.Process(int(os.environ[STARTED_BY]))
    except psutil.NoSuchProcess:
        _end()
    threading.Thread(target=_watch, args=[snakemake], daemon=True).start()


def _watch(snakemake: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        # A killed process may stay in the process list as a zombie.
        while snakemake.is_running() and snakemake.status() != psutil.STATUS_ZOMBIE:
            time.sleep(_SECONDS)
    _end()


def _end() -> None:
    with contextlib.suppress(OSError, ValueError):  # the disk is full, or the log closed
        print("the Snakemake that started this job is gone: the job ends", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
