"""profiles/slurm/recover.sh with pretend commands of SLURM; tests/workflow/test_slurm.py has the real ones."""

import os
import subprocess
from pathlib import Path

import pytest

RECOVER = Path(__file__).parents[2] / "profiles/slurm/recover.sh"


@pytest.fixture
def recover(tmp_path):
    """Run it in a study's folder, given what squeue does; returns what it printed and the commands that it gave."""

    def run(squeue: str, *arguments: str, at: str = "study") -> tuple[subprocess.CompletedProcess, list[str]]:
        said = tmp_path / "said"
        programs = {"squeue": squeue, "scancel": f'echo "scancel $@" >>{said}; touch {tmp_path}/cancelled'}
        programs |= {"snakemake": f'echo "snakemake $@" >>{said}', "sleep": "true"}
        for folder in ("bin", "study", "elsewhere"):
            (tmp_path / folder).mkdir()
        for name, body in programs.items():
            (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
            (tmp_path / "bin" / name).chmod(0o755)
        environment = os.environ | {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
        command = ["bash", RECOVER, *arguments]
        done = subprocess.run(command, cwd=tmp_path / at, env=environment, capture_output=True, text=True, timeout=120)
        return done, said.read_text().splitlines() if said.exists() else []

    return run


@pytest.mark.parametrize(
    "how", ["here", "--directory ../study", "--dir=../study", "-d ../study", "-d=../study", "-d../study"]
)
def test_jobs_of_snakemake_in_this_folder_are_cancelled_and_no_others(recover, tmp_path, how):
    queue = [
        f"7|rule_chains_wildcards_tiny|{tmp_path}/study",
        f"8|rule_estimates|{tmp_path}/study",
        f"9|(null)|{tmp_path}/study",  # the user's own
        f"10|rule_chains_wildcards_tiny|{tmp_path}/study2",
    ]
    squeue = f"test -e {tmp_path}/cancelled || printf '%s\\n' " + " ".join(f"'{job}'" for job in queue)
    arguments, at = ([], "study") if how == "here" else (how.split(), "elsewhere")
    done, commands = recover(squeue, *arguments, at=at)
    assert done.returncode == 0, done.stderr
    assert commands == ["scancel 7 8", " ".join(["snakemake --unlock", *arguments])]


@pytest.mark.parametrize("asked", ["first", "then"])
def test_nothing_is_unlocked_where_squeue_fails(recover, tmp_path, asked):
    once = "" if asked == "first" else f"test -e {tmp_path}/cancelled || exec echo '7|rule_tune|{tmp_path}/study'\n"
    done, commands = recover(f"{once}echo no controller >&2; exit 1")
    assert done.returncode != 0
    assert "no controller" in done.stderr
    assert commands == ([] if asked == "first" else ["scancel 7"])


def test_nothing_is_unlocked_while_a_job_does_not_end(recover, tmp_path):
    done, commands = recover(f"echo '7|rule_tune|{tmp_path}/study'")
    assert done.returncode == 1
    assert "jobs still in the queue after " in done.stderr and " s: 7 (" in done.stderr
    assert commands == ["scancel 7"]
