"""Concurrent calls to a host: rate limiting, retries, and results as they arrive.

A call that fails transiently (429, 5xx, a timeout, a dropped connection, a malformed response) is retried with
exponential backoff, or after the host's `retry-after`, however long that is. After a 429 all threads start their
calls more slowly; a call may be refused with 429 for a day before the job gives up.
"""

import datetime
import email.utils
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TypeVar

import openai
import tenacity

from faithtune.core.errors import HostStopped, UserError

ATTEMPTS = 10  # of a call; those refused with 429 do not count
PATIENCE = 24 * 3600.0  # seconds for which a call may be refused with 429
LONGEST_WAIT = 60.0  # seconds before a retry, where the host names none

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Request:
    """A call to make: the key of its row (its custom_id in a batch) and the JSON body."""

    key: str
    body: dict


class MalformedResponse(Exception):
    """The host's response does not answer the request; it may have been charged."""


class RateLimiter:
    """Spaces out the starts of calls; shared by all threads of a job.

    interval: seconds between two starts. It doubles when the host answers 429 and shrinks with every success, so that
    calls settle near the rate that the host accepts.
    """

    FIRST_INTERVAL, LONGEST_INTERVAL = 0.05, 30.0

    def __init__(self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep):
        self.clock, self.sleep = clock, sleep
        self.paused_until = self.next_start = self.interval = 0.0
        self.slowed_at = -1.0
        self.stopped = False  # no call is retried
        self.lock = threading.Lock()

    def wait(self) -> float:
        """Return when a call may start; the time of that start."""
        while True:
            with self.lock:
                now = self.clock()
                start = max(now, self.paused_until, self.next_start)
                self.next_start = start + self.interval
            if start > now:
                self.sleep(start - now)
            if self.paused_until <= start:  # no other thread paused in the meantime
                return start

    def pause(self, seconds: float) -> None:
        """Start no call for so many seconds."""
        with self.lock:
            until = self.clock() + seconds
            if until > self.paused_until:
                self.paused_until = until
                self.next_start = max(self.next_start, until)

    def slow_down(self, started: float) -> None:
        """Double the interval because a call that started at `started` was refused with 429."""
        with self.lock:
            if started > self.slowed_at:  # calls from before the last doubling say nothing about the new interval
                self.interval = min(max(2 * self.interval, self.FIRST_INTERVAL), self.LONGEST_INTERVAL)
                self.slowed_at = self.clock()

    def speed_up(self) -> None:
        """Shrink the interval because a call succeeded."""
        with self.lock:
            self.interval = 0.95 * self.interval if self.interval > self.FIRST_INTERVAL / 10 else 0.0


def run_concurrently(
    do: Callable[[Item], Result], items: Iterable[Item], concurrency: int
) -> Iterator[tuple[int, Result | UserError]]:
    """(index, do(item)) of each item in the order of completion, at most `concurrency` at a time.

    A UserError takes the place of its item's result, and the others continue. After HostStopped or any other error
    no item is started; the results of the running ones are yielded, then the error is raised.
    """
    waiting, stop = enumerate(items), None
    with ThreadPoolExecutor(concurrency) as pool:
        running = {}
        while True:
            while stop is None and len(running) < concurrency and (item := next(waiting, None)) is not None:
                running[pool.submit(do, item[1])] = item[0]
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                index, error = running.pop(future), future.exception()
                if error is None:
                    yield index, future.result()
                elif isinstance(error, UserError) and not isinstance(error, HostStopped):
                    yield index, error
                else:
                    stop = stop or error
    if stop is not None:
        raise stop


def retry(
    call: Callable[[], Result],
    limiter: RateLimiter,
    sleep: Callable[[float], None] = time.sleep,
    attempts: int | None = None,
) -> Result:
    """The result of `call`, which is retried while it fails transiently; raises its last error.

    attempts: the most calls, those refused with 429 included; None: ATTEMPTS, and PATIENCE with 429.
    """
    failed = 0

    def give_up(state: tenacity.RetryCallState) -> bool:
        nonlocal failed
        if limiter.stopped:
            return True
        if attempts is None and is_rate_limited(state.outcome.exception()):
            return state.seconds_since_start > PATIENCE
        failed += 1
        return failed >= (attempts or ATTEMPTS)

    def attempt() -> Result:
        started = limiter.wait()
        try:
            result = call()
        except openai.APIError as error:
            if is_rate_limited(error):
                limiter.slow_down(started)
            raise
        limiter.speed_up()
        return result

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(is_transient),
        wait=lambda state: _seconds_to_wait(state, limiter),
        stop=give_up,
        before_sleep=_log_retry,
        sleep=sleep,
        reraise=True,
    )
    return retrying(attempt)


def parsed(ask: Callable[[], Result]) -> Result:
    """The client's result; MalformedResponse where it cannot parse what the host sent, such as a web page."""
    try:
        return ask()
    except (ValueError, TypeError, AttributeError) as error:
        raise MalformedResponse(f"a response that is not the API's ({type(error).__name__})") from None


def is_rate_limited(error: BaseException) -> bool:
    """Whether the host refuses the call because calls come too fast."""
    in_body = isinstance(error, openai.APIError) and isinstance(error.body, dict) and error.body.get("code") == 429
    return is_transient(error) and (in_body or isinstance(error, openai.RateLimitError))


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed later."""
    if isinstance(error, openai.RateLimitError):
        return error.code != "insufficient_quota"
    if isinstance(error, openai.APIStatusError):
        return error.status_code in (408, 409) or error.status_code >= 500
    if isinstance(error, MalformedResponse | openai.APIConnectionError):
        return True
    # Some hosts send errors with status 200 and the real status in the body.
    code = error.body.get("code") if isinstance(error, openai.APIError) and isinstance(error.body, dict) else None
    return isinstance(code, int) and (code in (408, 409, 429) or code >= 500)


def retry_after(error: BaseException) -> float | None:
    """Seconds to wait by the host's `retry-after-ms` or `retry-after` (seconds or a date); None without either."""
    headers = getattr(getattr(error, "response", None), "headers", {})
    milliseconds, text = _number(headers.get("retry-after-ms")), headers.get("retry-after")
    seconds = _number(text) if milliseconds is None else milliseconds / 1000
    if seconds is None and text:
        try:
            seconds = (email.utils.parsedate_to_datetime(text) - datetime.datetime.now(datetime.UTC)).total_seconds()
        except (TypeError, ValueError):  # not a date, or a date without a time zone
            return None
    return None if seconds is None else max(0.0, seconds)


def _seconds_to_wait(state: tenacity.RetryCallState, limiter: RateLimiter) -> float:
    """Seconds before the next attempt; a host's `retry-after` pauses the other threads too."""
    error = state.outcome.exception()
    wanted, backoff = retry_after(error), tenacity.wait_random_exponential(multiplier=0.5, max=LONGEST_WAIT)(state)
    if wanted is None:
        return backoff
    limiter.pause(wanted)
    return wanted if is_rate_limited(error) else max(wanted, backoff)  # after a 429 the interval spaces calls out


def _log_retry(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception()
    seconds = state.next_action.sleep
    if seconds > 5 or state.attempt_number > 3:
        status = getattr(error, "status_code", None)
        print(f"{type(error).__name__} {status or ''}: retry in {seconds:.0f} s", file=sys.stderr)


def _number(text: str | None) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return None
