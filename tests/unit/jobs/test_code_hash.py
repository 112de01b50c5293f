"""The code fingerprint covers statements, not comments, of imported files only."""

import ast

import pytest

from faithtune.jobs import code_hash
from faithtune.jobs.code_hash import code_fingerprint

SCRIPT = '"""A script."""\n\nfrom faithtune import used\n\nprint(used.f())\n'
DEEP = """Y = 1


def g(x):
    if x > 3:
        raise ValueError(f"{x} is too large")
    warn("slow")
    print("done", x)
    return h("kept")
"""


@pytest.fixture
def script(tmp_path):
    package = tmp_path / "faithtune"
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "data/__init__.py").write_text("")
    (package / "data/one.py").write_text("X = 1\n")
    (package / "used.py").write_text('def f():\n    """Doc."""\n    from faithtune import deep\n\n    return deep.Y\n')
    (package / "deep.py").write_text(DEEP)
    (package / "other.py").write_text("Z = 1\n")
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return path


def edited(script, name, old, new):
    path = script.parent / name
    before = code_fingerprint(script, "faithtune.data.one")
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    return code_fingerprint(script, "faithtune.data.one") != before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("script.py", "print", "repr"),
        ("faithtune/used.py", "deep.Y", "deep.Y + 1"),
        ("faithtune/deep.py", "Y = 1", "Y = 2"),
        ("faithtune/deep.py", "ValueError", "TypeError"),
        ("faithtune/deep.py", "x > 3", "x > 4"),
        ("faithtune/deep.py", 'h("kept")', 'h("other")'),
        ("faithtune/deep.py", 'print("done", x)', 'print("done", x + 1)'),
        ("faithtune/data/one.py", "X = 1", "X = 2"),
    ],
)
def test_a_changed_statement_counts(script, name, old, new):
    assert edited(script, name, old, new)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("script.py", '"""A script."""', '"""The script."""'),
        ("script.py", "print(", "print(  # why\n    "),
        ("faithtune/used.py", '"""Doc."""', '"""Other."""'),
        ("faithtune/used.py", '    """Doc."""\n', ""),
        ("faithtune/deep.py", "Y = 1", "Y = 1  # one"),
        ("faithtune/deep.py", "Y = 1", 'Y = 1\n"""How many there are."""'),
        ("faithtune/deep.py", "is too large", "is more than 3"),
        ("faithtune/deep.py", '"slow"', 'f"slow: {Y}"'),
        ("faithtune/deep.py", '"done"', '"at its end"'),
        ("faithtune/other.py", "Z = 1", "Z = 2"),
    ],
)
def test_changes_that_change_no_result_do_not_count(script, name, old, new):
    assert not edited(script, name, old, new)


def test_fields_of_newer_pythons_are_ignored():
    """3.12 gives each function `type_params`, here empty; in 3.11 only `decorator_list` tests this."""
    function = ast.parse("def f(x):\n    return [None, *x]").body[0]
    name = ("Name", ("id", "'x'"), ("ctx", ("Load",)))
    values = (("Constant",), ("Starred", ("value", name), ("ctx", ("Load",))))
    returned = ("Return", ("value", ("List", ("elts", values), ("ctx", ("Load",)))))
    arguments = ("arguments", ("args", (("arg", ("arg", "'x'")),)))
    found = code_hash._plain(function)
    assert found == ("FunctionDef", ("name", "'f'"), ("args", arguments), ("body", (returned,)))
