"""The planted faults can be planted, and the table of them is that of today. Planting them is tests/faults/run.py."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from faults import run

FAULTS = run.faults()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_stands_once_and_changes_what_runs(fault):
    text = run.locate(fault).read_text(encoding="utf-8")
    assert ast.dump(ast.parse(text)) != ast.dump(ast.parse(text.replace(fault.find, fault.replace)))
    modules = [list((run.ROOT / "tests").rglob(f"{name}.py")) for name in fault.slow]
    assert all(len(found) == 1 for found in modules)


def test_the_table_has_every_fault():
    table = (run.ROOT / "tests/README.md").read_text(encoding="utf-8").rpartition("## Planted faults")[2]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert [row.split(" | ")[:2] for row in rows] == [[f"| {fault.name}", fault.what] for fault in FAULTS]
    assert len(rows) == 48 and "**none**" not in table
    assert sum(", slow |" in row for row in rows) <= 4


@pytest.mark.parametrize("text", ["x = 1", "y = 2"])
def test_a_fault_that_stands_nowhere_or_twice_is_named(tmp_path, text):
    for name, code in {"a": "x = 1\n", "b/c": "x = 1\n"}.items():
        path = tmp_path / run.CODE / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    with pytest.raises(LookupError, match=r"^fault f: its text stands [02] times in workflow/scripts; expected once$"):
        run.locate(run.Fault("f", "what", text, "x = 2"), tmp_path)


@pytest.mark.slow
def test_what_goes_red_is_told_and_the_tree_left_as_it_was(tmp_path):
    tests = {"unit/test_quick.py": "import m\ndef test_is_two(): assert m.two() == 2\ndef test_idle(): pass\n"}
    tests["more/test_slow.py"] = "import m\ndef test_is_three(): assert m.three() == 3\n"
    files = {f"tests/{name}": text for name, text in tests.items()}
    files["workflow/scripts/m.py"] = "def two(): return 2\ndef three(): return 3\n"
    files["pyproject.toml"] = "[tool.pytest.ini_options]\npythonpath = ['workflow/scripts']\nmarkers = ['slow: slow']\n"
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    def noticed(find: str, replace: str, *slow: str) -> run.Noticed:
        return run.noticed(tmp_path, run.Fault("f", "it goes wrong", find, replace, slow), workers=1)

    assert run.red_tests(tmp_path, ["tests/unit", *run.QUICK], workers=1).tests == []
    found = noticed("return 2", "return 4")
    assert (found.tests, found.quick) == (["test_quick::test_is_two"], True) and found.seconds > 0
    assert noticed("return 3", "return 4").tests == []
    found = noticed("return 3", "return 4", "test_slow")
    assert (found.tests, found.quick) == (["test_slow::test_is_three"], False)
    fault = run.Fault("f", "it goes wrong", "", "")
    assert run.row(fault, run.Noticed(["a::b", "c::d"], 2.4)) == "| f | it goes wrong | `a::b`, `c::d` | 2 s |"
    assert run.row(fault, run.Noticed([], None)) == "| f | it goes wrong | **none** | |"
    with pytest.raises(RuntimeError, match="pytest could not run the tests"):
        noticed("def two()", "def two(")
    assert (tmp_path / "workflow/scripts/m.py").read_text() == files["workflow/scripts/m.py"]


def test_the_mutated_modules_and_their_tests_are_there():
    """tests/faults/mutants.py runs with the library in src."""
    mutmut = tomllib.loads((run.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutmut"]
    modules = [run.ROOT / run.CODE / Path(path).relative_to("src") for path in mutmut["only_mutate"]]
    tests = [run.ROOT / path for path in mutmut["pytest_add_cli_args_test_selection"]]
    assert [path for path in [*modules, *tests] if not path.is_file()] == []


def test_an_unknown_name_is_told():
    command = [sys.executable, run.ROOT / "tests/faults/run.py", "nosuch"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and "no fault is called nosuch; there are alpha_floor, " in done.stderr
