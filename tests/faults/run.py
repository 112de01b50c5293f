"""Plants faults in the library, one at a time, and says which tests go red.

    python tests/faults/run.py [NAME ...] [--workers N]

faults.yaml holds the faults. Each is a plausible mistake: a text of the library and what stands in its place. A fault
is found by its text, so it follows the code from file to file. The command copies the working tree and checks that the
quick tests are green in the copy. Then it applies each fault in the copy and runs quick tests until three are red:
those of the changed module's own test module, else of those that name it, else all. Where all stay green it runs the
whole test modules that the fault names under `slow`. It prints the rows of the table in tests/README.md, and fails
where no test notices a fault.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
CODE = "workflow/scripts"
# Red with whatever changes: one misses the fault's text, one knows the hash of the engine's code.
ALWAYS_RED = ("test_faults", "test_engine")
QUICK = ("-m", "not slow", *(f"--ignore-glob=*/{name}.py" for name in ALWAYS_RED))
HEADER = "| fault | what goes wrong | red tests, the first three | first red after |\n|---|---|---|---|"
_RED = re.compile(r"\[gw\d+\].*? (?:FAILED|ERROR) (?P<file>[^:\s]+)::(?P<test>[^\[\s]+)")


@dataclass(frozen=True)
class Fault:
    """A mistake: `find` stands once in CODE, `replace` stands in its place."""

    name: str
    what: str  # what goes wrong, in words
    find: str
    replace: str
    slow: Sequence[str] = ()  # test modules that are run whole where the quick tests stay green


@dataclass(frozen=True)
class Noticed:
    """The tests that went red, the first first, and when the first did."""

    tests: list[str]
    seconds: float | None
    quick: bool = True


def faults() -> list[Fault]:
    """All planted faults."""
    return [Fault(**fault) for fault in yaml.safe_load((ROOT / "tests/faults/faults.yaml").read_text(encoding="utf-8"))]


def locate(fault: Fault, root: Path = ROOT) -> Path:
    """The file that holds the fault's text; LookupError, in one line, unless the text stands exactly once."""
    counts = {path: path.read_text(encoding="utf-8").count(fault.find) for path in (root / CODE).rglob("*.py")}
    if sum(counts.values()) != 1:
        raise LookupError(f"fault {fault.name}: its text stands {sum(counts.values())} times in {CODE}; expected once")
    return next(path for path, count in counts.items() if count)


def copy_tree(destination: Path) -> None:
    """Copy the files of the working tree that git does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (destination / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, destination / name)


def red_tests(root: Path, arguments: Sequence[str], workers: int) -> Noticed:
    """The tests that are red in a tree, three at most; RuntimeError where pytest does not get to run them."""
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-n", str(workers), "--maxfail", "3"]
    started, found, output = time.monotonic(), {}, []
    # A fault of the same length, planted and taken out within a second, would leave its bytecode.
    how = {"cwd": root, "env": os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}, "text": True}
    with subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **how) as run:
        for line in run.stdout:
            output.append(line)
            if red := _RED.match(line):
                found.setdefault(f"{Path(red['file']).stem}::{red['test']}", time.monotonic() - started)
    if run.returncode not in (0, 5) and not found:  # 5: there is no test
        raise RuntimeError("".join(["pytest could not run the tests:\n", *output[-20:]]))
    return Noticed(list(found), min(found.values(), default=None))


def naming(root: Path, module: Path) -> list[list[str]]:
    """The unit test modules that name a module of the library: its own, then the others."""
    tests = [path for path in (root / "tests/unit").rglob("test_*.py") if path.stem not in ALWAYS_RED]
    found = [path for path in tests if re.search(rf"\b{module.stem}\b", path.read_text(encoding="utf-8"))]
    own = [str(path) for path in found if path.stem == f"test_{module.stem}"]
    return [own, sorted({*map(str, found)} - {*own})]


def noticed(root: Path, fault: Fault, workers: int) -> Noticed:
    """The tests that go red with the fault in a tree, which is as before afterwards."""
    path = locate(fault, root)
    slow = [str(path) for name in fault.slow for path in (root / "tests").rglob(f"{name}.py")]
    before = path.read_text(encoding="utf-8")
    path.write_text(before.replace(fault.find, fault.replace), encoding="utf-8")
    started, found = time.monotonic(), Noticed([], None)
    try:
        for tests, quick in (*((some, True) for some in naming(root, path)), (["tests/unit"], True), (slow, False)):
            if tests and not found.tests:
                begun = time.monotonic() - started
                found = red_tests(root, [*tests, *(QUICK if quick else ())], workers)
                found = Noticed(found.tests, found.seconds and begun + found.seconds, quick)
    finally:
        path.write_text(before, encoding="utf-8")
    return found


def row(fault: Fault, found: Noticed) -> str:
    """A row of the table in tests/README.md."""
    if not found.tests:
        return f"| {fault.name} | {fault.what} | **none** | |"
    after = f"{found.seconds:.0f} s" + ("" if found.quick else ", slow")
    return f"| {fault.name} | {fault.what} | {', '.join(f'`{test}`' for test in found.tests[:3])} | {after} |"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="of faults; all where none is given")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    known = {fault.name: fault for fault in faults()}
    if unknown := set(args.names) - known.keys():
        sys.exit(f"no fault is called {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    missed = []
    with tempfile.TemporaryDirectory() as folder:
        copy_tree(Path(folder))
        if red := red_tests(Path(folder), ["tests/unit", *QUICK], args.workers).tests:
            sys.exit(f"red without a fault: {', '.join(red)}")
        print(HEADER, flush=True)
        for name in args.names or known:
            found = noticed(Path(folder), known[name], args.workers)
            print(row(known[name], found), flush=True)
            missed += [] if found.tests else [name]
    if missed:
        sys.exit(f"noticed by no test: {', '.join(missed)}")


if __name__ == "__main__":
    try:
        main()
    except LookupError as error:
        sys.exit(str(error))
