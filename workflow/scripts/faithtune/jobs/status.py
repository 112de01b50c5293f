"""The state of a run: finished, running and failed jobs, from Snakemake's log and the last lines of the jobs' logs.

Snakemake writes its log while it runs, so the log is there after a crash, too.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

LOGS = ".snakemake/log"
_RULE = re.compile(r"^(?:local)?(?:rule|checkpoint) (\w+):$")
_ERROR = re.compile(r"^Error in rule (\w+):$")
_FINISHED = re.compile(r"^Finished jobid: (\d+)\b")
_FIELD = re.compile(r"^    (\w+): (.*)$")
_COUNT = re.compile(r"^(\w+) +(\d+)$", re.MULTILINE)  # a row of the table of jobs by rule
# A failed job's log, which Snakemake copies (show-failed-logs): it may contain lines like Snakemake's own.
_COPY = re.compile(r"^[ ]*Logfile [^\n]*:\n={10,}\n.*?(?:^={10,}\n|\Z)", re.MULTILINE | re.DOTALL)
_END = "\nComplete log(s):"
_STATES = ("finished", "running", "failed")
_LINES = 10  # of a failed job's log, at most


class JobStatus(NamedTuple):
    """A job that a run started."""

    rule: str
    wildcards: tuple[str, ...]  # their values
    log: str | None
    state: str  # finished | running (or queued on a cluster) | failed
    why: str | None = None  # Snakemake's message about a failure, such as a cluster's OUT_OF_MEMORY

    @property
    def name(self) -> str:
        return " ".join([self.rule, "/".join(self.wildcards)]).strip()


class WorkflowRun(NamedTuple):
    """The state of a run."""

    planned: dict[str, int]  # jobs by rule
    jobs: dict[str, JobStatus]  # by Snakemake's number
    ended: bool

    @property
    def failed(self) -> list[JobStatus]:
        return [job for job in self.jobs.values() if job.state == "failed"]


def latest(folder: Path) -> WorkflowRun | None:
    """The last run in `folder` whose log lists jobs (the log of a quiet run does not); None if there is none."""
    runs = map(load, sorted((folder / LOGS).glob("*.snakemake.log"), reverse=True))
    return next((run for run in runs if run.planned), None)


def load(log: str | Path) -> WorkflowRun:
    """The run that a log file describes."""
    return read(Path(log).read_text(encoding="utf-8", errors="replace"))


def read(text: str) -> WorkflowRun:
    """The run that the text of a log describes."""
    text = _COPY.sub("", text)
    jobs: dict[str, JobStatus] = {}
    for line, fields in _blocks(text):
        number = fields.get("jobid", "")
        if (found := _RULE.match(line)) and number:
            values = (pair.partition("=")[2] for pair in fields.get("wildcards", "").split(", "))
            log = fields.get("log", "").split(", ")[0] or None
            jobs[number] = JobStatus(found[1], tuple(filter(None, values)), log, "running")
        elif _ERROR.match(line) and number in jobs:
            why = fields.get("message", "None")
            jobs[number] = jobs[number]._replace(state="failed", why=None if why == "None" else why)
        elif (found := _FINISHED.match(line)) and found[1] in jobs:
            jobs[found[1]] = jobs[found[1]]._replace(state="finished", why=None)
    table = text.partition("\nJob stats:\n")[2].partition("\n\n")[0]
    planned = {rule: int(n) for rule, n in _COUNT.findall(table) if rule != "total"}
    return WorkflowRun(planned, jobs, _END in text)


def _blocks(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Snakemake's messages: (first line, the fields indented below it)."""
    head, fields = "", {}
    for line in text.splitlines():
        if field := _FIELD.match(line):
            fields.setdefault(*field.groups())
        elif not (_ERROR.match(head) and "jobid" not in fields and line.startswith("    ")):  # continues a message
            yield head, fields
            head, fields = line, {}
    yield head, fields


def status(run: WorkflowRun, folder: Path) -> str:
    """A report: jobs by rule and state, running jobs with the last line of their logs, and failures."""
    states = Counter((job.rule, job.state) for job in run.jobs.values())
    done = sum(job.state == "finished" for job in run.jobs.values())
    lines = [f"{'ended' if run.ended else 'not ended'}, {done} of {sum(run.planned.values())} jobs done", ""]
    lines.append(f"{'rule':<14}{'jobs':>6}{'finished':>10}{'running':>10}{'failed':>10}")
    for rule, n in run.planned.items():
        lines.append(f"{rule:<14}{n:>6}" + "".join(f"{states[rule, state] or '':>10}" for state in _STATES))
    running = [] if run.ended else [job for job in run.jobs.values() if job.state == "running"]
    for job in running:
        lines += ["", f"running: {job.name}", *_tail(folder, job, 1)]
    return "\n".join([*lines, "", failures(run, folder)]).rstrip()


def failures(run: WorkflowRun, folder: Path) -> str:
    """A report on failed jobs: rule, wildcards, log with its last lines, and advice; "" if none failed."""
    if not run.failed:
        return ""
    lines = [f"{len(run.failed)} of {sum(run.planned.values())} jobs failed:"]
    for job in run.failed:
        lines.append(f"  {job.name}" + (f" (log: {job.log})" if job.log else ""))
        lines += [f"    {job.why}"] if job.why else []
        lines += _tail(folder, job, _LINES)
    return "\n".join([*lines, "Finished results are kept: fix the causes, and run the same command again."])


def _tail(folder: Path, job: JobStatus, n: int) -> list[str]:
    """The last n lines of a job's log, indented; for a failed job only its error line, if the log has one."""
    try:
        text = (folder / job.log).read_text(encoding="utf-8", errors="replace") if job.log else ""
    except OSError:
        return []
    lines = [f"    {line.rstrip()}" for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("    error: ")]
    return errors[-1:] if errors and job.state == "failed" else lines[-n:]
