"""Many calls of a host at once, under its rate limits; each response is given out as it arrives.

A call that fails in passing (429, 5xx, a dropped or garbled response, a timeout) is made again after a while that
grows, or after what the host's `retry-after` says, however long. A host that is asked too often (429) is asked more
slowly from then on, and patiently. Where its headers say that its limits are used up, no call is begun until there is
room for one.
"""

import datetime
import email.utils
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TypeVar

import openai
import tenacity

from faithtune.core.errors import StopError, UserError

ATTEMPTS = 10  # of a call, beside those that came too early (429)
PATIENCE = 24 * 3600.0  # seconds that a call may go on coming too early
LONGEST_WAIT = 60.0  # seconds, where the host names none
LONGEST_RESET = 48 * 3600.0  # more seconds than that are no duration but a date

Given = TypeVar("Given")
Made = TypeVar("Made")

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True)
class Request:
    """What is asked of a host: the key of its row (its custom_id in a batch) and the JSON body."""

    key: str
    body: dict


class Garbled(Exception):
    """A response that is no answer to what was asked; it may have been paid for."""


class Gate:
    """Holds calls back while the host's limits are used up; shared by all threads of a job.

    pace: seconds from one call's beginning to the next. It doubles where the host says that it is asked too often,
    and shrinks with each answer, so that calls come about as fast as the host bears, and never all at once.
    """

    FIRST_PACE, LONGEST_PACE = 0.05, 30.0

    def __init__(self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep):
        self.clock, self.sleep = clock, sleep
        self.opens = self.next = self.pace = 0.0
        self.slowed = -1.0  # when the pace was last doubled
        self.stopped = False  # nothing is asked again
        self.lock = threading.Lock()

    def wait(self) -> float:
        """Come back when a call may be begun; its time."""
        while True:
            with self.lock:
                now = self.clock()
                begins = max(now, self.opens, self.next)
                self.next = begins + self.pace
            if begins > now:
                self.sleep(begins - now)
            if self.opens <= begins:  # nobody closed it meanwhile
                return begins

    def close(self, seconds: float) -> None:
        """No call within so many seconds."""
        with self.lock:
            opens = self.clock() + seconds
            if opens > self.opens:
                self.opens = opens
                self.next = max(self.next, opens)

    def slow(self, began: float) -> None:
        """A call begun then came too early; calls under way as the pace was doubled tell nothing new."""
        with self.lock:
            if began > self.slowed:
                self.pace = min(max(2 * self.pace, self.FIRST_PACE), self.LONGEST_PACE)
                self.slowed = self.clock()

    def quicken(self) -> None:
        """A call was answered."""
        with self.lock:
            self.pace = 0.95 * self.pace if self.pace > self.FIRST_PACE / 10 else 0.0

    def read(self, headers: Mapping[str, str], n_tokens: int) -> None:
        """Close while there is no room for one more call like that of `n_tokens` whose response has these headers."""
        for what, need in (("requests", 1), ("tokens", n_tokens)):
            limit, left = (_number(headers.get(f"x-ratelimit-{part}-{what}")) for part in ("limit", "remaining"))
            reset = seconds_of(headers.get(f"x-ratelimit-reset-{what}"))
            if None not in (limit, left, reset) and left < need <= limit and reset <= LONGEST_RESET:
                # `reset` seconds fill it wholly; what is needed comes in a part of them.
                self.close(reset * (need - left) / max(1.0, limit - left))


def made(
    do: Callable[[Given], Made], given: Iterable[Given], concurrency: int
) -> Iterator[tuple[int, Made | UserError]]:
    """(index, do(one)) of each of `given`, `concurrency` at a time, as they are finished.

    A UserError of one is given out in its place, and the others go on. Any other error, and a StopError, ends
    the making: nothing new is begun, what is under way is given out, then it is raised.
    """
    coming, stop = enumerate(given), None
    with ThreadPoolExecutor(concurrency) as pool:
        running = {}
        while True:
            while stop is None and len(running) < concurrency and (one := next(coming, None)) is not None:
                running[pool.submit(do, one[1])] = one[0]
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                index, error = running.pop(future), future.exception()
                if error is None:
                    yield index, future.result()
                elif isinstance(error, UserError) and not isinstance(error, StopError):
                    yield index, error
                else:
                    stop = stop or error
    if stop is not None:
        raise stop


def again(
    call: Callable[[], Made], gate: Gate, sleep: Callable[[float], None] = time.sleep, attempts: int | None = None
) -> Made:
    """What `call` returns, called again while it fails in passing. Raises its last error.

    attempts: ATTEMPTS, or fewer, those that come too early among them.
    """
    failed = 0

    def enough(state: tenacity.RetryCallState) -> bool:
        nonlocal failed
        if gate.stopped:
            return True
        if attempts is None and is_too_early(state.outcome.exception()):
            return state.seconds_since_start > PATIENCE
        failed += 1
        return failed >= (attempts or ATTEMPTS)

    def once() -> Made:
        began = gate.wait()
        try:
            made = call()
        except openai.APIError as error:
            if is_too_early(error):
                gate.slow(began)
            raise
        gate.quicken()
        return made

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(passes),
        wait=lambda state: _pause(state, gate),
        stop=enough,
        before_sleep=_tell,
        sleep=sleep,
        reraise=True,
    )
    return retrying(once)


def read(ask: Callable[[], Made]) -> Made:
    """What the client returns; Garbled where the host's answer is not as the API has it, such as a web page."""
    try:
        return ask()
    except (ValueError, TypeError, AttributeError) as error:
        raise Garbled(f"an answer that is not the API's ({type(error).__name__})") from None


def is_too_early(error: BaseException) -> bool:
    """Whether the host says that it is asked too often."""
    told = isinstance(error, openai.APIError) and isinstance(error.body, dict) and error.body.get("code") == 429
    return passes(error) and (told or isinstance(error, openai.RateLimitError))


def passes(error: BaseException) -> bool:
    """Whether the same call may succeed later."""
    if isinstance(error, openai.RateLimitError):
        return error.code != "insufficient_quota"
    if isinstance(error, openai.APIStatusError):
        return error.status_code in (408, 409) or error.status_code >= 500
    if isinstance(error, Garbled | openai.APIConnectionError):
        return True
    # What came as an answer of status 200 has its state in its body.
    code = error.body.get("code") if isinstance(error, openai.APIError) and isinstance(error.body, dict) else None
    return isinstance(code, int) and (code in (408, 409, 429) or code >= 500)


def retry_after(error: BaseException) -> float | None:
    """Seconds that the host wants to be left alone for: as it says, or until the time that it names."""
    headers = getattr(getattr(error, "response", None), "headers", {})
    milliseconds, text = _number(headers.get("retry-after-ms")), headers.get("retry-after")
    seconds = _number(text) if milliseconds is None else milliseconds / 1000
    if seconds is None and text:
        try:
            seconds = (email.utils.parsedate_to_datetime(text) - datetime.datetime.now(datetime.UTC)).total_seconds()
        except (TypeError, ValueError):  # no date, or one without a zone
            return None
    return None if seconds is None else max(0.0, seconds)


def seconds_of(text: str | None) -> float | None:
    """Seconds of a duration as hosts write it: "6m0s", "120ms", "1.5"; None for another text."""
    if text is None or _number(text) is not None:
        return _number(text)
    parts = _DURATION.findall(text)
    whole = "".join(number + unit for number, unit in parts)
    return sum(float(number) * _SECONDS[unit] for number, unit in parts) if parts and whole == text.strip() else None


def _pause(state: tenacity.RetryCallState, gate: Gate) -> float:
    """How long this call waits; where the host is too busy, so do all others."""
    error = state.outcome.exception()
    wanted, own = retry_after(error), tenacity.wait_random_exponential(multiplier=0.5, max=LONGEST_WAIT)(state)
    if wanted is None:
        return own
    gate.close(wanted)
    return wanted if is_too_early(error) else max(wanted, own)  # a pace keeps those apart that come too early


def _tell(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception()
    seconds = state.next_action.sleep
    if seconds > 5 or state.attempt_number > 3:
        status = getattr(error, "status_code", None)
        print(f"{type(error).__name__} {status or ''}: again in {seconds:.0f} s", file=sys.stderr)


def _number(text: str | None) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return None
