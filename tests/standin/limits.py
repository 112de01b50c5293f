"""Rate limits: two buckets that fill up again evenly, and the headers that tell of them."""

import math
import time
from collections.abc import Callable

from standin.settings import Settings
from standin.shapes import Refusal


class Limits:
    """Not thread-safe: the host asks under its lock."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic):
        self.settings, self.clock = settings, clock
        self.used = {"requests": 0.0, "tokens": 0.0}
        self.seen = clock()

    def take(self, model: str, tokens: int) -> None:
        """Take one request of so many tokens, or refuse with 429 and the time to wait."""
        self._refill()
        asked = {"requests": 1, "tokens": tokens}
        for kind, limit in self._limits().items():
            over = self.used[kind] + asked[kind] - limit
            if over > 0:
                raise self._refusal(model, kind, asked[kind], over * self.settings.window / limit)
        for kind in self.used:
            self.used[kind] += asked[kind]

    def headers(self) -> dict[str, str]:
        """x-ratelimit-*: limit, what remains, and the time until all of it does."""
        self._refill()
        found = {}
        for kind, limit in self._limits().items():
            found[f"x-ratelimit-limit-{kind}"] = str(limit)
            found[f"x-ratelimit-remaining-{kind}"] = str(max(0, math.floor(limit - self.used[kind])))
            found[f"x-ratelimit-reset-{kind}"] = span(self.used[kind] * self.settings.window / limit)
        return found

    def _limits(self) -> dict[str, int]:
        return {"requests": self.settings.requests_per_window, "tokens": self.settings.tokens_per_window}

    def _refill(self) -> None:
        now = self.clock()
        for kind, limit in self._limits().items():
            self.used[kind] = max(0.0, self.used[kind] - (now - self.seen) * limit / self.settings.window)
        self.seen = now

    def _refusal(self, model: str, kind: str, asked: int, seconds: float) -> Refusal:
        limit = self._limits()[kind]
        if asked > limit:  # no waiting helps
            message = f"Request too large for {model} on {kind} per min: Limit {limit}, Requested {asked}."
            return Refusal(429, message, code="rate_limit_exceeded", type=kind)
        message = (
            f"Rate limit reached for {model} in organization org-standin on {kind} per min: Limit {limit}, "
            f"Used {math.ceil(self.used[kind])}, Requested {asked}. Please try again in {span(seconds)}."
        )
        waits = {"retry-after": str(math.ceil(seconds)), "retry-after-ms": str(math.ceil(seconds * 1000))}
        return Refusal(429, message, code="rate_limit_exceeded", type=kind, headers=waits)


def span(seconds: float) -> str:
    """A time as the headers write it: 20ms, 1.5s, 6m0s."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:.0f}m{rest:.0f}s" if minutes else f"{rest:.3g}s"
