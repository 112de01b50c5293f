"""Fine-tuning jobs: one step a retrieval, to a model that answers at the completions endpoints."""

import json
from typing import TYPE_CHECKING

from standin import examples
from standin.shapes import Refusal, listed, missing, need, now
from standin.wire import Request

if TYPE_CHECKING:
    from standin.host import StandIn

STEPS = ("validating_files", "queued", "running", "succeeded")
ENDS = ("succeeded", "failed", "cancelled")
CHECKPOINTS = 3  # the last so many epochs
FIELDS = ("model", "training_file", "validation_file", "seed", "suffix", "metadata", "method", "hyperparameters")
FIELDS += ("integrations",)
AUTO = {"n_epochs": 3, "batch_size": 1, "learning_rate_multiplier": 1.8}


class Jobs:
    def __init__(self, host: "StandIn"):
        self.host = host
        self.jobs: dict[str, dict] = {}
        self.logs: dict[str, list[dict]] = {}
        self.checkpoints: dict[str, list[dict]] = {}
        self.failing: list[tuple[str, str]] = []  # of the next jobs: message, and the state that ends with it

    def create(self, request: Request) -> dict:
        asked = json.loads(request.body)
        for name in asked:
            need(name in FIELDS, f"Unrecognized request argument supplied: {name}", name)
        model = self.host.need_model(asked.get("model"))
        for param in ("training_file", "validation_file"):
            if param == "training_file" or asked.get(param):
                self.host.files.lines(asked.get(param), "fine-tune", param)
        method = asked.get("method") or {"type": "supervised"}
        kind = method.get("type")
        known = kind in self.host.settings.methods
        need(known, f"Method '{kind}' is not supported with this model.", "method", "unsupported_method")
        need(len(asked.get("suffix") or "") <= 64, "Invalid 'suffix': at most 64 characters.", "suffix")
        given = (method.get(kind) or {}).get("hyperparameters") or asked.get("hyperparameters") or {}
        parameters = dict.fromkeys(AUTO, "auto") | given
        name = f"ftjob-{len(self.jobs) + 1}"
        self.jobs[name] = {
            "id": name,
            "object": "fine_tuning.job",
            "status": STEPS[0],
            "created_at": now(),
            "finished_at": None,
            "estimated_finish": None,
            "model": model,
            "fine_tuned_model": None,
            "organization_id": "org-standin",
            "training_file": asked["training_file"],
            "validation_file": asked.get("validation_file"),
            "result_files": [],
            "seed": len(self.jobs) if asked.get("seed") is None else asked["seed"],
            "trained_tokens": None,
            "hyperparameters": parameters,
            "method": {"type": kind, kind: {"hyperparameters": parameters}},
            "metadata": asked.get("metadata") if self.host.settings.metadata else None,
            "integrations": [],
            "user_provided_suffix": asked.get("suffix"),
            "error": None,
        }
        self.logs[name], self.checkpoints[name] = [], []
        self._log(name, f"Created fine-tuning job: {name}")
        self.host.call.keys.append(asked["training_file"])
        return self.jobs[name]

    def page(self, request: Request) -> dict:
        return listed(list(self.jobs.values()), request.query)

    def retrieve(self, request: Request, name: str) -> dict:
        self._known(name)
        if not self.host.settings.by_hand:
            self.advance(name)
        return self.jobs[name]

    def cancel(self, request: Request, name: str) -> dict:
        status = self._known(name)["status"]
        need(status not in ENDS, f"Job has already completed: {name} ({status}).")
        self._log(name, "The job was cancelled.")
        self.jobs[name] |= {"status": "cancelled", "finished_at": now()}
        return self.jobs[name]

    def events(self, request: Request, name: str) -> dict:
        self._known(name)
        return listed(self.logs[name], request.query)

    def list_checkpoints(self, request: Request, name: str) -> dict:
        self._known(name)
        return listed(self.checkpoints[name], request.query)

    def advance(self, name: str) -> None:
        """One step further, if there is one."""
        job = self.jobs[name]
        if job["status"] in ENDS:
            return
        if self.failing and self.failing[0][1] == job["status"]:
            self._fail(name, Refusal(400, self.failing.pop(0)[0], code="job_failed"))
            return
        try:
            if job["status"] == "validating_files":
                self._examples(job)
            elif job["status"] == "running":
                self._finish(name)
        except Refusal as refusal:
            self._fail(name, refusal)
            return
        job["status"] = STEPS[STEPS.index(job["status"]) + 1]
        self._log(name, f"The job is now {job['status']}.")

    def _examples(self, job: dict) -> list[dict]:
        """Checked examples of the training file; the validation file's are checked too."""
        kind, fewest = job["method"]["type"], self.host.settings.min_examples
        found = []
        for param in ("validation_file", "training_file"):
            if job[param]:
                found = examples.read(self.host.files.contents[job[param]], kind, param)
        need(
            len(found) >= fewest,
            f"Training file has {len(found)} example(s), but must have at least {fewest} examples",
            "training_file",
            "invalid_n_examples",
        )
        return found

    def _finish(self, name: str) -> None:
        """Charge for the training; its model and checkpoints answer from now on."""
        job, found = self.jobs[name], self._examples(self.jobs[name])
        chosen = job["hyperparameters"]
        parameters = {**chosen, **{key: value for key, value in AUTO.items() if chosen[key] == "auto"}}
        epochs, steps = parameters["n_epochs"], -(-len(found) // parameters["batch_size"])
        model = f"ft:{job['model']}:standin:{job['user_provided_suffix'] or ''}:{name[6:]}"
        trained = epochs * sum(map(examples.count, found))
        models = {f"{model}:ckpt-step-{steps * epoch}": epoch for epoch in range(1, epochs)} | {model: epochs}
        for checkpoint, epoch in list(models.items())[-CHECKPOINTS:]:
            self.host.settings.models[checkpoint] = {"owned_by": "org-standin"}
            whole = 2 / epoch if job["validation_file"] else None
            self.checkpoints[name].append(
                {
                    "id": f"ftckpt-{name[6:]}-{epoch}",
                    "object": "fine_tuning.job.checkpoint",
                    "created_at": now(),
                    "fine_tuning_job_id": name,
                    "fine_tuned_model_checkpoint": checkpoint,
                    "step_number": steps * epoch,
                    "metrics": {"step": steps * epoch, "train_loss": 1 / epoch, "full_valid_loss": whole},
                }
            )
        for epoch in range(1, epochs + 1):
            metrics = {"step": steps * epoch, "total_steps": steps * epochs, "train_loss": 1 / epoch}
            message = f"Step {steps * epoch}/{steps * epochs}: training loss={1 / epoch:.2f}"
            self._log(name, message, data=metrics | {"train_mean_token_accuracy": 1 - 1 / (epoch + 1)})
        table = "step,train_loss\n" + "".join(f"{steps * epoch},{1 / epoch}\n" for epoch in range(1, epochs + 1))
        results = self.host.files.add("fine-tune-results", "step_metrics.csv", table.encode())
        job |= {
            "fine_tuned_model": model,
            "finished_at": now(),
            "trained_tokens": trained,
            "hyperparameters": parameters,
        }
        job["method"] = {"type": job["method"]["type"], job["method"]["type"]: {"hyperparameters": parameters}}
        job["result_files"] = [results["id"]]
        asked = {key: job[key] for key in ("model", "training_file", "validation_file", "seed", "method")}
        self.host.charge("tuning", name, job["training_file"], asked, job["model"], trained, 0)

    def _fail(self, name: str, refusal: Refusal) -> None:
        error = {key: refusal.body["error"][key] for key in ("code", "message", "param")}
        self.jobs[name] |= {"status": "failed", "finished_at": now(), "error": error}
        self._log(name, error["message"], "error")

    def _log(self, name: str, message: str, level: str = "info", data: dict | None = None) -> None:
        """`data`: what was measured."""
        log = self.logs[name]
        mark = {"id": f"ftevent-{name[6:]}-{len(log) + 1}", "object": "fine_tuning.job.event", "created_at": now()}
        kind = "metrics" if data else "message"
        log.append({**mark, "level": level, "message": message, "type": kind, "data": data or {}})

    def _known(self, name: str) -> dict:
        if name not in self.jobs:
            raise missing("Fine-tuning job", name)
        return self.jobs[name]
