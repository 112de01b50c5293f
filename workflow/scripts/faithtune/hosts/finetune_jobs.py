"""A fine-tuning job at a host: created and paid once, however often we are killed, then waited for.

    find        look for such a job at the host
    reserve     its price, in the ledger
    upload      its files, after looking for each at the host, and wait until the host has processed them
    create      the job, after looking for it again before each attempt
    wait        validating_files, queued, running, paused ... succeeded | failed | cancelled
    pay         by the trained tokens that the host reports

The record on disk holds each id as soon as it is known. A job or file that only the host knows (we were killed, or its
response was lost) is found by the hash of the spec in file names, job suffixes and metadata. A failed job stays in
its record, and no other is created until a person removes the record:

    {"order": hash, "ended_badly": [ids of earlier jobs], "files": {"training": id, "validation": id}, "job": id}
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import openai
import polars as pl
from tqdm import tqdm

from faithtune.core.errors import HostStopped, UserError
from faithtune.core.redaction import redacted
from faithtune.hosts import calls, finetune_api, polling
from faithtune.hosts.finetune_api import FAILED, FineTuneSpec
from faithtune.hosts.host import Host
from faithtune.hosts.spend import prices
from faithtune.hosts.spend.ledger import Ledger, Reservation, Usage
from faithtune.jobs import job


@dataclass(frozen=True)
class JobCharge:
    """The ledger's entries for one spec: one reservation for each job made from it."""

    ledger: Ledger
    price: prices.Price | None
    reservation: Reservation

    def reserve(self) -> None:
        """Reserve the job unless it is reserved already; BudgetError."""
        if self._open() is None:
            self.ledger.reserve(self.reservation)

    def release(self) -> None:
        """Release the reservation: no job was created."""
        if (reservation := self._open()) is not None:
            self.ledger.release(reservation)

    def pay(self, ended: dict) -> None:
        """Charge the trained tokens; the reserved amount if the host reports none; nothing if it refused the files."""
        reservation, tokens = self._open(), ended.get("trained_tokens")
        if reservation is None:  # paid earlier, or from another ledger
            return
        refused = ((ended.get("error") or {}).get("param") or "").endswith("_file")
        if ended["status"] in FAILED and refused and not tokens:
            self.ledger.release(reservation)
        else:
            usd = prices.training_cost(self.price, tokens) if tokens else None
            self.ledger.pay(Usage(reservation, tokens or None, 0, usd))

    def _open(self) -> int | None:
        """The id of the reservation that is neither paid nor released."""
        attempts = self.ledger.frame().filter(pl.col("key") == self.reservation.key)
        if attempts.is_empty() or attempts["state"][-1] != "reserved":
            return None
        return self.ledger.last_reservations([self.reservation.key])[self.reservation.key]


PAUSES = (2.0, 1.5, 60.0)  # between looks at a status: first pause in seconds, growth factor, longest pause

Result = TypeVar("Result")


@dataclass
class FineTuneJob:
    """A job for a spec at a host, paid from the ledger."""

    host: Host
    charge: JobCharge
    spec: FineTuneSpec
    path: Path  # of the record
    sleep: Callable[[float], None]
    record: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.limiter = calls.RateLimiter(sleep=self.sleep)
        self.client = self.host.client

    def run(self) -> tuple[dict, list[dict], list[dict]]:
        """The succeeded job, its checkpoints, and the metrics of its events.

        Raises BudgetError before anything is uploaded, UserError with the host's message if the job fails.
        """
        if self.path.exists():
            self.record = job.load_json(self.path)  # never set aside: without it the job would be paid twice
        else:
            self._begin()
        if "job" not in self.record:
            found = self._ask(self._find) or self._submit()
            self.record["job"] = found["id"]
            self._write_record()
        print(f"job {self.record['job']} ({self.path})")
        ended, metrics = self._wait()
        self.charge.pay(ended)
        if ended["status"] in FAILED or not ended.get("fine_tuned_model"):
            raise self._failure(ended)
        return ended, self._ask(lambda: finetune_api.list_checkpoints(self.client, ended["id"])), metrics

    def _begin(self) -> None:
        """Start a record that lists earlier failed jobs, so that none of them is taken for the new one."""
        file = self._ask(lambda: finetune_api.find_file(self.client, self.spec, "training"))
        self.record["files"] = {"training": file} if file else {}  # identifies jobs at hosts that keep no marks
        past = [found for found in self._ask(self._jobs) if found["status"] in FAILED]
        for found in past:
            self.charge.pay(found)
            print(f"job {found['id']} {found['status']} earlier{self._message(found)}; another is created")
        self.record |= {"order": self.spec.identity, "ended_badly": [found["id"] for found in past]}
        self._write_record()

    def _jobs(self) -> list[dict]:
        return finetune_api.list_jobs(self.client, self.spec, self.record.get("files", {}).get("training"))

    def _find(self) -> dict | None:
        return next((found for found in self._jobs() if found["id"] not in self.record["ended_badly"]), None)

    def _submit(self) -> dict:
        self.charge.reserve()
        for part in self.spec.files:
            if part not in self.record["files"]:
                self.record["files"][part] = self._ask(lambda part=part: self._find_or_upload(part))
                self._write_record()
        for file in self.record["files"].values():
            self._wait_for_file(file)
        return self._ask(lambda: self._find() or self._create())

    def _find_or_upload(self, part: str) -> str:
        found = finetune_api.find_file(self.client, self.spec, part)
        return found or finetune_api.upload_file(self.client, self.spec, part)

    def _wait_for_file(self, file: str) -> None:
        if error := polling.wait_for_file(self.host, file, self._ask, self.sleep):
            self.charge.release()
            self.path.unlink(missing_ok=True)  # the next run uploads the file again
            raise error

    def _create(self) -> dict:
        """Create the job. A refused job costs nothing; a job whose response was lost may exist."""
        self.charge.reserve()
        try:
            return finetune_api.create_job(self.client, self.spec, self.record["files"])
        except openai.APIStatusError as error:
            if error.status_code < 500:
                self.charge.release()
            if not calls.is_transient(error):
                self.path.unlink(missing_ok=True)  # the files may be at fault: the next run looks for them again
            raise

    def _wait(self) -> tuple[dict, list[dict]]:
        """The ended job, and the metrics of its events."""
        seen, metrics, status = set(), [], None
        pause, growth, longest = PAUSES
        with tqdm(unit="step", desc="tuning", mininterval=5) as bar:
            while True:
                now = self._ask(self._look, polling.HOUR)
                if now["status"] != status:
                    pause, status = PAUSES[0], now["status"]
                    hint = "; resume or cancel it at the host" if status == "paused" else ""
                    print(f"{now['id']} is {status}{hint}")
                # Events after the status, so that no event of an ended job is missed.
                for event in self._ask(lambda: self._events(seen), polling.HOUR):
                    seen.add(event["id"])
                    print(f"{now['id']}: {self._redacted(event.get('message'))}")
                    data = event.get("data")
                    if isinstance(data, dict) and data.get("step") is not None:
                        metrics.append(data)
                        bar.total, bar.n = data.get("total_steps") or bar.total, data["step"]
                bar.set_postfix(status=status, trained_tokens=now.get("trained_tokens"))
                if status in ("succeeded", *FAILED):
                    return now, metrics
                self.sleep(pause)
                pause = min(longest, pause * growth)

    def _look(self) -> dict:
        try:
            found = finetune_api.retrieve_job(self.client, self.record["job"])
        except openai.NotFoundError:
            raise UserError(
                f"{self.path}: the host knows no job {self.record['job']}; name the host where it was created, or"
                " remove the file to create another"
            ) from None
        if not found["status"]:
            raise calls.MalformedResponse("a job without a status")
        return found

    def _events(self, seen: set[str]) -> list[dict]:
        return finetune_api.list_events(self.client, self.record["job"], seen)

    def _failure(self, ended: dict) -> UserError:
        how = ended["status"] if ended["status"] in FAILED else "ended without a model"
        return UserError(
            f"{self.host.where}: the tuning job {ended['id']} {how}{self._message(ended)}; to create another,"
            f" remove {self.path}"
        )

    def _message(self, ended: dict) -> str:
        """The host's error message after a colon; "" without one."""
        said = (ended.get("error") or {}).get("message")
        return f": {self._redacted(said)}" if said else ""

    def _redacted(self, said: object) -> str:
        """A host's text as one line without the key."""
        secrets = [os.environ.get(self.host.key_env)] if self.host.key_env else []
        return redacted(" ".join(str(said).split())[:500], secrets)

    def _write_record(self) -> None:
        job.write_json(self.record, self.path)

    def _ask(self, ask: Callable[[], Result], patience: float = 0.0) -> Result:
        """The host's answer, with retries (`polling.with_patience`); UserError instead of openai's errors."""
        try:
            return polling.with_patience(ask, self.limiter, patience)
        except openai.APIError as error:
            raise self.host.as_user_error(error) from None
        except calls.MalformedResponse as error:
            raise HostStopped(f"{self.host.where}: the host's responses cannot be read: {error}") from None
