"""Calls at once: given out as they arrive, made again where they fail in passing, held back where limits say so."""

import datetime
import email.utils
import threading

import httpx2
import openai
import pytest

from faithtune.core.errors import HostStopped, UserError
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

    assert dict(calls.run_concurrently(double, range(30), 3)) == {i: 2 * i for i in range(30)}
    assert most[0] == 3


def test_a_refused_row_leaves_the_others():
    def odd(n):
        if n == 2:
            raise UserError("2 is refused")
        return n

    found = dict(calls.run_concurrently(odd, range(5), 2))
    assert str(found.pop(2)) == "2 is refused"
    assert found == {0: 0, 1: 1, 3: 3, 4: 4}


@pytest.mark.parametrize("error", [HostStopped("no more"), RuntimeError("broken")])
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
        for i, value in calls.run_concurrently(until_three, range(100), 2):
            found[i] = value
    assert {0, 1, 2} <= set(found) and len(found) < 50


def test_what_fails_in_passing_is_called_again():
    clock, errors = (
        Clock(),
        [status_error(500), calls.MalformedResponse("half"), status_error(429, {"retry-after": "700"})],
    )

    def call():
        if errors:
            raise errors.pop(0)
        return "made"

    limiter = calls.RateLimiter(clock, clock.sleep)
    assert calls.retry(call, limiter, clock.sleep) == "made"
    assert clock.slept[-1] == 700  # longer than the client itself would wait
    assert len(clock.slept) == 3 and all(0 <= seconds <= calls.LONGEST_WAIT for seconds in clock.slept[:2])
    assert limiter.paused_until == clock.now  # all others waited too


@pytest.mark.parametrize("error", [status_error(400), status_error(429, code="insufficient_quota"), UserError("no")])
def test_what_does_not_pass_is_called_once(error):
    made = []

    def call():
        made.append(1)
        raise error

    with pytest.raises(type(error)):
        calls.retry(call, calls.RateLimiter(), made.append)
    assert made == [1]


def test_a_host_that_stays_down_is_given_up():
    clock, made = Clock(), []

    def call():
        made.append(1)
        raise status_error(503)

    with pytest.raises(openai.InternalServerError):
        calls.retry(call, calls.RateLimiter(clock, clock.sleep), clock.sleep)
    assert len(made) == calls.ATTEMPTS


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
    limiter = calls.RateLimiter(clock, clock.sleep)

    def call():
        clock.now += 0.001
        if len([time for time in times if time > clock.now - 1]) >= 2:
            raise status_error(429, headers)
        times.append(clock.now)
        return "made"

    refused = [0]
    for _ in range(40):
        while True:
            began = limiter.wait()
            try:
                call()
            except openai.RateLimitError:
                refused[0] += 1
                limiter.slow_down(began)
                continue
            limiter.speed_up()
            break
    assert clock.now - 100 < 60 and refused[0] < 80  # it settles near what the host bears
    errors = [status_error(429, headers)] * (3 * calls.ATTEMPTS)
    assert calls.retry(lambda: "made" if not errors else _raise(errors.pop()), limiter, clock.sleep) == "made"


def _raise(error):
    raise error


def test_calls_under_way_as_the_pace_is_doubled_do_not_double_it_again():
    clock = Clock()
    limiter = calls.RateLimiter(clock, clock.sleep)
    began = [limiter.wait() for _ in range(30)]
    clock.now += 1
    for one in began:
        limiter.slow_down(one)
    assert limiter.interval == calls.RateLimiter.FIRST_INTERVAL
    assert [limiter.wait() for _ in range(3)] == pytest.approx([clock.now - 0.1, clock.now - 0.05, clock.now])


def test_a_limit_that_lasts_is_given_up(monkeypatch):
    monkeypatch.setattr(calls, "PATIENCE", -1.0)
    clock = Clock()
    with pytest.raises(openai.RateLimitError):
        calls.retry(lambda: _raise(status_error(429)), calls.RateLimiter(clock, clock.sleep), clock.sleep)


def test_a_zero_of_a_host_that_is_down_uses_up_no_attempts():
    clock, errors = Clock(), [status_error(503, {"retry-after": "0"})] * 6
    assert calls.retry(
        lambda: _raise(errors.pop()) if errors else "made", calls.RateLimiter(clock, clock.sleep), clock.sleep
    )
    assert sum(clock.slept) > 0


def test_nothing_is_asked_again_once_a_job_has_stopped():
    made, limiter = [], calls.RateLimiter()

    def call():
        made.append(1)
        limiter.stopped = True
        raise status_error(503)

    with pytest.raises(openai.InternalServerError):
        calls.retry(call, limiter, made.append)
    assert made == [1]


@pytest.mark.parametrize(("status", "passes"), [(408, True), (409, True), (503, True), (400, False), (404, False)])
def test_what_passes(status, passes):
    response = httpx2.Response(status, request=httpx2.Request("POST", "http://host/v1"))
    assert calls.is_transient(openai.APIStatusError("no", response=response, body=None)) is passes


@pytest.mark.parametrize(("code", "passes"), [(429, True), (502, True), (400, False), ("busy", False)])
def test_what_passes_of_errors_told_as_answers(code, passes):
    error = openai.APIError("no", request=httpx2.Request("POST", "http://host/v1"), body={"code": code})
    assert calls.is_transient(error) is passes
