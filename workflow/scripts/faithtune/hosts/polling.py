"""Waiting for a host's files, batches and fine-tuning jobs, which may take hours.

with_patience     a request, retried while the host cannot be reached
wait_for_file     until an uploaded file is processed
normalise_status  a host's status of a batch or job as the API's own word
"""

from collections.abc import Callable
from typing import TypeVar

import openai
from openai.types import FileObject

from faithtune.core.errors import UserError
from faithtune.hosts import calls
from faithtune.hosts.calls import MalformedResponse, RateLimiter
from faithtune.hosts.host import Host

HOUR = 3600.0  # seconds of patience with requests about running work
ROUND_PAUSE = 60.0  # seconds between two rounds of attempts
# Seconds to wait for a file, by its status. At some hosts a file stays "uploaded" forever.
FILE_PATIENCE = {"uploaded": 120.0, "pending": HOUR, "running": HOUR}
FILE_PAUSES = (1.0, 1.5, 60.0)  # first pause in seconds, growth factor, longest pause
UNUSABLE = ("error", "failed")  # statuses of files

_DONE = ("completed", "succeeded", "success")
_ENDS = {
    "canceled": "cancelled",
    "error": "failed",
    "user_error": "failed",
    "failed_validation": "failed",
    "timeout_exceeded": "expired",
}

Result = TypeVar("Result")


def with_patience(ask: Callable[[], Result], limiter: RateLimiter, patience: float = 0.0) -> Result:
    """The result of `ask`, retried while it fails transiently, for about `patience` seconds or a few minutes.

    Raises the last of openai's errors, or MalformedResponse.
    """
    slept = 0.0

    def sleep(seconds: float) -> None:
        nonlocal slept
        slept += seconds
        limiter.sleep(seconds)

    started = limiter.clock()
    while True:
        try:
            return calls.retry(lambda: calls.parsed(ask), limiter, sleep)
        except (openai.APIError, MalformedResponse) as error:
            if max(slept, limiter.clock() - started) >= patience or not calls.is_transient(error):
                raise
        sleep(ROUND_PAUSE)


def wait_for_file(host: Host, file: str, ask: Callable, sleep: Callable[[float], None]) -> UserError | None:
    """Wait until the host has processed an uploaded file; the host's error if it cannot use the file.

    ask: sends a request, as `with_patience`. A file without a known status, or with one that does not change for too
    long, is taken for processed: the batch or job made from the file will show whether it is.
    """

    def look() -> FileObject | None:
        try:
            return host.client.files.retrieve(file)
        except openai.APIStatusError as error:
            if calls.is_transient(error):
                raise
            return None  # some hosts do not show their files

    (pause, growth, longest), waited = FILE_PAUSES, 0.0
    while True:
        found = ask(look)
        status = str(found and found.status).lower()
        if status in UNUSABLE:
            return host.as_user_error(
                Exception(f"it cannot use file {file}: {found.status_details or 'no reason given'}")
            )
        if waited >= FILE_PATIENCE.get(status, 0.0):
            return None
        sleep(pause)
        waited, pause = waited + pause, min(longest, growth * pause)


def normalise_status(status: str | None, done: str) -> str:
    """A host's status in lower case, ends in the API's own words; `done`: the word for success."""
    word = (status or "").lower()
    return done if word in _DONE else _ENDS.get(word, word)
