"""Responses that were paid for: kept through a kill until their rows stand in the row store."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from faithtune.hosts.journal import ResponseJournal

LIBRARY = Path(__file__).parents[3] / "workflow/scripts"
KILLED = """
import os, signal, sys
from pathlib import Path
from faithtune.hosts.journal import ResponseJournal
with ResponseJournal(Path(sys.argv[1])) as journal:
    for i in range(int(sys.argv[2])):
        journal.put(str(i), {"value": i})
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("n", [1, 250])
def test_none_is_lost_by_a_kill(tmp_path, n):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path, str(n)], env=os.environ | {"PYTHONPATH": str(LIBRARY)}
    )
    assert done.returncode == -9
    expected = {str(i): {"value": i} for i in range(n)}
    with ResponseJournal(tmp_path) as journal:
        assert journal.responses == expected
        journal.forget(["0"])
    with ResponseJournal(tmp_path) as journal:  # of those that are in no row yet none is lost by an end either
        assert expected.items() >= journal.responses.items() and len(journal.responses) >= n - 1
        journal.forget(expected)
    assert list(tmp_path.iterdir()) == []


def test_what_stands_in_the_row_store_is_forgotten(tmp_path):
    with ResponseJournal(tmp_path) as journal:
        journal.put("a", {"value": 1})
        journal.put("b", {"value": 2})
        journal.forget(["a"])
        [file] = tmp_path.iterdir()
        assert file.read_text() == '["b", {"value": 2}]\n' and journal.get("a") is None
        journal.forget(["a", "b", "x"])
        assert list(tmp_path.iterdir()) == []
        journal.put("c", {"value": 3})
    with ResponseJournal(tmp_path) as journal:
        assert journal.responses == {"c": {"value": 3}}


def test_a_line_cut_short_is_no_response(tmp_path, capsys):
    (tmp_path / "left.jsonl").write_text('["a", {"value": 1}]\n["b", {"val')
    with ResponseJournal(tmp_path) as journal:
        assert journal.responses == {"a": {"value": 1}}
    assert "left.jsonl: line 2 is ignored" in capsys.readouterr().err


def test_those_of_a_job_at_work_are_its_own(tmp_path):
    with ResponseJournal(tmp_path) as first:
        first.put("a", {"value": 1})
        with ResponseJournal(tmp_path) as second:
            assert second.get("a") is None
        first.put("b", {"value": 2})
        assert first.responses.keys() == {"a", "b"}


def test_nothing_paid_leaves_nothing(tmp_path):
    with ResponseJournal(tmp_path / "none"):
        pass
    assert not (tmp_path / "none").exists()
