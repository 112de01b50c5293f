"""A tuning at the stand-in host, in this process or killed at every step of it.

    python hosted_tunings.py URL FOLDER

tunes with seed 1, 2, ...: the n-th is killed (SIGKILL) after its n-th step, then done again. A step is a call of the
host, a file that is written or an entry in the ledger; after one is before the next. It ends with the tuning that has
no n-th step. Each is done in a child that is forked before polars has threads.
"""

import json
import os
import signal
import sys
from pathlib import Path

import openai

from faithtune.data import questions
from faithtune.data.readers import arithmetic
from faithtune.hosts import billing, host
from faithtune.hosts.spend import ledger as spend
from faithtune.hosts.spend import prices
from faithtune.jobs import job
from faithtune.models import token_counts
from faithtune.settings.hosts import HostSettings
from faithtune.settings.tunings import HostedTraining
from faithtune.tuning import hosted
from hosting import hosted_model

KEY_ENV = "FAITHTUNE_TEST_KEY"
MODEL = "gpt-standin"
PRICE = prices.Price("m", prices.Rates(2, 8, 2), prices.Rates(1, 4, 1), 25.0, None, "a test")
TEMPLATES = {f"{form}_number": f"Solve ({form}).\n\n{{question}}" for form in ("cot", "no_cot")}
SETTINGS = HostedTraining(target="rationale", seed=42, n_epochs=2, validation_share=0.2)


def sums(n: int = 25):
    return questions.frame(arithmetic.generate(n, seed=5), "sums", "train")


def connect(url: str, endpoint: str = "chat", model: str | None = None) -> host.Host:
    hosted = hosted_model("gpt", url, model or MODEL, endpoint=endpoint, abilities=["tune"])
    return host.connect(hosted, HostSettings(api_key_env=KEY_ENV, timeout=30))


def tune(at: str | host.Host, folder: Path, budget: float | None = None, sleep=lambda _: None, **settings):
    """The card and the log of a tuning; `at`: the host, or its address."""
    with spend.Ledger(folder / "spend.sqlite", budget) as ledger:
        host = connect(at) if isinstance(at, str) else at
        meter = billing.Meter(host, ledger, PRICE, "ft-sums-42", None, "tune", token_counts.estimate_tokens)
        return hosted.train(meter, sums(), TEMPLATES, SETTINGS.model_copy(update=settings), folder / "records", sleep)


class Steps:
    """What a job does, counted; it is killed after the step numbered `fatal`."""

    def __init__(self, fatal: int):
        self.fatal, self.done = fatal, 0

    def watch(self, owner: object, name: str) -> None:
        original = getattr(owner, name)

        def watched(*arguments, **named):
            result = original(*arguments, **named)
            self.done += 1
            if self.done == self.fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(owner, name, watched)


def child(at: host.Host, folder: Path, seed: int, fatal: int | None) -> int:
    """The exit status of a tuning, negative where a signal ended it."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        if fatal is not None:
            steps = Steps(fatal)
            steps.watch(openai.OpenAI, "request")
            steps.watch(job, "write_json")
            for name in ("reserve", "pay", "release"):
                steps.watch(spend.Ledger, name)
        with job.logged(folder / "job.log"):
            card, _ = tune(at, folder, seed=seed)
            job.write_json(card, folder / "card.json")
    except SystemExit:
        os._exit(1)
    os._exit(0)


def main() -> None:
    url, top = sys.argv[1], Path(sys.argv[2])
    at = connect(url)  # once: it reads all certificates
    at.client.fine_tuning.jobs.checkpoints  # noqa: B018 (imported here, and not in each child)
    statuses = []
    while not statuses or statuses[-1][0] == -signal.SIGKILL:
        seed = len(statuses) + 1
        folder = top / str(seed)
        folder.mkdir()
        statuses.append([child(at, folder, seed, fatal=seed), child(at, folder, seed, fatal=None)])
    print(json.dumps(statuses))


if __name__ == "__main__":
    main()
