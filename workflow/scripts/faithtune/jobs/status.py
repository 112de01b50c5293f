"""What a run has done, does and failed at: Snakemake's own log, and the ends of its jobs' logs.

Snakemake's log is told while it grows, takes no lock, and is there after a crash, too; a run of 10,000 jobs is read in
a blink, where planning anew would take half a minute.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

LOGS = ".snakemake/log"
_RULE = re.compile(r"^(?:local)?(?:rule|checkpoint) (\w+):$")
_ERROR = re.compile(r"^Error in rule (\w+):$")
_MISSING = re.compile(r"^Job (\d+)\s+completed successfully, but some output files are missing")
_FINISHED = re.compile(r"^Finished jobid: (\d+)\b")
_AGAIN = re.compile(r"^Trying to restart job (\d+)\.")
# A failed job's log, as Snakemake copies it (show-failed-logs): it may hold lines like Snakemake's own.
_COPY = re.compile(r"^[ ]*Logfile [^\n]*:\n={10,}\n.*?(?:^={10,}\n|\Z)", re.MULTILINE | re.DOTALL)
_IDLE = "Nothing to be done"
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
    why: str | None = None  # what Snakemake says of a failure: a cluster's OUT_OF_MEMORY, an output that is missing

    @property
    def name(self) -> str:
        return " ".join([self.rule, "/".join(self.wildcards)]).strip()


class Run(NamedTuple):
    """A run, as far as it is."""

    about: dict[str, str]  # Date, Host, Command
    planned: dict[str, int]  # jobs by rule
    jobs: dict[str, Job]  # by Snakemake's number
    ended: bool
    later: bool = False  # whether one came after it whose log tells no jobs (--quiet)


def latest(folder: Path) -> Run | None:
    """The last run in `folder` whose log tells its jobs; None where there is none."""
    later = False
    for log in sorted((folder / LOGS).glob("*.snakemake.log"), reverse=True):
        run = load(log)
        if run.planned:
            return run._replace(later=later)
        later |= bool(run.about) and _IDLE not in log.read_text(encoding="utf-8", errors="replace")
    return None


def load(log: str | Path) -> Run:
    """The run of a log file."""
    return read(Path(log).read_text(encoding="utf-8", errors="replace"))


def read(text: str) -> Run:
    """The run that a log of Snakemake tells of."""
    about: dict[str, str] = {}
    planned: dict[str, int] = {}
    jobs: dict[str, Job] = {}
    counting = False
    for line, fields in _blocks(text):
        if (found := _RULE.match(line)) and "jobid" in fields:
            values = (pair.partition("=")[2] for pair in fields.get("wildcards", "").split(", "))
            log = fields.get("log", "").split(", ")[0] or None
            jobs[fields["jobid"]] = Job(found[1], tuple(filter(None, values)), log, "running")
        elif _ERROR.match(line) and fields.get("jobid") in jobs:
            why = fields.get("message", "None")
            _change(jobs, fields["jobid"], "failed", None if why == "None" else why)
        elif found := _MISSING.match(line):
            _change(jobs, found[1], "failed", line.partition("successfully, but ")[2])
        elif found := _FINISHED.match(line):
            _change(jobs, found[1], "finished")
        elif found := _AGAIN.match(line):
            _change(jobs, found[1], "running")
        elif line == "Job stats:":
            counting = True
        elif counting and (found := _COUNT.match(line)):
            counting = found[1] != "total"
            planned |= {found[1]: int(found[2])} if counting else {}
        elif found := _HEADER.match(line):
            about.setdefault(*found.groups())
    return Run(about, planned, jobs, f"\n{_END}" in text)


def _change(jobs: dict[str, Job], number: str, state: str, why: str | None = None) -> None:
    if number in jobs:
        jobs[number] = jobs[number]._replace(state=state, why=why)


def _blocks(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Snakemake's own messages: a line, and the fields indented under it."""
    head, fields = "", {}
    for line in _COPY.sub("", text).splitlines():
        if field := _FIELD.match(line):
            fields.setdefault(*field.groups())
        elif _ERROR.match(head) and "jobid" not in fields and line.startswith("    "):
            pass  # a message of several lines
        else:
            yield head, fields
            head, fields = line, {}
    yield head, fields


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
    lines += ["a later run was told to be quiet: its log does not tell its jobs"] if run.later else []
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
        lines += [f"    {job.why}"] if job.why else []
        lines += [f"    {line}" for line in _tail(folder, job, _LINES)]
    return "\n".join([*lines, "What finished is kept: mend what these lines say, and run the same command again."])


def _failed(run: Run) -> list[Job]:
    return [job for job in run.jobs.values() if job.state == "failed"]


def _tail(folder: Path, job: Job, n: int) -> list[str]:
    """The last lines of a job's log; of a failed one the line of its error, where it tells one."""
    try:
        text = (folder / job.log).read_text(encoding="utf-8", errors="replace") if job.log else ""
    except OSError:
        return []
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    told = max((i for i, line in enumerate(lines) if line.startswith("error: ")), default=None)
    return lines[-n:] if told is None or job.state != "failed" else lines[told : told + 1]
