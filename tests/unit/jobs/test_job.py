"""Around a script: its log, and errors in one line."""

import ast
import errno
import gc
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from faithtune.core import errors, paths
from faithtune.core.errors import UserError
from faithtune.jobs import job

SCRIPTS = paths.WORKFLOW / "scripts"


@pytest.fixture(autouse=True)
def undone(monkeypatch):
    """Undo the changes of a job to its process."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def test_output_goes_to_the_log(tmp_path, capsys):
    with job.logged(str(tmp_path / "log")):
        print("out")
        print("err", file=sys.stderr)
    assert (tmp_path / "log").read_text() == "out\nerr\n"
    assert capsys.readouterr() == ("", "")


def test_a_warning_goes_to_the_terminal_of_a_running_job(tmp_path, capsys):
    with job.logged(str(tmp_path / "log")):
        errors.warn("within")
    errors.warn("after")
    assert (tmp_path / "log").read_text() == "warning: within\n"
    assert capsys.readouterr().err == "faithtune: warning: within\nwarning: after\n"


def test_a_users_mistake_is_one_line_without_traceback(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended, job.logged(str(tmp_path / "log")):
        raise UserError("file x:\n  no such file")
    assert ended.value.code == 1
    assert capsys.readouterr().err == "faithtune: file x: no such file\n"
    assert (tmp_path / "log").read_text() == "error: file x: no such file\n"


def test_a_bug_leaves_its_traceback_in_the_log(tmp_path, capsys):
    with pytest.raises(SystemExit), job.logged(str(tmp_path / "log")):
        raise ValueError("one\ntwo")
    assert capsys.readouterr().err == f"faithtune: ValueError: one (see {tmp_path / 'log'})\n"
    assert "Traceback" in (tmp_path / "log").read_text()


FULL = OSError(errno.ENOSPC, "No space left on device")


def failing(error, cause=None):
    raise error from cause


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (FULL, None),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), None),
        (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"), None),
        (RuntimeError("basic_ios::clear: iostream error"), None),  # torch.save, at the end of its file
        (Exception("Error while serializing: I/O error: No space left on device (os error 28)"), None),
        (sqlite3.OperationalError("database or disk is full"), None),
        (pl.exceptions.ComputeError("parquet: underlying IO error: No space left on device (os error 28)"), None),
        (UserError("file x: not read"), FULL),
    ],
)
def test_a_full_disk_is_one_line(tmp_path, capsys, error, cause):
    with pytest.raises(SystemExit) as ended, job.logged(str(tmp_path / "log")):
        failing(error, cause)
    assert ended.value.code == 1
    printed = capsys.readouterr().err
    assert re.fullmatch(
        r"faithtune: no space left on the disk of /.*; finished results are kept: .* run again\n", printed
    )


def test_a_full_disk_for_temporary_files_is_one_line(tmp_path, capsys, monkeypatch):
    def full():
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr("tempfile.gettempdir", full)
    with pytest.raises(SystemExit), job.logged(str(tmp_path / "log")):
        raise FULL
    assert capsys.readouterr().err.startswith(f"faithtune: no space left on the disk of {Path.cwd()}; ")


class HostError(Exception):
    """An error of a host's client, with the host's message."""


@pytest.mark.parametrize(
    "error",
    [
        HostError("Error code: 500 - No space left on device (os error 28)"),
        UserError("host: 500: database or disk is full"),
        RuntimeError("unexpected pos 3"),
    ],
)
def test_a_hosts_full_disk_is_not_reported_as_ours(tmp_path, capsys, error):
    with pytest.raises(SystemExit), job.logged(str(tmp_path / "log")):
        raise error
    assert "no space left" not in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a file on a disk that is always full")
@pytest.mark.parametrize("body", ["prints", "fails", "is quiet"])
def test_a_full_disk_of_the_log_leaves_no_traceback(body):
    """In a process of its own, because the interpreter also prints errors when it closes files."""
    lines = {"prints": "print('x' * 10000)", "fails": "raise ValueError('x' * 10000)", "is quiet": "pass"}
    script = f"from faithtune.jobs import job\nwith job.logged('/dev/full'):\n    {lines[body]}\n"
    library = str(paths.WORKFLOW / "scripts")
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": library}
    )
    printed = {"prints": "faithtune: no space left on", "fails": "faithtune: ValueError: xxx", "is quiet": ""}[body]
    assert done.stderr.startswith(printed)
    assert done.stderr.count("\n") == (body != "is quiet")
    assert done.returncode == (body != "is quiet")


def test_json_is_written_atomically(tmp_path):
    job.write_json({"a": 1}, tmp_path / "x.json")
    assert job.read_json(tmp_path / "x.json") == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]
    assert job.read_json(None) is None


@pytest.mark.slow
@pytest.mark.parametrize(("hub", "offline"), [("", "True"), (", hub=True", "False")])
def test_only_a_job_that_downloads_may_use_the_hub(tmp_path, hub, offline):
    """In a process of its own, because the libraries read the variable when they are imported."""
    script = f"""from faithtune.jobs import job
with job.logged("log"{hub}):
    import datasets, transformers.utils.hub, huggingface_hub
    print(huggingface_hub.is_offline_mode(), transformers.utils.hub.is_offline_mode(), datasets.config.HF_HUB_OFFLINE)
"""
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, env=environment)
    assert set((tmp_path / "log").read_text().split()) == {offline}


def test_only_rules_that_fetch_use_the_hub():
    with_hub = {
        path.stem
        for path in SCRIPTS.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.keyword) and node.arg == "hub"
    }
    assert with_hub == {"download", "model", "hand_in"}
