"""Waiting for what a host works on, files, batches and tuning jobs:

    asked   one question, put again while the host cannot be reached
    ready   an uploaded file, before anything is made of it
    state   a host's word for how far a batch or a job has come, as the API has it

What is waited for takes hours, and nothing of it is lost while nobody looks.
"""

from collections.abc import Callable
from typing import TypeVar

import openai
from openai.types import FileObject

from faithtune.core.errors import UserError
from faithtune.hosts import calls
from faithtune.hosts.calls import Garbled, Gate
from faithtune.hosts.host import Host

HOUR = 3600.0  # seconds that a question about work under way is put again: what runs for a day outlasts that
ROUND_PAUSE = 60.0  # seconds between two rounds of attempts
# Seconds that a file is waited for, by its state. Some hosts leave theirs "uploaded" for good.
FILE_PATIENCE = {"uploaded": 120.0, "pending": HOUR, "running": HOUR}
FILE_PAUSES = (1.0, 1.5, 60.0)  # seconds before the second look at a file, how they grow, the longest
UNUSABLE = ("error", "failed")  # files

_DONE = ("completed", "succeeded", "success")
_ENDS = {
    "canceled": "cancelled",
    "error": "failed",
    "user_error": "failed",
    "failed_validation": "failed",
    "timeout_exceeded": "expired",
}

Made = TypeVar("Made")


def asked(ask: Callable[[], Made], gate: Gate, patience: float = 0.0) -> Made:
    """What the host answers, asked again while it fails in passing, for about `patience` seconds or a few minutes.

    Raises the last of openai's errors, or Garbled.
    """
    slept = 0.0

    def sleep(seconds: float) -> None:
        nonlocal slept
        slept += seconds
        gate.sleep(seconds)

    began = gate.clock()
    while True:
        try:
            return calls.again(lambda: calls.read(ask), gate, sleep)
        except (openai.APIError, Garbled) as error:
            if max(slept, gate.clock() - began) >= patience or not calls.passes(error):
                raise
        sleep(ROUND_PAUSE)


def ready(host: Host, file: str, ask: Callable, sleep: Callable[[float], None]) -> UserError | None:
    """Come back when the host has processed an uploaded file; with its words where it cannot use it.

    ask: puts a question, as `asked`. A host that gives no state, or a strange one, is not waited for, nor one whose
    files stay as they are for too long: what is made of the file will tell.
    """

    def look() -> FileObject | None:
        try:
            return host.client.files.retrieve(file)
        except openai.APIStatusError as error:
            if calls.passes(error):
                raise
            return None  # not every host shows its files

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


def state(said: str | None, done: str) -> str:
    """A host's word for a state, in lower case; for an end the API's own, `done` where all went well."""
    word = (said or "").lower()
    return done if word in _DONE else _ENDS.get(word, word)
