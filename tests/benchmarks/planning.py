"""How long Snakemake takes to plan a study (`snakemake -n`), and what it takes to plan as many jobs that do nothing.

    python tests/benchmarks/planning.py [STUDY ...] [--profile] [--json FILE]

The studies are made up: models of a hub that nobody asks, generated questions, every arm on every set. With
`--profile` each is planned once more under cProfile, for the shares of the time in which Snakemake reads the
workflow, builds its DAG and goes through the dry run, and of that which passes in the workflow's own functions.
"""

import argparse
import json
import os
import pstats
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Models, tunings of each on one set, evaluation sets, seeds, checkpoints of each training.
STUDIES = {
    "small": (1, 2, 4, 1, 0),
    "paper": (1, 6, 4, 3, 0),
    "many": (5, 6, 10, 3, 0),
    "large": (20, 6, 10, 3, 0),
    "checkpoints": (2, 6, 10, 3, 6),
}
# Where the time goes: the calls that hold it.
STAGES = {
    "reading the workflow": ("workflow.py", "include"),
    "building the DAG": ("workflow.py", "_build_dag"),
    "going through the dry run": ("job_scheduler.py", "schedule"),
    "input functions and params of the workflow": ("rules.py", "apply_input_function"),
}
# A chain of three rules for each item: the least that jobs can be.
TRIVIAL = """
rule all:
    input: expand("c/{{i}}", i=range({items}))
rule a:
    output: "a/{{i}}"
    shell: "touch {{output}}"
rule b:
    input: "a/{{i}}"
    output: "b/{{i}}"
    shell: "touch {{output}}"
rule c:
    input: "b/{{i}}"
    output: "c/{{i}}"
    shell: "touch {{output}}"
"""
PROFILED = """
import cProfile, sys
from snakemake.cli import main
profile = cProfile.Profile()
try:
    profile.runcall(main)
except SystemExit:
    profile.dump_stats("profile")
    raise
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studies", nargs="*", metavar="STUDY", help=f"of {', '.join(STUDIES)}; all where none is named")
    parser.add_argument("--profile", action="store_true", help="say where the time goes, too")
    parser.add_argument("--json", type=Path, help="file for the result")
    args = parser.parse_args()
    if unknown := set(args.studies) - STUDIES.keys():
        parser.error(f"there is no study {', '.join(sorted(unknown))}; expected some of {', '.join(STUDIES)}")
    found = {}
    for name in args.studies or STUDIES:
        with tempfile.TemporaryDirectory() as folder:
            found[name] = measured(Path(folder), STUDIES[name], args.profile)
        print(json.dumps({name: found[name]}, indent=1))
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


def study(models: int, tunings: int, sets: int, seeds: int, checkpoints: int) -> dict:
    """A configuration of so many of each."""
    names = [f"s{i}" for i in range(sets)]
    saved = {"checkpoints": {"log": checkpoints}} if checkpoints else {}
    return {
        "prompts": str(ROOT / "resources/prompts/zero_shot"),
        "models": {f"m{i}": {"source": f"hub:made/up@{i:040x}"} for i in range(models)},
        "data_sets": {
            name: {"reader": "arithmetic", "seed": i, "train": {"n": 50}, "eval": {"n": 20}}
            for i, name in enumerate(names)
        },
        "eval_sets": names,
        "tunings": {
            f"t{i}": {"train_sets": [names[i % sets]], "rank": i + 1, "seeds": list(range(seeds)), **saved}
            for i in range(tunings)
        },
    }


def measured(folder: Path, sizes: tuple[int, int, int, int, int], profile: bool) -> dict:
    """Jobs, seconds and memory of planning a study and of planning as many jobs that do nothing."""
    (folder / "config.yaml").write_text(json.dumps(study(*sizes)))
    ours = ["--snakefile", str(ROOT / "Snakefile"), "--workflow-profile", str(ROOT / "profiles/default")]
    ours += ["--configfile", "config.yaml"]
    jobs = counted(folder, ours)
    (folder / "trivial").mkdir()
    (folder / "trivial/Snakefile").write_text(TRIVIAL.format(items=jobs // 3))
    own, trivial = planned(folder, ours), planned(folder / "trivial", [])
    result = {"jobs": jobs, **own, "trivial": trivial, "ratio": round(own["seconds"] / trivial["seconds"], 2)}
    return result | ({"shares": shares(folder, ours)} if profile else {})


def counted(folder: Path, arguments: list[str]) -> int:
    """How many jobs there are to run."""
    printed = run(folder, ["-m", "snakemake", "-n", "--quiet", "rules", *arguments])
    return int(re.search(r"^total +(\d+)$", printed, re.MULTILINE)[1])


def run(folder: Path, arguments: list[str]) -> str:
    """What Python prints; where it fails, the end of that and of this script."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run([sys.executable, *arguments], cwd=folder, text=True, **pipes)
    if done.returncode:
        raise SystemExit(f"{done.stdout}\n{' '.join(arguments)}: failed")
    return done.stdout


def planned(folder: Path, arguments: list[str]) -> dict[str, float]:
    """Seconds by the clock and of the processor, and peak memory (MB), of a dry run."""
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "all", *arguments]
    with tempfile.TemporaryFile("w+") as printed:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=printed, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds, cpu_seconds = time.perf_counter() - start, usage.ru_utime + usage.ru_stime
        printed.seek(0)
        if status:
            raise SystemExit(f"{printed.read()}\n{' '.join(command)}: failed")
    return {"seconds": round(seconds, 1), "cpu_seconds": round(cpu_seconds, 1), "mb": round(usage.ru_maxrss / 1024)}


def shares(folder: Path, arguments: list[str]) -> dict[str, float]:
    """Which share of a dry run passes in each of STAGES; the last is part of the others."""
    run(folder, ["-c", PROFILED, "-n", "--quiet", "all", *arguments])
    stats = pstats.Stats(str(folder / "profile"))
    calls = [((Path(file).name, name), call[3]) for (file, _, name), call in stats.stats.items() if "snakemake" in file]
    seconds = {stage: max(passed for called, passed in calls if called == call) for stage, call in STAGES.items()}
    return {stage: round(passed / stats.total_tt, 2) for stage, passed in seconds.items()}


if __name__ == "__main__":
    main()
