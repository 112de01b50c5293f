"""How much a host's queue is given, and when. It holds so many tokens, of all batches under way at the host.

A batch that it has no room for fails. While others are under way, they fill the queue, and ours waits as it is.
Where none is, it was too large by itself: half of it is tried then, and twice as much again once one was taken,
as the queue may have been full of batches that the host does not show to this key.
"""

import dataclasses
from collections.abc import Callable

from faithtune.hosts.batch.files import Limits

FIRST_PAUSE, LONGEST_PAUSE = 60.0, 600.0  # seconds after the first refusal in a row; more after each further one
LEAST = 32  # batches are cut no smaller than this part of the configured tokens
# Seconds since the first refusal in a row. A batch may take a day, and several may go before ours.
PATIENCE, OTHERS_PATIENCE = 26 * 3600.0, 7 * 24 * 3600.0


class Queue:
    """limits: the most that may be submitted now."""

    def __init__(self, limits: Limits, clock: Callable[[], float]):
        self.limits, self.most, self.clock = limits, limits.enqueued_tokens, clock
        self.refusals, self.since, self.opens = 0, 0.0, clock()

    def is_open(self) -> bool:
        """Whether something may be submitted again."""
        return self.clock() >= self.opens

    def taken(self) -> None:
        """A batch had room."""
        self.refusals = 0
        self._give(2 * self.limits.enqueued_tokens)

    def refused(self, tokens: int, others: bool) -> bool:
        """A batch of so many tokens had no room; others: whether any is under way. False: it never will."""
        now = self.clock()
        self.since = self.since if self.refusals else now
        self.refusals += 1
        if now - self.since > (OTHERS_PATIENCE if others else PATIENCE):
            return False
        if not others:
            self._give(min(tokens, self.limits.enqueued_tokens) // 2)
        self.opens = now + min(self.refusals * FIRST_PAUSE, LONGEST_PAUSE)
        return True

    def _give(self, tokens: int) -> None:
        tokens = min(self.most, max(tokens, self.most // LEAST, 1))
        self.limits = dataclasses.replace(self.limits, enqueued_tokens=tokens)
