"""What to fine-tune, and the fine-tuning endpoints of a host: jobs, files, events and checkpoints.

Each function makes one request (a list: one per page) and raises openai's errors.
"""

from dataclasses import dataclass

import openai

from faithtune.hosts import polling

PAGE = 100
PURPOSE = "fine-tune"
MARK = "faithtune"  # the metadata key for the identity
FAILED = ("failed", "cancelled", "expired")  # statuses
SHORT = 16  # hex digits of the identity in names, as some hosts allow suffixes of at most 18 characters


@dataclass(frozen=True)
class FineTuneSpec:
    """What to fine-tune."""

    identity: str  # sha256 of the request and the files
    request: dict  # model, method, seed: for POST /v1/fine_tuning/jobs
    files: dict[str, bytes]  # training and, if there is one, validation: JSONL

    @property
    def short(self) -> str:
        return self.identity[:SHORT]

    def filename(self, part: str) -> str:
        return f"faithtune-{self.short}-{part}.jsonl"


def list_jobs(client: openai.OpenAI, spec: FineTuneSpec, training_file: str | None) -> list[dict]:
    """All jobs of a spec at the host, the newest first; training_file: its id, once it is uploaded."""
    listed = (_normalised(job.to_dict()) for job in client.fine_tuning.jobs.list(limit=PAGE))
    return [job for job in listed if belongs_to(job, spec, training_file)]


def retrieve_job(client: openai.OpenAI, job: str) -> dict:
    """The job with an id."""
    return _normalised(client.fine_tuning.jobs.retrieve(job).to_dict())


def belongs_to(job: dict, spec: FineTuneSpec, training_file: str | None) -> bool:
    """Whether a job was made from a spec: by metadata, else suffix, else training file.

    Not every host keeps all of these. The job's `model` is weak evidence, because a host that is called with an alias
    answers with the model's own name.
    """
    if marked := (job.get("metadata") or {}).get(MARK):
        return marked == spec.identity
    if suffix := job.get("user_provided_suffix") or job.get("suffix"):
        return suffix == spec.short
    if training_file is None or job.get("training_file") != training_file:
        return False
    # A host may store equal files once, so specs that differ in model or seed can share the training file.
    wanted, model = spec.request, job.get("model") or ""
    return (wanted["model"] in model or model in wanted["model"]) and job.get("seed") in (None, wanted.get("seed"))


def find_file(client: openai.OpenAI, spec: FineTuneSpec, part: str) -> str | None:
    """The id of a spec's file (training or validation) at the host."""
    for file in client.files.list(purpose=PURPOSE, limit=PAGE):
        same = file.filename == spec.filename(part) and file.bytes == len(spec.files[part])
        if same and str(file.status).lower() not in polling.UNUSABLE:
            return file.id
    return None


def upload_file(client: openai.OpenAI, spec: FineTuneSpec, part: str) -> str:
    """Upload a file; its id."""
    file = (spec.filename(part), spec.files[part], "application/jsonl")
    return client.files.create(file=file, purpose=PURPOSE).id


def create_job(client: openai.OpenAI, spec: FineTuneSpec, files: dict[str, str]) -> dict:
    """Create the job from uploaded files: {"training": id, ...}."""
    named = {f"{part}_file": file for part, file in files.items()}
    marks = {"suffix": spec.short, "metadata": {MARK: spec.identity}}
    return client.fine_tuning.jobs.create(**spec.request, **named, **marks).to_dict()


def list_events(client: openai.OpenAI, job: str, seen: set[str]) -> list[dict]:
    """A job's events that are not in `seen`, the oldest first; empty if the host has no such endpoint."""
    new = []
    try:
        for event in client.fine_tuning.jobs.list_events(job, limit=PAGE):
            if event.id in seen:
                break
            new.append(event.to_dict())
    except openai.NotFoundError:
        pass
    return new[::-1]


def list_checkpoints(client: openai.OpenAI, job: str) -> list[dict]:
    """A job's checkpoints, the oldest first; empty if the host has no such endpoint."""
    try:
        listed = [found.to_dict() for found in client.fine_tuning.jobs.checkpoints.list(job, limit=PAGE)]
    except openai.NotFoundError:
        return []
    return sorted(listed, key=lambda found: found.get("step_number") or 0)


def _normalised(job: dict) -> dict:
    """A job with the API's own word as its status; "" without a status."""
    return job | {"status": polling.normalise_status(job.get("status"), "succeeded")}
