"""What a run has done, does and failed at: Snakemake's own log, and the ends of its jobs' logs.

Snakemake's log is told while it grows, takes no lock, and is there after a crash, too; a run of 10,000 jobs is read in
a blink, where planning anew would take half a minute.
"""

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

LOGS = ".snakemake/log"
_RULE = re.compile(r"^(?:local)?(?:rule|checkpoint) (\w+):$")
_ERROR = re.compile(r"^Error in rule (\w+)(?:, jobid: (\d+))?:$")
_FINISHED = re.compile(r"^Finished jobid: (\d+)\b")
_AGAIN = re.compile(r"^Trying to restart job (\d+)\.")
_FIELD = re.compile(r"^    (\w+): (.*)$")
_COUNT = re.compile(r"^(\w+) +(\d+)$")
_HEADER = re.compile(r"^  (Date|Host|Command): (.*)$")
_END = "Complete log(s):"
_STATES = ("finished", "running", "failed")
# Of a failed job's log, at most so many lines are shown.
_LINES = 10


class Job(NamedTuple):
    """A job that a run began."""

    rule: str
    wildcards: tuple[str, ...]  # their values
    log: str | None
    state: str  # finished | running (or waiting in a cluster's queue) | failed

    @property
    def name(self) -> str:
        return " ".join([self.rule, "/".join(self.wildcards)]).strip()


class Run(NamedTuple):
    """A run, as far as it is."""

    about: dict[str, str]  # Date, Host, Command
    planned: dict[str, int]  # jobs by rule
    jobs: dict[str, Job]  # by Snakemake's number
    ended: bool


def latest(folder: Path) -> Run | None:
    """The last run in `folder` that planned any jobs; None where there was none."""
    for log in sorted((folder / LOGS).glob("*.snakemake.log"), reverse=True):
        run = read(log.read_text(encoding="utf-8", errors="replace"))
        if run.planned:
            return run
    return None


def read(text: str) -> Run:
    """The run that a log of Snakemake tells of."""
    about, planned, jobs, block, counting = {}, {}, {}, None, False

    def begin() -> None:
        """Take up the job that `block` tells of: its lines came one by one."""
        nonlocal block
        if block and "jobid" in block:
            values = (pair.partition("=")[2] for pair in block.get("wildcards", "").split(", "))
            job = Job(block["rule"], tuple(filter(None, values)), _path(block.get("log")), block["state"])
            known = jobs.get(block["jobid"], job)
            jobs[block["jobid"]] = known._replace(state=job.state, log=job.log or known.log)
        block = None

    for line in text.splitlines():
        if block is not None and (field := _FIELD.match(line)):
            block.setdefault(*field.groups())
            continue
        begin()
        if found := _RULE.match(line):
            block = {"rule": found[1], "state": "running"}
        elif found := _ERROR.match(line):
            block = {"rule": found[1], "state": "failed"} | ({"jobid": found[2]} if found[2] else {})
        elif found := _FINISHED.match(line) or _AGAIN.match(line):
            state = "finished" if line.startswith("Finished") else "running"
            if found[1] in jobs:
                jobs[found[1]] = jobs[found[1]]._replace(state=state)
        elif line == "Job stats:":
            counting = True
        elif counting and (found := _COUNT.match(line)):
            counting = found[1] != "total"
            if counting:
                planned[found[1]] = int(found[2])
        elif not planned and (found := _HEADER.match(line)):
            about.setdefault(*found.groups())
    begin()
    return Run(about, planned, jobs, f"\n{_END}" in text)


def _path(log: str | None) -> str | None:
    """The log's path, without what Snakemake remarks behind it."""
    return log and log.partition(" (check log file")[0]


def status(run: Run, folder: Path, alive: bool | None) -> str:
    """The run for people: jobs by rule, what runs with the last line of its log, what failed and why.

    alive: whether its Snakemake still runs; None where that cannot be seen from here.
    """
    states = Counter((job.rule, job.state) for job in run.jobs.values())
    done, total = sum(n for (_, state), n in states.items() if state == "finished"), sum(run.planned.values())
    now = "ended" if run.ended else {True: "running", False: "was killed", None: "not ended"}[alive]
    lines = [
        f"{run.about.get('Command', 'snakemake')}",
        f"{run.about.get('Date', '')}: {now}, {done} of {total} jobs done",
    ]
    lines += ["", f"{'rule':<14}{'jobs':>6}{'finished':>10}{'running':>10}{'failed':>10}"]
    over = run.ended or alive is False  # then nothing runs any more
    for rule, n in run.planned.items():
        finished, running, failed = (states[rule, state] for state in _STATES)
        lines.append(f"{rule:<14}{n:>6}{finished or '':>10}{('' if over else running) or '':>10}{failed or '':>10}")
    at_work = [] if over else [job for job in run.jobs.values() if job.state == "running"]
    if at_work:
        lines += ["", "running:"]
        lines += [f"  {job.name}" + "".join(f"\n    {line}" for line in _tail(folder, job, 1)) for job in at_work]
    return "\n".join([*lines, *([""] if _failed(run) else []), failures(run, folder)]).rstrip()


def failures(run: Run, folder: Path) -> str:
    """The failed jobs: rule, arm and set, log and its last lines, and what to do; "" where none has failed."""
    failed = _failed(run)
    if not failed:
        return ""
    lines = [f"{len(failed)} of {sum(run.planned.values())} jobs failed:"]
    for job in failed:
        lines.append(f"  {job.name}" + (f" (log: {job.log})" if job.log else ""))
        lines += [f"    {line}" for line in _tail(folder, job, _LINES)]
    return "\n".join([*lines, "What finished is kept: mend what these lines say, and run the same command again."])


def _failed(run: Run) -> list[Job]:
    return [job for job in run.jobs.values() if job.state == "failed"]


def _tail(folder: Path, job: Job, n: int) -> list[str]:
    """The last lines of a job's log; from its error on, where it tells one in a line of its own."""
    try:
        text = (folder / job.log).read_text(encoding="utf-8", errors="replace") if job.log else ""
    except OSError:
        return []
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    told = max((i for i, line in enumerate(lines) if line.startswith("error: ")), default=None)
    return lines[-n:] if told is None or job.state != "failed" else lines[told : told + 1]
