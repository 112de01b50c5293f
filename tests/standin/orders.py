"""What a test tells the host, in this process or another."""

from abc import ABC, abstractmethod
from dataclasses import asdict

from standin.batching import Fate
from standin.faults import Fault
from standin.journal import Journal


class Orders(ABC):
    url: str  # base_url of a client
    key: str | None  # its api_key

    @property
    @abstractmethod
    def journal(self) -> Journal:
        """What the host was asked so far, and what it charged for."""

    @abstractmethod
    def order(self, name: str, **arguments: object) -> None:
        """One of the orders below, its arguments as JSON has them."""

    def script(self, endpoint: str, *faults: Fault) -> None:
        """The next calls of an endpoint ("POST /batches", "/files/*/content") meet these faults, one each."""
        self.order("script", endpoint=endpoint, faults=[asdict(fault) for fault in faults])

    def at_random(self, endpoint: str, rate: float, *faults: Fault, seed: int = 0) -> None:
        """This share of an endpoint's calls meets one of these faults."""
        self.order("at_random", endpoint=endpoint, rate=rate, faults=[asdict(fault) for fault in faults], seed=seed)

    def fate(self, *fates: Fate) -> None:
        """What becomes of the next batches, one each."""
        self.order("fate", fates=[asdict(fate) for fate in fates])

    def fail_job(self, message: str, at: str = "running") -> None:
        """The next job to end the state `at` fails with this message."""
        self.order("fail_job", message=message, at=at)

    def advance(self, work: str | None = None) -> None:
        """The batch or job of this id goes one step further; without an id each of them."""
        self.order("advance", work=work)

    def set(self, **settings: object) -> None:
        """Change settings (settings.py)."""
        self.order("set", **settings)
