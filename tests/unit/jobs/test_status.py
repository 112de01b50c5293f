"""The state of a run, read from Snakemake's log as it grows."""

import pytest

from faithtune.jobs import status

HEAD = """Assuming unrestricted shared filesystem usage.

SNAKEMAKE
=========
  Date: 2026-11-23 04:50:03
  Host: here
  Command: /venv/bin/snakemake --cores 2
  Config MD5: 54aa

Building DAG of jobs...
Provided cores: 2
Job stats:
job        count
-------  -------
model          1
answer         2
default        1
total          4

Select jobs to execute...
"""
MODEL = """[Mon Nov 23 04:50:05 2026]
localrule model:
    output: results/models/tiny/weights
    log: logs/model/tiny.log
    jobid: 1
    reason: Missing output files: results/models/tiny/weights
    wildcards: model=tiny
    resources: tmpdir=/tmp
"""
ANSWER = """[Mon Nov 23 04:50:09 2026]
rule answer:
    log: logs/answer/tiny/{arm}/sums.log
    jobid: {job}
    wildcards: model=tiny, arm={arm}, eval_set=sums, shard=
    resources: tmpdir=/tmp, gpu=1
"""
FINISHED = "[Mon Nov 23 04:50:08 2026]\nFinished jobid: {job} (Rule: x)\n1 of 4 steps (25%) done\n"
ERROR = """[Mon Nov 23 04:51:00 2026]
Error in rule answer:
    message: None
    jobid: {job}
    log: logs/answer/tiny/{arm}/sums.log (check log file(s) for error details)
Logfile logs/answer/tiny/{arm}/sums.log:
================================================================================
rule answer:
error: no
================================================================================

"""
END = "Complete log(s): /study/.snakemake/log/x.snakemake.log\n"


def growing(*jobs: str) -> status.WorkflowRun:
    return status.read(HEAD + "".join(jobs))


def test_a_run_is_read_as_it_grows():
    run = growing(MODEL)
    assert run.planned == {"model": 1, "answer": 2, "default": 1}
    assert run.jobs == {"1": status.JobStatus("model", ("tiny",), "logs/model/tiny.log", "running")}
    assert run.jobs["1"].name == "model tiny" and not run.ended
    run = growing(MODEL, FINISHED.format(job=1), ANSWER.format(arm="base", job=2))
    assert [job.state for job in run.jobs.values()] == ["finished", "running"]
    assert run.jobs["2"].name == "answer tiny/base/sums"
    run = growing(MODEL, FINISHED.format(job=1), ANSWER.format(arm="base", job=2), ERROR.format(arm="base", job=2), END)
    log = "logs/answer/tiny/base/sums.log"
    assert run.jobs["2"] == status.JobStatus("answer", ("tiny", "base", "sums"), log, "failed")
    assert run.ended and len(run.jobs) == 2


def test_a_retried_job_runs_and_may_finish():
    failed = ANSWER.format(arm="base", job=2) + ERROR.format(arm="base", job=2)
    again = failed + "Trying to restart job 2.\nSelect jobs to execute...\n" + ANSWER.format(arm="base", job=2)
    assert growing(again).jobs["2"].state == "running"
    assert growing(again, FINISHED.format(job=2)).jobs["2"].state == "finished"
    assert growing(again, ERROR.format(arm="base", job=2)).jobs["2"].state == "failed"


@pytest.mark.parametrize("cut", range(0, len(HEAD + MODEL + ANSWER), 7))
def test_a_log_cut_anywhere_is_read(cut, tmp_path):
    run = status.read((HEAD + MODEL + ANSWER.format(arm="base", job=2))[:cut])
    assert status.status(run, tmp_path)


def logged(folder, arm: str, text: str) -> None:
    path = folder / f"logs/answer/tiny/{arm}/sums.log"
    path.parent.mkdir(parents=True)
    path.write_text(text)


def test_the_status_has_running_jobs_and_their_progress(tmp_path):
    logged(tmp_path, "base", "loaded\nanswer:  53% 17/32 [00:18<00:16, 1.07s/question]\n\n")
    run = growing(MODEL, FINISHED.format(job=1), ANSWER.format(arm="base", job=2), ANSWER.format(arm="tuned", job=3))
    report = status.status(run, tmp_path)
    assert report.startswith("not ended, 1 of 4 jobs done\n")
    rows = {line.split()[0]: line.split()[1:] for line in report.splitlines() if line[:1].isalpha()}
    assert rows["model"] == ["1", "1"] and rows["answer"] == ["2", "2"] and rows["default"] == ["1"]
    assert report.endswith(
        "running: answer tiny/base/sums\n    answer:  53% 17/32 [00:18<00:16, 1.07s/question]\n\n"
        "running: answer tiny/tuned/sums"  # has no log yet
    )
    assert "failed:" not in report


def test_nothing_runs_after_the_end(tmp_path):
    report = status.status(growing(MODEL, END), tmp_path)
    assert report.startswith("ended, 0 of 4 jobs done") and "running:" not in report


def test_a_failure_names_rule_arm_log_and_what_to_do(tmp_path):
    logged(tmp_path, "base", "loaded\nerror: config: wrong\nTraceback\n  File\n")
    logged(tmp_path, "tuned", "".join(f"line {i}\n" for i in range(30)))  # killed: no error line
    arms = {2: "base", 3: "tuned", 4: "gone"}
    jobs = [ANSWER.format(arm=arm, job=i) + ERROR.format(arm=arm, job=i) for i, arm in arms.items()]
    run = growing(MODEL, *jobs, END)
    lines = status.failures(run, tmp_path).splitlines()
    assert lines[:4] == [
        "3 of 4 jobs failed:",
        "  answer tiny/base/sums (log: logs/answer/tiny/base/sums.log)",
        "    error: config: wrong",
        "  answer tiny/tuned/sums (log: logs/answer/tiny/tuned/sums.log)",
    ]
    assert lines[4:14] == [f"    line {i}" for i in range(20, 30)]
    assert lines[14].startswith("  answer tiny/gone/sums")
    assert "run the same command again" in lines[15] and len(lines) == 16
    assert "\n".join(lines) in status.status(run, tmp_path)
    assert status.failures(growing(MODEL), tmp_path) == ""


def test_a_clusters_message_about_a_failure_is_printed(tmp_path):
    """The scheduler's message comes before the job's number, and a second path follows the log's."""
    logged(tmp_path, "base", "loaded\n")
    error = ERROR.format(arm="base", job=2).split("Logfile")[0]
    error = error.replace(
        "message: None", "message: SLURM status is: 'OUT_OF_MEMORY'\n    sbatch call:\n        sbatch x"
    )
    error = error.replace(".log (check", ".log, /study/.snakemake/slurm_logs/26.log (check")
    run = growing(ANSWER.format(arm="base", job=2), error)
    assert status.failures(run, tmp_path).splitlines()[1:4] == [
        "  answer tiny/base/sums (log: logs/answer/tiny/base/sums.log)",
        "    SLURM status is: 'OUT_OF_MEMORY'",
        "    loaded",
    ]


def test_a_copied_log_is_not_read_as_snakemakes_own():
    """Nor is the log of a Snakemake that ran the job on a node."""
    rule = "=" * 80
    nested = f"Logfile x.log:\n{rule}\n{HEAD}{MODEL.replace('jobid: 1', 'jobid: 9')}{FINISHED.format(job=2)}"
    failed = ANSWER.format(arm="base", job=2) + ERROR.format(arm="base", job=2)
    for copy in (nested, f"{nested}{rule}\n", f"Logfile x.log: not found\n{ANSWER.format(arm='base', job=3)}"):
        run = growing(failed, copy)
        assert run.jobs["2"].state == "failed" and "9" not in run.jobs
    assert set(run.jobs) == {"2", "3"}
    assert growing(failed, nested, f"{rule}\n", FINISHED.format(job=2)).jobs["2"].state == "finished"


def test_the_last_run_that_had_jobs_counts(tmp_path):
    logs = tmp_path / status.LOGS
    assert status.latest(tmp_path) is None
    logs.mkdir(parents=True)
    (logs / "2026-11-23T045003.570323.snakemake.log").write_text(HEAD + MODEL)
    (logs / "2026-11-23T050000.000000.snakemake.log").write_text("Nothing to be done.\n")
    assert status.latest(tmp_path).jobs.keys() == {"1"}
