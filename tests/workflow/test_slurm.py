"""A study on a real SLURM cluster of two nodes has the tables of a local run, whatever is killed in between.

tests/slurm/cluster.sh makes the cluster; the profile is profiles/slurm, adapted to a cluster without a database.
"""

import os
import re
import shutil
import signal
import stat
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from standin.host import StandIn
from study import ROOT, Study

CLUSTER = ROOT / "tests/slurm/cluster.sh"
RECOVER = ROOT / "profiles/slurm/recover.sh"
ASKING = {"precision", "tune", "chains", "answer"}
REWRITING = {"paraphrase", "mistake", "regenerate"}
# The targets on the cluster: all stages that ask a model, and one or two files of each other rule.
TARGETS = (
    "results/estimates.parquet",
    "results/tables/t1_accuracy.csv",
    "results/tables/claims.csv",
    "results/figures/match_arithmetic.svg",
    "results/report/items/arithmetic",
)
# Seconds after which a test stops waiting; no test asserts a duration.
PATIENCE = 300


class Cluster:
    """The SLURM cluster in `folder`, used through its own commands."""

    def __init__(self, folder: Path):
        self.folder = folder

    def do(self, action: str, *arguments: str) -> subprocess.CompletedProcess:
        pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
        return subprocess.run([CLUSTER, action, self.folder, *arguments], timeout=PATIENCE, **pipes)

    def jobs(self, **wanted: str) -> list[dict[str, str]]:
        """The jobs that Snakemake submitted, with their properties by the names of scontrol."""
        said = subprocess.run(["scontrol", "show", "job", "-o"], capture_output=True, text=True, check=True).stdout
        jobs = [dict(re.findall(r"(\S+?)=(.*?)(?= +\S+?=| *$)", line)) for line in said.splitlines()]
        jobs = [job for job in jobs if "Comment" in job and job["JobName"] != "wrap"]
        jobs = [job | {"rule": job["Comment"].split("_")[1]} for job in jobs]
        return [job for job in jobs if all(job[name] == value for name, value in wanted.items())]

    def gpus(self, job: dict[str, str]) -> set[str]:
        """The value of CUDA_VISIBLE_DEVICES in the job's tasks."""
        tasks = [line.split() for line in (self.folder / "tasks").read_text().splitlines()]
        return {devices for number, devices in tasks if number == job["JobId"]}

    def sleeper(self, place: Path | str, *arguments: str) -> str:
        """Submit a job that only sleeps; returns its number."""
        submit = [
            "sbatch",
            "--parsable",
            "--partition=cpu",
            "--output=/dev/null",
            f"--chdir={place}",
            "--wrap=sleep 600",
        ]
        return subprocess.run([*submit, *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()

    def lose(self, node: str) -> None:
        """Kill a node's daemon, and mark the node as down instead of waiting half a minute."""
        os.kill(int((self.folder / f"run/slurmd-{node}.pid").read_text()), signal.SIGKILL)
        subprocess.run(["scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=killed"], check=True)


def wait(until: Callable[[], list]) -> list:
    """Call `until` repeatedly until it returns something true, and return that."""
    ends = time.monotonic() + PATIENCE
    while not (found := until()):
        assert time.monotonic() < ends
        time.sleep(0.2)
    return found


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    missing = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"no SLURM can be started: there is no {', '.join(missing)}")
    if os.geteuid() != 0:
        pytest.skip("no SLURM can be started: only root can")
    if Path("/etc/slurm/slurm.conf").exists():
        pytest.skip("no SLURM is started: /etc/slurm/slurm.conf is another cluster's")
    try:
        os.mknod(tmp_path_factory.mktemp("device") / "gpu", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("no SLURM is started: mknod is refused here, so it can have no pretend GPU")
    cluster = Cluster(tmp_path_factory.mktemp("cluster") / "slurm")
    try:
        started = cluster.do("start")
        assert started.returncode == 0, started.stderr
        yield cluster
    finally:
        cluster.do("stop")


@pytest.fixture(scope="module")
def profile(tmp_path_factory) -> str:
    """profiles/slurm for this cluster; estimates request too little memory at the first attempt."""
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    profile["set-resources"]["estimates"] = {"mem_mb": "100 * attempt ** 6"}
    profile |= {"slurm-status-command": "squeue", "slurm-init-seconds-before-status-checks": 5}
    folder = tmp_path_factory.mktemp("profile")
    (folder / "config.yaml").write_text(yaml.safe_dump(profile))
    return str(folder)


def small(folder: Path, tiny_model: Path) -> Study:
    """A study with one evaluation set and two tests that uses GPUs if there are any."""
    study = Study(folder, tiny_model)
    study.config["data_sets"].pop("colours")
    study.config |= {"eval_sets": ["arithmetic"], "tests": ["early_termination", "filler"]}
    study.config["compute"]["device"] = "auto"
    return study


def is_past_tuning(job: dict[str, str]) -> bool:
    return job["rule"] == "estimates" or (job["rule"] in ("chains", "answer") and "qlora" in job["Comment"])


def recover(study: Study) -> subprocess.CompletedProcess:
    """Run recover.sh from a folder other than the study's."""
    configuration = study.folder / "config.yaml"
    command = [RECOVER, "--snakefile", ROOT / "Snakefile", "--directory", study.folder, "--configfile", configuration]
    return subprocess.run(command, cwd=study.folder.parent, capture_output=True, text=True, timeout=PATIENCE)


def finished_jobs(printed: str) -> Counter:
    """Rule -> number of jobs that a run finished, read from its output."""
    return Counter(re.findall(r"Finished jobid: \d+ \(Rule: (\w+)\)", printed))


@pytest.fixture(scope="module")
def local(finished, tmp_path_factory) -> Study:
    """The results of the finished study, run here, with the same targets as `small`."""
    study = finished.copied(tmp_path_factory.mktemp("local"))
    study.config = small(tmp_path_factory.mktemp("empty"), Path(study.config["models"]["tiny"]["source"])).config
    study.run("--", *TARGETS)
    return study


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory, tiny_model, cluster, profile) -> Study:
    """A study on the cluster: a job is cancelled, a node fails and returns, then Snakemake itself is killed."""
    study = small(tmp_path_factory.mktemp("disturbed"), tiny_model)
    log = study.folder / "first.log"
    with log.open("w") as output:
        study.needed = Counter(study.planned(*TARGETS))
        master = study.start("--profile", profile, "--", *TARGETS, output=output)
    try:
        [tuning] = wait(lambda: [job for job in cluster.jobs(rule="tune", JobState="RUNNING") if cluster.gpus(job)])
        [chains] = wait(lambda: [job for job in cluster.jobs(rule="chains", JobState="RUNNING") if cluster.gpus(job)])
        study.side_by_side = [cluster.gpus(tuning), cluster.gpus(chains)]
        subprocess.run(["scancel", tuning["JobId"]], check=True)
        wait(lambda: cluster.jobs(rule="answer", JobState="RUNNING"))  # a job of base: no other job can be that far
        while not [job for job in cluster.jobs() if job["Restarts"] != "0"]:  # the job may have ended just now
            wait(lambda: [job for job in cluster.jobs(JobState="RUNNING") if cluster.gpus(job)])
            cluster.lose("gpu1")
            assert cluster.do("node", "gpu1").returncode == 0
        wait(lambda: [job for job in cluster.jobs(JobState="COMPLETED") if job["Restarts"] != "0"])
        wait(lambda: [job for job in cluster.jobs(JobState="RUNNING") if is_past_tuning(job)])
    finally:
        os.killpg(master.pid, signal.SIGKILL)
        master.wait()
    comment = "--comment=rule_chains_wildcards_tiny"
    study.orphan = cluster.sleeper(study.folder, comment)  # Snakemake's own jobs may have ended by now
    study.strangers = [cluster.sleeper(study.folder), cluster.sleeper(profile, comment)]
    study.recovered = recover(study)
    study.left = subprocess.run(["squeue", "--noheader", "--format=%i"], capture_output=True, text=True).stdout.split()
    subprocess.run(["scancel", *study.strangers], check=True)
    last = study.snakemake("--profile", profile, "--", *TARGETS)
    assert last.returncode == 0, last.stdout
    study.printed = [log.read_text(), last.stdout]
    return study


def test_the_tables_are_those_of_a_local_run(disturbed, local):
    made = [path.relative_to(disturbed.folder) for path in (disturbed.folder / "results").rglob("*.*")]
    compared = [path for path in made if path.suffix in (".csv", ".md", ".tex", ".svg", ".parquet", ".js")]
    compared = [path for path in compared if "store" not in path.parts and path.name[0] != "."]
    assert {path.parts[1] for path in compared} >= {"chains", "answers", "estimates.parquet", "tables", "figures"}
    for path in compared:
        assert (disturbed.folder / path).read_bytes() == (local.folder / path).read_bytes(), path


def test_nothing_that_had_finished_ran_again(disturbed):
    done = [finished_jobs(printed) for printed in disturbed.printed]
    assert done[0].keys() >= {"model", "questions", "chains", "tune"}
    # Fewer if a job ended after Snakemake was killed: its files exist and are known to be complete.
    assert done[0] + done[1] <= disturbed.needed
    assert disturbed.planned(*TARGETS) == {}


def test_only_long_jobs_are_submitted(disturbed, cluster):
    assert {job["rule"] for job in cluster.jobs()} == {*ASKING, "estimates"}


def test_gpus_are_for_jobs_that_ask_a_model_and_each_has_its_own(disturbed, cluster):
    for job in cluster.jobs():
        asks = job["rule"] in ASKING
        assert bool(re.search(r"gres[:/]gpu[:=]1", job.get("TresPerJob", ""))) == asks
        assert job["Partition"] == ("gpu" if asks else "cpu")
        assert cluster.gpus(job) <= ({"0", "1"} if asks else {"none"})
    assert sorted(map(sorted, disturbed.side_by_side)) == [["0"], ["1"]]


def test_a_cancelled_job_is_tried_again_with_more_of_all(disturbed, cluster):
    first, second = cluster.jobs(rule="tune")[:2]
    assert first["JobState"] == "CANCELLED"
    assert "mem=48000M" in first["TRES"] and "mem=96000M" in second["TRES"]
    assert (first["TimeLimit"], second["TimeLimit"]) == ("12:00:00", "1-00:00:00")


def test_a_job_killed_for_its_memory_is_tried_again_with_more(disturbed, cluster):
    first, *_, last = cluster.jobs(rule="estimates")
    assert (first["JobState"], last["JobState"]) == ("FAILED", "COMPLETED")
    assert "mem=100M" in first["TRES"] and "mem=6400M" in last["TRES"]
    assert "exceeded memory limit" in Path(first["StdErr"]).read_text()


def test_jobs_of_a_lost_node_are_queued_again(disturbed, cluster):
    assert any(job["Restarts"] != "0" for job in cluster.jobs(JobState="COMPLETED"))


def test_recover_cancels_the_jobs_of_this_study_and_no_others(disturbed):
    assert disturbed.recovered.returncode == 0, disturbed.recovered.stderr
    assert disturbed.orphan in disturbed.recovered.stdout.split()
    assert sorted(disturbed.left) == sorted(disturbed.strangers)


def test_recover_where_nothing_runs_cancels_nothing(disturbed):
    done = recover(disturbed)
    assert done.returncode == 0, done.stderr
    assert "cancelled" not in done.stdout
    assert disturbed.planned(*TARGETS) == {}


HOST = {"api": {"base_url": "http://host/v1", "model": "m"}}


@pytest.mark.parametrize(
    ("device", "more", "expected"),
    [
        ("auto", {}, {("tiny", "1")}),
        ("cpu", {}, {("tiny", "0")}),
        ("auto", {"oracle": {"oracle": {"base": {}}}, "far": HOST}, {("tiny", "1"), ("oracle", "0"), ("far", "0")}),
    ],
)
def test_a_job_asks_for_a_gpu_where_it_loads_weights(tmp_path, device, more, expected):
    study = small(tmp_path, tmp_path)
    study.config["compute"]["device"] = device
    study.config["models"] |= more
    study.config["prompts"] = study.config["prompts"].replace("one_shot", "zero_shot")
    jobs = re.findall(r"^rule (tune|chains|answer):\n((?:    .*\n)+)", study.snakemake("-n").stdout, re.MULTILINE)
    assert {rule for rule, _ in jobs} == ASKING - {"precision"}
    asked = {(re.search(r"model=(\w+)", said)[1], re.search(r"gpu=(\d)", said)[1]) for _, said in jobs}
    assert asked == expected


def test_the_profile_sends_jobs_that_ask_a_model_to_the_gpus(tmp_path):
    study = small(tmp_path, tmp_path)
    study.config["tests"] = ["paraphrase", "mistake"]
    study.config["prompts"] = study.config["prompts"].replace("one_shot", "zero_shot")
    planned = study.snakemake("-n", "--profile", str(RECOVER.parent)).stdout
    jobs = re.findall(r"^rule (\w+):\n(?:    .*\n)*?    resources: (.*)\n", planned, re.MULTILINE)
    where = {rule: (re.search(r"slurm_partition=(\w+)", said)[1], "gpu=1" in said) for rule, said in jobs}
    assert {rule for rule, at in where.items() if at == ("gpu", True)} == ASKING | REWRITING
    assert {at for rule, at in where.items() if rule not in ASKING | REWRITING} == {("cpu", False)}


@pytest.mark.slow
def test_what_asks_a_host_is_not_submitted(tmp_path, cluster, profile):
    with StandIn(models={"m": {}}, key=None) as host:
        study = small(tmp_path, tmp_path)
        study.config |= {
            "models": {"hosted": {"api": {"base_url": host.url, "model": "m", "timeout": 30}}},
            "tunings": {},
            "prompts": study.config["prompts"].replace("one_shot", "zero_shot"),
        }
        done = study.snakemake("--profile", profile, "--", "results/spend.parquet")
    assert done.returncode == 0, done.stdout
    assert finished_jobs(done.stdout)["answer"] == 1
    assert cluster.jobs(WorkDir=str(tmp_path)) == []
