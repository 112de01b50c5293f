"""A job that asks by batches, for tests: in this process, or in one that is killed at a chosen step."""

import json
import multiprocessing
import os
import signal
from pathlib import Path
from unittest import mock

import openai

from faithtune import batches, host, spend
from faithtune.batch_chunks import Limits
from faithtune.calls import Gate, Request
from faithtune.paid import Purse
from faithtune.prices import Price, Rates

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


def gate() -> Gate:
    time = Time()
    return Gate(clock=lambda: time.now, sleep=time.sleep)


def request(key: str, words: int = 2, endpoint: str = "chat") -> Request:
    text = " ".join([f"text {key}", *["word"] * words])
    asked = {"messages": [{"role": "user", "content": text}]} if endpoint == "chat" else {"prompt": text}
    return Request(key, {"model": MODEL, **asked, "max_tokens": 50, "temperature": 0.0})


def purse(url: str, folder: Path, budget: float | None = None, endpoint: str = "chat") -> Purse:
    os.environ[VARIABLE] = KEY
    api = {"base_url": url, "api_key_env": VARIABLE, "model": MODEL, "endpoint": endpoint}
    api |= {"abilities": ["batch"], "timeout": 30, "extra": {}}
    ledger = spend.Ledger(Path(folder) / "spend.sqlite", budget)
    return Purse(host.connect("gpt", api), ledger, PRICE, "base", "set", "chains", lambda text: len(text.split()))


def made(url: str, folder: Path, keys: list[str], limits: Limits, **options: object) -> list:
    """What a run gives out: (index, response or error) of each row."""
    paying = purse(url, folder, **options)
    requests = [request(key, endpoint=paying.host.endpoint) for key in keys]
    with paying.ledger:
        return list(batches.made(paying, gate(), Path(folder) / "batches", limits, requests))


class Steps:
    """Counts the steps of a run: host calls and writes to the disk; ends the process before the `last` one."""

    OF = ((openai.OpenAI, "request"), (os, "replace"), (Path, "unlink"))
    OF += tuple((spend.Ledger, name) for name in ("reserve_many", "settle", "release"))

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


def job(url: str, folder: Path, keys: list[str], limits: Limits, last: int | None, output: str | None) -> None:
    """A job: its process ends before step `last`, or writes the answers' texts to the file `output`."""
    with open(os.devnull, "w") as nowhere, Steps(last):
        os.dup2(nowhere.fileno(), 2)
        answers = made(url, folder, keys, limits)
    texts = {keys[i]: response["choices"][0]["message"]["content"] for i, response in answers}
    if output:
        Path(output).write_text(json.dumps(texts))


def started(*arguments: object, last: int | None = None, output: str | None = None) -> multiprocessing.Process:
    """A job in a process of its own."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["batch_client"])
    process = context.Process(target=job, args=(*arguments, last, output))
    process.start()
    return process
