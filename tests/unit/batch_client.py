"""A job that asks by batches, for tests: in this process, or in one that is killed at a chosen step."""

import functools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import openai

from faithtune.hosts import host
from faithtune.hosts.batch import run
from faithtune.hosts.batch.files import Limits
from faithtune.hosts.batch.records import Records
from faithtune.hosts.billing import Meter
from faithtune.hosts.calls import RateLimiter, Request
from faithtune.hosts.spend import ledger as spend
from faithtune.hosts.spend.prices import Price, Rates
from faithtune.settings.hosts import HostSettings
from hosting import hosted_model

MODEL, KEY = "gpt-standin", "sk-standin-4f1b8c2d9e7a6053"
RATES = Rates(1.0, 2.0, 1.0)
PRICE = Price("gpt-standin", RATES, RATES, None, "2026-01-01", "a test")
VARIABLE = "STANDIN_KEY"


class Time:
    """A clock that goes on only by sleeping."""

    def __init__(self):
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def limiter() -> RateLimiter:
    time = Time()
    return RateLimiter(clock=lambda: time.now, sleep=time.sleep)


def request(key: str, words: int = 2, endpoint: str = "chat") -> Request:
    text = " ".join([f"text {key}", *["word"] * words])
    asked = {"messages": [{"role": "user", "content": text}]} if endpoint == "chat" else {"prompt": text}
    return Request(key, {"model": MODEL, **asked, "max_tokens": 50, "temperature": 0.0})


@functools.cache  # a client takes its time to make
def connected(url: str, endpoint: str) -> host.Host:
    os.environ[VARIABLE] = KEY
    hosted = hosted_model("gpt", url, MODEL, endpoint=endpoint, abilities=["batch"])
    return host.connect(hosted, HostSettings(api_key_env=VARIABLE, timeout=30))


def meter(url: str, folder: Path, budget: float | None = None, endpoint: str = "chat") -> Meter:
    ledger = spend.Ledger(Path(folder) / "spend.sqlite", budget)
    return Meter(connected(url, endpoint), ledger, PRICE, "base", "set", "chains", lambda text: len(text.split()))


def made(url: str, folder: Path, keys: list[str], limits: Limits, **options: object) -> list:
    """What a run gives out: (index, response or error) of each row."""
    paying = meter(url, folder, **options)
    requests = [request(key, endpoint=paying.host.endpoint) for key in keys]
    with paying.ledger:
        return list(run.run_batches(paying, limiter(), Path(folder) / "batches", limits, requests))


class Steps:
    """Counts the steps of a run: host calls and writes to the disk; ends the process before the `last` one."""

    OF = ((openai.OpenAI, "request"), (os, "replace"), (Records, "remove"))
    OF += tuple((spend.Ledger, name) for name in ("reserve_many", "pay", "release"))

    def __init__(self, last: int | None = None):
        self.last, self.n = last, 0
        self.patches = [mock.patch.object(of, name, self.counted(getattr(of, name))) for of, name in self.OF]

    def counted(self, step):
        def counting(*arguments, **named):
            if self.n == self.last:
                os.kill(os.getpid(), signal.SIGKILL)
            self.n += 1
            return step(*arguments, **named)

        return counting

    def __enter__(self) -> "Steps":
        for patch in self.patches:
            patch.start()
        return self

    def __exit__(self, *_: object) -> None:
        for patch in self.patches:
            patch.stop()


def job(url: str, folder: str, keys: list[str], most: int, last: int | None, output: str | None) -> None:
    """A job of `most` rows a batch: its process ends before step `last`, or writes the answers' texts to `output`."""
    with Steps(last):
        answers = made(url, folder, keys, Limits(requests=most))
    texts = {keys[i]: response["choices"][0]["message"]["content"] for i, response in answers}
    if output:
        Path(output).write_text(json.dumps(texts))


class Jobs:
    """Starts jobs in processes of their own: forks of one that has imported everything and runs no thread."""

    def __enter__(self) -> "Jobs":
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        self.process = subprocess.Popen([sys.executable, __file__], env=environment, **pipes)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def start(
        self, url: str, folder: Path, keys: list[str], most: int, last: int | None = None, output: Path | None = None
    ) -> int:
        """Its process id."""
        return self._told([url, str(folder), keys, most, last, output and str(output)])

    def wait(self, process: int) -> int:
        """Its exit status; negative: the signal that ended it."""
        return self._told(process)

    def _told(self, order: object) -> int:
        print(json.dumps(order), file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())


def serve() -> None:
    """Fork for each job that comes in, wait for each process id."""
    for line in sys.stdin:
        order = json.loads(line)
        if isinstance(order, int):
            print(os.waitstatus_to_exitcode(os.waitpid(order, 0)[1]), flush=True)
        elif process := os.fork():
            print(process, flush=True)
        else:
            status = 1
            try:
                job(*order)
                status = 0
            finally:
                os._exit(status)


if __name__ == "__main__":
    serve()
