"""Calls at once: given out as they arrive, made again where they fail in passing, held back where limits say so."""

import datetime
import email.utils
import threading

import httpx2
import openai
import pytest

from faithtune.core.errors import StopError, UserError
from faithtune.hosts import calls


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self):
        self.now, self.slept = 100.0, []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


def status_error(status, headers=(), code=None):
    """What the client raises for an answer of that status."""
    response = httpx2.Response(status, headers=dict(headers), request=httpx2.Request("POST", "http://host/v1"))
    kind = openai.RateLimitError if status == 429 else openai.InternalServerError if status >= 500 else None
    return (kind or openai.BadRequestError)("no", response=response, body={"code": code} if code else None)


def test_results_come_with_their_index_and_no_more_at_once_than_asked():
    under_way, most, lock = [0], [0], threading.Lock()
    barrier = threading.Barrier(3, timeout=20)

    def double(n):
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        barrier.wait()  # three really are at once
        with lock:
            under_way[0] -= 1
        return 2 * n

    assert dict(calls.made(double, range(30), 3)) == {i: 2 * i for i in range(30)}
    assert most[0] == 3


def test_a_refused_row_leaves_the_others():
    def odd(n):
        if n == 2:
            raise UserError("2 is refused")
        return n

    found = dict(calls.made(odd, range(5), 2))
    assert str(found.pop(2)) == "2 is refused"
    assert found == {0: 0, 1: 1, 3: 3, 4: 4}


@pytest.mark.parametrize("error", [StopError("no more"), RuntimeError("broken")])
def test_an_end_gives_out_what_is_under_way(error):
    others = threading.Event()

    def until_three(n):
        if n == 3:
            others.set()
            raise error
        if n == 4:  # under way as the end comes
            others.wait(20)
        return n

    found = {}
    with pytest.raises(type(error)):
        for i, value in calls.made(until_three, range(100), 2):
            found[i] = value
    assert {0, 1, 2} <= set(found) and len(found) < 50


def test_what_fails_in_passing_is_called_again():
    clock, errors = Clock(), [status_error(500), calls.Garbled("half"), status_error(429, {"retry-after": "700"})]

    def call():
        if errors:
            raise errors.pop(0)
        return "made"

    gate = calls.Gate(clock, clock.sleep)
    assert calls.again(call, gate, clock.sleep) == "made"
    assert clock.slept[-1] == 700  # longer than the client itself would wait
    assert len(clock.slept) == 3 and all(0 <= seconds <= calls.LONGEST_WAIT for seconds in clock.slept[:2])
    assert gate.opens == clock.now  # all others waited too


@pytest.mark.parametrize("error", [status_error(400), status_error(429, code="insufficient_quota"), UserError("no")])
def test_what_does_not_pass_is_called_once(error):
    made = []

    def call():
        made.append(1)
        raise error

    with pytest.raises(type(error)):
        calls.again(call, calls.Gate(), made.append)
    assert made == [1]


def test_a_host_that_stays_down_is_given_up():
    clock, made = Clock(), []

    def call():
        made.append(1)
        raise status_error(503)

    with pytest.raises(openai.InternalServerError):
        calls.again(call, calls.Gate(clock, clock.sleep), clock.sleep)
    assert len(made) == calls.ATTEMPTS


@pytest.mark.parametrize(
    ("headers", "n_tokens", "seconds"),
    [
        ({}, 10, 0),
        ({"limit-requests": "60", "remaining-requests": "1", "reset-requests": "59s"}, 10, 0),
        ({"limit-requests": "60", "remaining-requests": "0", "reset-requests": "1m0s"}, 10, 1),  # one of 60 a minute
        ({"limit-tokens": "1000", "remaining-tokens": "100", "reset-tokens": "54s"}, 400, 18),  # 300 of 900 missing
        ({"limit-tokens": "1000", "remaining-tokens": "100", "reset-tokens": "54s"}, 4000, 0),  # never fits: just try
        ({"limit-requests": "x", "remaining-requests": "0", "reset-requests": "1m"}, 10, 0),
    ],
)
def test_a_used_up_limit_closes_the_gate_until_there_is_room_for_one(headers, n_tokens, seconds):
    clock = Clock()
    gate = calls.Gate(clock, clock.sleep)
    gate.read({f"x-ratelimit-{name}": value for name, value in headers.items()}, n_tokens)
    gate.wait()
    assert sum(clock.slept) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1", 1),
        ("1.5", 1.5),
        ("120ms", 0.12),
        ("6m0s", 360),
        ("1h2m3s", 3723),
        ("soon", None),
        ("3s!", None),
        (None, None),
    ],
)
def test_durations_as_hosts_write_them(text, seconds):
    assert calls.seconds_of(text) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after": "900"}, 900),
        ({"retry-after": "-1"}, 0),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"}, 0),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers, seconds):
    assert calls.retry_after(status_error(429, headers)) == seconds


def test_retry_after_as_a_date():
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=600)
    seconds = calls.retry_after(status_error(429, {"retry-after": email.utils.format_datetime(until, usegmt=True)}))
    assert 590 < seconds <= 600


@pytest.mark.parametrize("headers", [{}, {"retry-after": "0"}, {"retry-after": "1"}])
def test_a_busy_host_is_asked_more_slowly_and_patiently(headers):
    """It takes two calls a second; ten times as many are wanted at once, and all are answered."""
    clock, times = Clock(), []
    gate = calls.Gate(clock, clock.sleep)

    def call():
        clock.now += 0.001
        if len([time for time in times if time > clock.now - 1]) >= 2:
            raise status_error(429, headers)
        times.append(clock.now)
        return "made"

    refused = [0]
    for _ in range(40):
        while True:
            began = gate.wait()
            try:
                call()
            except openai.RateLimitError:
                refused[0] += 1
                gate.slow(began)
                continue
            gate.quicken()
            break
    assert clock.now - 100 < 60 and refused[0] < 80  # it settles near what the host bears
    errors = [status_error(429, headers)] * (3 * calls.ATTEMPTS)
    assert calls.again(lambda: "made" if not errors else _raise(errors.pop()), gate, clock.sleep) == "made"


def _raise(error):
    raise error


def test_calls_under_way_as_the_pace_is_doubled_do_not_double_it_again():
    clock = Clock()
    gate = calls.Gate(clock, clock.sleep)
    began = [gate.wait() for _ in range(30)]
    clock.now += 1
    for one in began:
        gate.slow(one)
    assert gate.pace == calls.Gate.FIRST_PACE
    assert [gate.wait() for _ in range(3)] == pytest.approx([clock.now - 0.1, clock.now - 0.05, clock.now])


def test_a_limit_that_lasts_is_given_up(monkeypatch):
    monkeypatch.setattr(calls, "PATIENCE", -1.0)
    clock = Clock()
    with pytest.raises(openai.RateLimitError):
        calls.again(lambda: _raise(status_error(429)), calls.Gate(clock, clock.sleep), clock.sleep)


def test_a_reset_that_is_a_date_is_no_wait():
    clock = Clock()
    gate = calls.Gate(clock, clock.sleep)
    gate.read({f"x-ratelimit-{k}-requests": v for k, v in (("limit", "9"), ("remaining", "0"), ("reset", "1.8e9"))}, 1)
    assert gate.opens == 0


def test_a_zero_of_a_host_that_is_down_uses_up_no_attempts():
    clock, errors = Clock(), [status_error(503, {"retry-after": "0"})] * 6
    assert calls.again(lambda: _raise(errors.pop()) if errors else "made", calls.Gate(clock, clock.sleep), clock.sleep)
    assert sum(clock.slept) > 0


def test_nothing_is_asked_again_once_a_job_has_stopped():
    made, gate = [], calls.Gate()

    def call():
        made.append(1)
        gate.stopped = True
        raise status_error(503)

    with pytest.raises(openai.InternalServerError):
        calls.again(call, gate, made.append)
    assert made == [1]


@pytest.mark.parametrize(("status", "passes"), [(408, True), (409, True), (503, True), (400, False), (404, False)])
def test_what_passes(status, passes):
    response = httpx2.Response(status, request=httpx2.Request("POST", "http://host/v1"))
    assert calls.passes(openai.APIStatusError("no", response=response, body=None)) is passes


@pytest.mark.parametrize(("code", "passes"), [(429, True), (502, True), (400, False), ("busy", False)])
def test_what_passes_of_errors_told_as_answers(code, passes):
    error = openai.APIError("no", request=httpx2.Request("POST", "http://host/v1"), body={"code": code})
    assert calls.passes(error) is passes
