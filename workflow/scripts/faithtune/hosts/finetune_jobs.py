"""A fine-tuning job at a host: made once, whatever becomes of us, then waited for.

    find        is there such a job at the host already?
    reserve     its price, in the ledger
    upload      its files, each looked for at the host before, and until the host has processed them
    create      the job, looked for again before each attempt
    wait        validating_files, queued, running, paused ... succeeded | failed | cancelled
    settle      what it cost, by the tokens that the host says it trained on

The record on disk holds each id as soon as it is known. A job or file of which only the host knows (we were killed,
or its answer was lost) is found by the order's hash, which files bear in their names and jobs in suffix and metadata.
A job that ended badly stays in its record, and is made anew only when a person has removed that:

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

from faithtune.core.errors import StopError, UserError
from faithtune.core.redaction import redacted
from faithtune.hosts import calls, finetune_api, polling
from faithtune.hosts.finetune_api import FAILED, Order
from faithtune.hosts.host import Host
from faithtune.hosts.spend import prices
from faithtune.hosts.spend.ledger import Call, Ledger, Used
from faithtune.jobs import job


@dataclass(frozen=True)
class Bill:
    """An order's calls in the ledger: one for each job that is made of it."""

    ledger: Ledger
    price: prices.Price | None
    call: Call  # as the ledger reserves it

    def reserve(self) -> int:
        """The job's ticket: the one it has already, else a new one; BudgetError."""
        return self._ticket() or self.ledger.reserve(self.call)

    def release(self) -> None:
        """No job was made."""
        if ticket := self._ticket():
            self.ledger.release(ticket)

    def settle(self, ended: dict) -> None:
        """By the job's tokens; where the host names none at what was reserved, but nothing for refused files."""
        ticket, tokens = self._ticket(), ended.get("trained_tokens")
        if ticket is None:  # settled before, or paid for from another ledger
            return
        refused = ((ended.get("error") or {}).get("param") or "").endswith("_file")
        if ended["status"] in FAILED and refused and not tokens:
            self.ledger.release(ticket)
        else:
            usd = prices.training_cost(self.price, tokens) if tokens else None
            self.ledger.settle(Used(ticket, tokens or None, 0, usd))

    def _ticket(self) -> int | None:
        """The ticket that is neither settled nor released: of the job that is made or waited for."""
        attempts = self.ledger.frame().filter(pl.col("key") == self.call.key)
        if attempts.is_empty() or attempts["state"][-1] != "reserved":
            return None
        return self.ledger.tickets([self.call.key])[self.call.key]


PAUSES = (2.0, 1.5, 60.0)  # seconds before the second look at a state, how they grow, the longest

Made = TypeVar("Made")


@dataclass
class Job:
    """An order at a host, paid for from the ledger."""

    host: Host
    bill: Bill
    order: Order
    path: Path  # of the record
    sleep: Callable[[float], None]
    record: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.gate = calls.Gate(sleep=self.sleep)
        self.client = self.host.client

    def run(self) -> tuple[dict, list[dict], list[dict]]:
        """The job once it has succeeded, its checkpoints, and the metrics of its events.

        Raises BudgetError before anything is uploaded, UserError in the host's words where the job ends badly.
        """
        if self.path.exists():
            self.record = job.load_json(self.path)  # never set aside: without it the job would be paid for twice
        else:
            self._begin()
        if "job" not in self.record:
            found = self._asked(self._find) or self._made()
            self.record["job"] = found["id"]
            self._keep()
        print(f"job {self.record['job']} ({self.path})")
        ended, metrics = self._wait()
        self.bill.settle(ended)
        if ended["status"] in FAILED or not ended.get("fine_tuned_model"):
            raise self._ended_badly(ended)
        return ended, self._asked(lambda: finetune_api.checkpoints_of(self.client, ended["id"])), metrics

    def _begin(self) -> None:
        """A new record: earlier jobs that ended badly are not taken for the one that is made now."""
        file = self._asked(lambda: finetune_api.file_of(self.client, self.order, "training"))
        self.record["files"] = {"training": file} if file else {}  # by which hosts that keep no mark know a job
        past = [one for one in self._asked(self._jobs) if one["status"] in FAILED]
        for one in past:
            self.bill.settle(one)
            print(f"job {one['id']} {one['status']} before{self._words(one)}; it is made anew")
        self.record |= {"order": self.order.identity, "ended_badly": [one["id"] for one in past]}
        self._keep()

    def _jobs(self) -> list[dict]:
        return finetune_api.jobs_of(self.client, self.order, self.record.get("files", {}).get("training"))

    def _find(self) -> dict | None:
        return next((one for one in self._jobs() if one["id"] not in self.record["ended_badly"]), None)

    def _made(self) -> dict:
        self.bill.reserve()
        for what in self.order.files:
            if what not in self.record["files"]:
                self.record["files"][what] = self._asked(lambda what=what: self._filed(what))
                self._keep()
        for file in self.record["files"].values():
            self._ready(file)
        return self._asked(lambda: self._find() or self._create())

    def _filed(self, what: str) -> str:
        return finetune_api.file_of(self.client, self.order, what) or finetune_api.upload(self.client, self.order, what)

    def _ready(self, file: str) -> None:
        """Wait until the host has processed a file."""
        if error := polling.ready(self.host, file, self._asked, self.sleep):
            self.bill.release()
            self.path.unlink(missing_ok=True)  # the next run uploads it anew
            raise error

    def _create(self) -> dict:
        """Make the job. What the host refuses costs nothing; an answer that is lost may have been a job."""
        self.bill.reserve()
        try:
            return finetune_api.create(self.client, self.order, self.record["files"])
        except openai.APIStatusError as error:
            if error.status_code < 500:
                self.bill.release()
            if not calls.passes(error):
                self.path.unlink(missing_ok=True)  # its files may be what is wrong: they are looked for again
            raise

    def _wait(self) -> tuple[dict, list[dict]]:
        """The job once it has ended, and the metrics of its events."""
        seen, metrics, state = set(), [], None
        pause, growth, longest = PAUSES
        with tqdm(unit="step", desc="tuning", mininterval=5) as bar:
            while True:
                now = self._asked(self._look, polling.HOUR)
                if now["status"] != state:
                    pause, state = PAUSES[0], now["status"]
                    hint = "; go on with it or cancel it at the host" if state == "paused" else ""
                    print(f"{now['id']} is {state}{hint}")
                # After the state, so that all events of a job that has ended are there.
                for event in self._asked(lambda: self._events(seen), polling.HOUR):
                    seen.add(event["id"])
                    print(f"{now['id']}: {self._safe(event.get('message'))}")
                    data = event.get("data")
                    if isinstance(data, dict) and data.get("step") is not None:
                        metrics.append(data)
                        bar.total, bar.n = data.get("total_steps") or bar.total, data["step"]
                bar.set_postfix(state=state, trained_tokens=now.get("trained_tokens"))
                if state in ("succeeded", *FAILED):
                    return now, metrics
                self.sleep(pause)
                pause = min(longest, pause * growth)

    def _look(self) -> dict:
        try:
            found = finetune_api.job_of(self.client, self.record["job"])
        except openai.NotFoundError:
            raise UserError(
                f"{self.path}: the host knows no job {self.record['job']}; name the host it was made at, or remove the"
                " file to make it anew"
            ) from None
        if not found["status"]:
            raise calls.Garbled("a job without a state")
        return found

    def _events(self, seen: set[str]) -> list[dict]:
        return finetune_api.events_of(self.client, self.record["job"], seen)

    def _ended_badly(self, ended: dict) -> UserError:
        how = ended["status"] if ended["status"] in FAILED else "ended without a model"
        return UserError(
            f"{self.host.where}: the tuning job {ended['id']} {how}{self._words(ended)}; to make it anew,"
            f" remove {self.path}"
        )

    def _words(self, ended: dict) -> str:
        """The host's own, if there are any."""
        said = (ended.get("error") or {}).get("message")
        return f": {self._safe(said)}" if said else ""

    def _safe(self, said: object) -> str:
        """A host's text in one line, without the key."""
        secrets = [os.environ.get(self.host.key_env)] if self.host.key_env else []
        return redacted(" ".join(str(said).split())[:500], secrets)

    def _keep(self) -> None:
        job.write_json(self.record, self.path)

    def _asked(self, ask: Callable[[], Made], patience: float = 0.0) -> Made:
        """What the host answers, asked again while it fails in passing (`polling.asked`)."""
        try:
            return polling.asked(ask, self.gate, patience)
        except openai.APIError as error:
            raise self.host.as_user_error(error) from None
        except calls.Garbled as error:
            raise StopError(f"{self.host.where}: the host's answers cannot be read: {error}") from None
