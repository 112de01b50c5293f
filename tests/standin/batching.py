"""Batches: one step a retrieval, to the end their fate has for them."""

import json
import random
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from standin import batch_lines, speaking
from standin.batch_lines import mistake, result
from standin.shapes import Refusal, among, listed, missing, need, now
from standin.wire import Request

if TYPE_CHECKING:
    from standin.host import StandIn

DAY = 24 * 3600
ENDS = ("completed", "expired", "failed", "cancelled")
MOMENTS = {state: f"{state}_at" for state in (*ENDS, "in_progress", "finalizing", "cancelling")}
EXPIRED = "This request could not be executed before the completion window expired."


@dataclass(frozen=True)
class Fate:
    """What becomes of a batch. Requests are chosen by their custom_ids, or as a share of all by a seeded draw."""

    end: str = "completed"  # or expired, failed
    done: int | None = None  # requests done before it expired or was cancelled; None: half of them, none of them
    polls: int = 0  # further steps in which nothing comes of it
    late: int = 0  # retrievals of an ended batch that do not name its output file yet
    errors: list[str] | float = 0.0  # requests that end in the error file, unpaid
    error_status: int = 500
    missing: list[str] | float = 0.0  # done and paid for, without a line
    twice: list[str] | float = 0.0  # lines that come twice
    shuffled: bool = False
    seed: int = 0


class Batches:
    def __init__(self, host: "StandIn"):
        self.host = host
        self.batches: dict[str, dict] = {}
        self.lines: dict[str, list[dict]] = {}  # the requests of each, once it is validated
        self.results: dict[str, tuple[list[dict], list[dict]]] = {}  # lines of output and errors
        self.fates: dict[str, Fate] = {}
        self.waits: dict[str, int] = {}  # steps in which nothing is to come of it yet
        self.looks: Counter[str] = Counter()  # retrievals of each since it ended, as far as its file is late
        self.coming: list[Fate] = []  # of the next batches

    def create(self, request: Request) -> dict:
        asked = json.loads(request.body)
        need(asked.get("completion_window") == "24h", "Invalid 'completion_window': 24h.", "completion_window")
        need(asked.get("endpoint") in speaking.FIELDS, "Invalid 'endpoint'.", "endpoint")
        lines = self.host.files.lines(asked.get("input_file_id"), "batch", "input_file_id")
        name = f"batch_{len(self.batches) + 1}"
        fate = self.fates[name] = self.coming.pop(0) if self.coming else Fate()
        self.waits[name] = fate.polls
        self.host.call.keys.extend(batch_lines.custom_ids(lines))
        self.batches[name] = {
            "id": name,
            "object": "batch",
            "endpoint": asked["endpoint"],
            "input_file_id": asked["input_file_id"],
            "completion_window": "24h",
            "status": "validating",
            "created_at": now(),
            "expires_at": now() + DAY,
            **dict.fromkeys(MOMENTS.values()),
            **dict.fromkeys(("errors", "output_file_id", "error_file_id", "model", "usage")),
            "metadata": asked.get("metadata") if self.host.settings.metadata else None,
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
        }
        return self.batches[name]

    def page(self, request: Request) -> dict:
        return listed(list(self.batches.values()), request.query)

    def retrieve(self, request: Request, name: str) -> dict:
        if name not in self.batches:
            raise missing("Batch", name)
        if not self.host.settings.by_hand:
            self.advance(name)
        batch = self.batches[name]
        if batch["status"] in ENDS and self.looks[name] < self.fates[name].late:
            self.looks[name] += 1
            return batch | {"output_file_id": None}
        return batch

    def cancel(self, request: Request, name: str) -> dict:
        if name not in self.batches:
            raise missing("Batch", name)
        status = self.batches[name]["status"]
        need(status not in ENDS, f"Cannot cancel a batch with status '{status}'.")
        return self._to(name, "cancelling")

    def advance(self, name: str) -> None:
        """One step further, if there is one."""
        match self.batches[name]["status"]:
            case "validating":
                self._validate(name)
            case "in_progress" if self.waits[name]:
                self.waits[name] -= 1
            case "in_progress":
                self._work(name)
            case "finalizing":
                self._end(name, "completed")
            case "cancelling":
                if name not in self.results:
                    self._answer(name, self.fates[name].done or 0)
                self._end(name, "cancelled")

    def _validate(self, name: str) -> None:
        batch = self.batches[name]
        data = self.host.files.contents[batch["input_file_id"]]
        errors, lines = batch_lines.read(data, batch["endpoint"], self.host.settings, self._enqueued())
        if errors:
            self._fail(name, errors)
            return
        self.lines[name] = lines
        batch["model"] = lines[0]["body"]["model"]
        batch["request_counts"]["total"] = len(lines)
        self._to(name, "in_progress")

    def _enqueued(self) -> int:
        return sum(
            batch_lines.prompt_tokens(self.lines[name])
            for name in self.lines
            if self.batches[name]["status"] not in ENDS
        )

    def _work(self, name: str) -> None:
        fate, total = self.fates[name], len(self.lines[name])
        if fate.end == "failed":
            self._fail(name, [mistake("server_error", "The batch failed while it was processed.")])
            return
        expired = fate.end == "expired"
        self._answer(name, total if not expired else total // 2 if fate.done is None else fate.done)
        if expired:
            output, errors = self.results[name]
            settled = {line["custom_id"] for line in output + errors}
            left = [line["custom_id"] for line in self.lines[name] if line["custom_id"] not in settled]
            errors.extend(result(name, key, None, {"code": "batch_expired", "message": EXPIRED}) for key in left)
            self._end(name, "expired")
        else:
            self._to(name, "finalizing")

    def _answer(self, name: str, done: int) -> None:
        """Do and charge for the first `done` requests."""
        lines, fate = self.lines.get(name, [])[:done], self.fates[name]
        chance = random.Random(fate.seed)
        broken = among(fate.errors, [line["custom_id"] for line in lines], chance.random)
        output, errors = [], []
        for line in lines:
            key = line["custom_id"]
            try:
                if key in broken:
                    raise Refusal(fate.error_status, "The server had an error.", type="server_error")
                body = self.host.complete(line["url"], line["body"], "batch", name, key)
                output.append(result(name, key, {"status_code": 200, "request_id": f"req_{key}", "body": body}))
            except Refusal as refusal:
                response = {"status_code": refusal.status, "request_id": f"req_{key}", "body": refusal.body}
                errors.append(result(name, key, response))
        self.results[name] = output, errors

    def _end(self, name: str, status: str) -> None:
        """Write the files, spoilt as fate will have it."""
        batch, fate = self.batches[name], self.fates[name]
        output, errors = self.results[name]
        batch["request_counts"] |= {"completed": len(output), "failed": len(errors)}
        batch["usage"] = batch_lines.usage(output)
        chance = random.Random(fate.seed + 1)
        keys = [line["custom_id"] for line in output]
        lost, twice = (among(chosen, keys, chance.random) for chosen in (fate.missing, fate.twice))
        output = [line for line in output if line["custom_id"] not in lost]
        output += [line for line in output if line["custom_id"] in twice]
        if fate.shuffled:
            chance.shuffle(output)
        for field, lines in (("output_file_id", output), ("error_file_id", errors)):
            if lines:
                data = "".join(json.dumps(line) + "\n" for line in lines).encode()
                batch[field] = self.host.files.add("batch_output", f"{name}_{field[:-8]}.jsonl", data)["id"]
        self._to(name, status)

    def _fail(self, name: str, errors: list[dict]) -> None:
        self.batches[name]["errors"] = {"object": "list", "data": errors}
        self._to(name, "failed")

    def _to(self, name: str, status: str) -> dict:
        self.batches[name] |= {"status": status, MOMENTS[status]: now()}
        return self.batches[name]
