"""What a tuning at a host costs, in the spend ledger: reserved before its job is made, settled when that has ended."""

from dataclasses import dataclass

import polars as pl

from faithtune.hosts.finetune_api import FAILED
from faithtune.hosts.spend import prices
from faithtune.hosts.spend.ledger import Call, Ledger, Used


@dataclass(frozen=True)
class Bill:
    """An order's calls in the ledger: one for each job that is made of it."""

    ledger: Ledger
    price: prices.Price | None
    call: Call  # as the ledger reserves it

    def reserve(self) -> int:
        """The job's ticket: the one it has already, else a new one; BudgetError."""
        return self._ticket() or self.ledger.reserve(self.call)

    def release(self) -> None:
        """No job was made."""
        if ticket := self._ticket():
            self.ledger.release(ticket)

    def settle(self, ended: dict) -> None:
        """By the job's tokens; where the host names none at what was reserved, but nothing for refused files."""
        ticket, tokens = self._ticket(), ended.get("trained_tokens")
        if ticket is None:  # settled before, or paid for from another ledger
            return
        refused = ((ended.get("error") or {}).get("param") or "").endswith("_file")
        if ended["status"] in FAILED and refused and not tokens:
            self.ledger.release(ticket)
        else:
            usd = prices.training_cost(self.price, tokens) if tokens else None
            self.ledger.settle(Used(ticket, tokens or None, 0, usd))

    def _ticket(self) -> int | None:
        """The ticket that is neither settled nor released: of the job that is made or waited for."""
        attempts = self.ledger.frame().filter(pl.col("key") == self.call.key)
        if attempts.is_empty() or attempts["state"][-1] != "reserved":
            return None
        return self.ledger.tickets([self.call.key])[self.call.key]
