"""Runs mutmut on the measures and the answering code: which small changes does no quick test notice?

    python tests/faults/mutants.py [PATTERN ...] [--workers N]

pyproject.toml says which modules are mutated and which tests are asked ([tool.mutmut]). Without a PATTERN, such as
"faithtune.measures*", all mutants are tried, which takes hours. The command prints those that survive or that no test
runs, and keeps the run in build/mutants, where `mutmut show NAME` prints a mutant and `mutmut browse` all of them.

mutmut names a module by its path below `src`, so the run has the library there; what the tests read as
workflow/scripts is a link to the mutated library.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from run import CODE, ROOT, copy_tree

RUN = ROOT / "build/mutants"


def lay_out(run: Path) -> None:
    """Make the folders of a run: src, which mutmut mutates, and mutants, in which the tests run."""
    shutil.rmtree(run, ignore_errors=True)
    copy_tree(run / "mutants")
    shutil.copy(run / "mutants/pyproject.toml", run)
    (run / "mutants" / CODE).rename(run / "src")
    (run / "mutants" / CODE).symlink_to(os.path.relpath("src", Path(CODE).parent))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", help="of mutants' names")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    args = parser.parse_args()
    lay_out(RUN)
    mutmut = [sys.executable, "-m", "mutmut"]
    command = [*mutmut, "run", "--max-children", str(args.workers), *args.patterns]
    with open(RUN / "log", "w") as log:  # it draws its progress
        done = subprocess.run(command, cwd=RUN, stdout=log, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.exit(f"mutmut failed; see {RUN / 'log'}")
    subprocess.run([*mutmut, "results"], cwd=RUN, check=True)


if __name__ == "__main__":
    main()
