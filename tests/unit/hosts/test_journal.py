"""Responses that were paid for: kept through a kill until their rows stand in the row store."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from faithtune.hosts.journal import Arrived

LIBRARY = Path(__file__).parents[3] / "workflow/scripts"
KILLED = """
import os, signal, sys
from pathlib import Path
from faithtune.hosts.journal import Arrived
with Arrived(Path(sys.argv[1])) as arrived:
    for i in range(int(sys.argv[2])):
        arrived.put(str(i), {"value": i})
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("n", [1, 250])
def test_none_is_lost_by_a_kill(tmp_path, n):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path, str(n)], env=os.environ | {"PYTHONPATH": str(LIBRARY)}
    )
    assert done.returncode == -9
    expected = {str(i): {"value": i} for i in range(n)}
    with Arrived(tmp_path) as arrived:
        assert arrived.responses == expected
        arrived.forget(["0"])
    with Arrived(tmp_path) as arrived:  # of those that are in no row yet none is lost by an end either
        assert expected.items() >= arrived.responses.items() and len(arrived.responses) >= n - 1
        arrived.forget(expected)
    assert list(tmp_path.iterdir()) == []


def test_what_stands_in_the_row_store_is_forgotten(tmp_path):
    with Arrived(tmp_path) as arrived:
        arrived.put("a", {"value": 1})
        arrived.put("b", {"value": 2})
        arrived.forget(["a"])
        [file] = tmp_path.iterdir()
        assert file.read_text() == '["b", {"value": 2}]\n' and arrived.get("a") is None
        arrived.forget(["a", "b", "x"])
        assert list(tmp_path.iterdir()) == []
        arrived.put("c", {"value": 3})
    with Arrived(tmp_path) as arrived:
        assert arrived.responses == {"c": {"value": 3}}


def test_a_line_cut_short_is_no_response(tmp_path, capsys):
    (tmp_path / "left.jsonl").write_text('["a", {"value": 1}]\n["b", {"val')
    with Arrived(tmp_path) as arrived:
        assert arrived.responses == {"a": {"value": 1}}
    assert "left.jsonl: line 2 is left out" in capsys.readouterr().err


def test_those_of_a_job_at_work_are_its_own(tmp_path):
    with Arrived(tmp_path) as first:
        first.put("a", {"value": 1})
        with Arrived(tmp_path) as second:
            assert second.get("a") is None
        first.put("b", {"value": 2})
        assert first.responses.keys() == {"a", "b"}


def test_nothing_paid_leaves_nothing(tmp_path):
    with Arrived(tmp_path / "none"):
        pass
    assert not (tmp_path / "none").exists()
