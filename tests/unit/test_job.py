"""What happens around a script: the log, and errors in one line."""

import sys

import pytest

from faithtune import job
from faithtune.errors import UserError


def test_what_is_printed_goes_to_the_log(tmp_path, capsys):
    with job.logged(str(tmp_path / "log")):
        print("out")
        print("err", file=sys.stderr)
    assert (tmp_path / "log").read_text() == "out\nerr\n"
    assert capsys.readouterr() == ("", "")


def test_a_users_mistake_is_one_line_without_traceback(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended, job.logged(str(tmp_path / "log")):
        raise UserError("file x:\n  no such file")
    assert ended.value.code == 1
    assert capsys.readouterr().err == "faithtune: file x: no such file\n"
    assert (tmp_path / "log").read_text() == "error: file x: no such file\n"


def test_a_fault_of_ours_leaves_its_traceback_in_the_log(tmp_path, capsys):
    with pytest.raises(SystemExit), job.logged(str(tmp_path / "log")):
        raise ValueError("one\ntwo")
    assert capsys.readouterr().err == f"faithtune: ValueError: one (see {tmp_path / 'log'})\n"
    assert "Traceback" in (tmp_path / "log").read_text()


def test_json_is_written_whole(tmp_path):
    job.write_json({"a": 1}, tmp_path / "x.json")
    assert job.read_json(tmp_path / "x.json") == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]
    assert job.read_json(None) is None
