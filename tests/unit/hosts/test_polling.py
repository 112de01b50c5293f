"""Waiting for a host's files; what else is waited for is tested where it is asked."""

import pytest

from faithtune.hosts import polling
from hosted_tunings import KEY_ENV, connect
from standin.faults import Fault
from standin.host import StandIn


@pytest.fixture
def host(monkeypatch):
    with StandIn() as host:
        monkeypatch.setenv(KEY_ENV, host.key)
        yield host


def waited(host, status):
    """Seconds that a file which stays in a state is waited for, and what is said of it."""
    made, pauses = host.files.add("batch", "x.jsonl", b"{}"), []
    host.files.retrieve = lambda *_: made | {"status": status, "status_details": None}
    said = polling.wait_for_file(connect(host.url), made["id"], lambda ask: ask(), pauses.append)
    return sum(pauses), said and str(said)


@pytest.mark.parametrize("status", ["processed", None, "PROCESSED", "something else", "succeeded"])
def test_files_in_no_known_state_are_not_waited_for(host, status):
    assert waited(host, status) == (0, None)


@pytest.mark.parametrize("status, least", [("uploaded", 120), ("pending", 3600), ("Running", 3600)])
def test_files_that_stay_as_they_are_are_waited_for_for_a_while(host, status, least):
    seconds, said = waited(host, status)
    assert least <= seconds <= least + 60
    assert said is None


@pytest.mark.parametrize("status", ["error", "FAILED"])
def test_files_in_error_are_told(host, status):
    seconds, said = waited(host, status)
    assert seconds == 0
    assert said.endswith("it cannot use file file-1: no reason given")


@pytest.mark.parametrize("status", [400, 403, 404, 405])
def test_hosts_that_do_not_show_their_files_are_not_waited_for(host, status):
    host.script("GET /files/*", Fault("status", status))
    assert polling.wait_for_file(connect(host.url), "file-1", lambda ask: ask(), pytest.fail) is None


@pytest.mark.parametrize(
    "said, done, expected",
    [
        ("COMPLETED", "completed", "completed"),
        ("completed", "succeeded", "succeeded"),
        ("SUCCESS", "succeeded", "succeeded"),
        ("In_Progress", "completed", "in_progress"),
        ("canceled", "completed", "cancelled"),
        ("FAILED_VALIDATION", "succeeded", "failed"),
        ("user_error", "succeeded", "failed"),
        ("paused", "succeeded", "paused"),
        (None, "succeeded", ""),
    ],
)
def test_states_in_the_apis_own_words(said, done, expected):
    assert polling.normalise_status(said, done) == expected
