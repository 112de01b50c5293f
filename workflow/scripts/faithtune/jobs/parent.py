"""A job ends when the Snakemake that started it is gone.

Snakemake that is killed alone leaves its jobs behind. They would go on beside those of the next run: ask a host for
what is asked once more, and put the results of an old configuration in the place of new ones. On a cluster it is the
Snakemake on the job's node that starts a job; it lives until the job is cancelled.
"""

import contextlib
import os
import signal
import sys
import threading
import time

import psutil

# The environment variable in which Snakemake (common.smk) tells its jobs its process id.
STARTED_BY = "FAITHTUNE_STARTED_BY"
_SECONDS = 0.5  # between two looks


def end_with_parent() -> None:
    """End this process, as by kill -9, as soon as the Snakemake that started it is gone; no Snakemake: never."""
    if STARTED_BY not in os.environ:
        return
    try:
        snakemake = psutil.Process(int(os.environ[STARTED_BY]))
    except psutil.NoSuchProcess:
        _end()
    threading.Thread(target=_watch, args=[snakemake], daemon=True).start()


def _watch(snakemake: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        # One that was killed may stay in the list of processes, as a zombie.
        while snakemake.is_running() and snakemake.status() != psutil.STATUS_ZOMBIE:
            time.sleep(_SECONDS)
    _end()


def _end() -> None:
    with contextlib.suppress(OSError, ValueError):  # no room for it, or closed
        print("the Snakemake that started this job is gone: the job ends", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
