"""An order of a fine-tuning job, and what a host knows of it: its jobs, files, events and checkpoints.

Each function asks the host once (a list: page by page) and lets openai's errors through.
"""

from dataclasses import dataclass

import openai

from faithtune.hosts import polling

PAGE = 100
PURPOSE = "fine-tune"
MARK = "faithtune"  # the metadata's key for the order's hash
FAILED = ("failed", "cancelled", "expired")  # states
SHORT = 16  # hex digits of it in names, as some hosts take suffixes of 18 characters at most


@dataclass(frozen=True)
class Order:
    """What is to be trained."""

    identity: str  # sha256 of all the rest
    request: dict  # model, method, seed: of POST /v1/fine_tuning/jobs
    files: dict[str, bytes]  # training and, if there is one, validation: JSONL

    @property
    def short(self) -> str:
        return self.identity[:SHORT]

    def filename(self, what: str) -> str:
        return f"faithtune-{self.short}-{what}.jsonl"


def jobs_of(client: openai.OpenAI, order: Order, training_file: str | None) -> list[dict]:
    """All jobs of an order that the host knows, the newest first; training_file: its id, once it has one."""
    listed = (_plain(job.to_dict()) for job in client.fine_tuning.jobs.list(limit=PAGE))
    return [job for job in listed if is_of(job, order, training_file)]


def job_of(client: openai.OpenAI, name: str) -> dict:
    """The job of an id."""
    return _plain(client.fine_tuning.jobs.retrieve(name).to_dict())


def is_of(job: dict, order: Order, training_file: str | None) -> bool:
    """By metadata, else suffix, else training file: not every host keeps all of them.

    The job's `model` says little: a host that is asked by an alias answers with the model's own name.
    """
    if marked := (job.get("metadata") or {}).get(MARK):
        return marked == order.identity
    if suffix := job.get("user_provided_suffix") or job.get("suffix"):
        return suffix == order.short
    if training_file is None or job.get("training_file") != training_file:
        return False
    # The file has the order's name, but a host may keep equal files once, for all orders.
    asked, model = order.request, job.get("model") or ""
    return (asked["model"] in model or model in asked["model"]) and job.get("seed") in (None, asked.get("seed"))


def file_of(client: openai.OpenAI, order: Order, what: str) -> str | None:
    """The id of an order's file at the host."""
    for file in client.files.list(purpose=PURPOSE, limit=PAGE):
        same = file.filename == order.filename(what) and file.bytes == len(order.files[what])
        if same and str(file.status).lower() not in polling.UNUSABLE:
            return file.id
    return None


def upload(client: openai.OpenAI, order: Order, what: str) -> str:
    """The id of the file, which is uploaded."""
    file = (order.filename(what), order.files[what], "application/jsonl")
    return client.files.create(file=file, purpose=PURPOSE).id


def create(client: openai.OpenAI, order: Order, files: dict[str, str]) -> dict:
    """The job, which is made from uploaded files: {"training": id, ...}."""
    named = {f"{what}_file": name for what, name in files.items()}
    marks = {"suffix": order.short, "metadata": {MARK: order.identity}}
    return client.fine_tuning.jobs.create(**order.request, **named, **marks).to_dict()


def events_of(client: openai.OpenAI, job: str, seen: set[str]) -> list[dict]:
    """A job's events but those seen, the oldest first; none where the host has no such endpoint."""
    new = []
    try:
        for event in client.fine_tuning.jobs.list_events(job, limit=PAGE):
            if event.id in seen:
                break
            new.append(event.to_dict())
    except openai.NotFoundError:
        pass
    return new[::-1]


def checkpoints_of(client: openai.OpenAI, job: str) -> list[dict]:
    """A job's checkpoints, the oldest first; none where the host has no such endpoint."""
    try:
        listed = [one.to_dict() for one in client.fine_tuning.jobs.checkpoints.list(job, limit=PAGE)]
    except openai.NotFoundError:
        return []
    return sorted(listed, key=lambda one: one.get("step_number") or 0)


def _plain(job: dict) -> dict:
    """A job, its state as the API has it; without one, ""."""
    return job | {"status": polling.state(job.get("status"), "succeeded")}
