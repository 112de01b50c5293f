"""Paid calls: each is reserved in the spend ledger before it is made and paid for afterwards."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx2
import openai

from faithtune.core.errors import HostStopped, UserError
from faithtune.hosts import calls, responses
from faithtune.hosts.calls import RateLimiter, Request
from faithtune.hosts.host import Host, hidden_reasoning
from faithtune.hosts.journal import ResponseJournal
from faithtune.hosts.responses import FILTERED
from faithtune.hosts.spend import prices
from faithtune.hosts.spend.ledger import Ledger, Reservation, Usage


@dataclass(frozen=True)
class Meter:
    """Prices the calls of one arm and stage, and names them in the ledger."""

    host: Host
    ledger: Ledger
    price: prices.Price | None
    arm: str
    eval_set: str | None
    stage: str
    count_tokens: Callable[[str], int]  # an upper bound

    def reservation(self, request: Request, batch: bool = False) -> Reservation:
        """A request as the ledger reserves it, at its highest possible cost."""
        prompt, most = self.count_tokens(_text(request.body)), request.body["max_tokens"]
        usd = prices.cost(self.price, prompt, most, batch=batch)
        names = (request.key, self.host.name, self.host.model, self.arm, self.eval_set, self.stage, self.host.endpoint)
        return Reservation(*names, prompt, most, usd, batch)

    def usage(self, reservation: int, response: dict, batch: bool = False) -> Usage:
        """What a response used, as the ledger pays for it; reservation: its id."""
        usage = response.get("usage") or {}
        prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if prompt is None or completion is None:
            return Usage(reservation, None, None, None)
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        return Usage(reservation, prompt, completion, prices.cost(self.price, prompt, completion, cached, batch))


def send_all(
    meter: Meter, limiter: RateLimiter, concurrency: int, journal: ResponseJournal, requests: list[Request]
) -> Iterator[tuple[int, dict | UserError]]:
    """(index, response) of each request on arrival; a UserError in place of the response if the host refuses it.

    Each response is in the journal before it is yielded. Raises HostStopped, after all responses that arrived, if no
    further call can be made: the budget is used up, the key is refused, the host cannot be reached.
    """
    return calls.run_concurrently(lambda request: _send(meter, limiter, journal, request), requests, concurrency)


def _send(meter: Meter, limiter: RateLimiter, journal: ResponseJournal, request: Request) -> dict:
    try:
        return calls.retry(lambda: _attempt(meter, journal, request), limiter)
    except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
        if error.code == FILTERED:
            journal.put(request.key, responses.DECLINED)
            return responses.DECLINED
        raise meter.host.as_user_error(error) from None
    except HostStopped:
        limiter.stopped = True
        raise
    except openai.APIError as error:
        limiter.stopped = True
        raise HostStopped(str(meter.host.as_user_error(error))) from None
    except calls.MalformedResponse as error:
        limiter.stopped = True
        raise HostStopped(f"{meter.host.where}: the host's responses cannot be read: {error}") from None


def _attempt(meter: Meter, journal: ResponseJournal, request: Request) -> dict:
    """One attempt. It stays reserved if the host may have charged it, even if no answer arrives."""
    reservation = meter.ledger.reserve(meter.reservation(request))
    try:
        response = meter.host.send(request.body)
    except openai.APIError as error:
        if _is_free(error):
            meter.ledger.release(reservation)
        raise
    hidden = hidden_reasoning(meter.host, response)
    if responses.is_answer(response) and not hidden:
        journal.put(request.key, response)
    meter.ledger.pay(meter.usage(reservation, response))
    if hidden:
        raise hidden
    if not responses.is_answer(response):
        raise calls.MalformedResponse("a response without a text")
    return response


def _is_free(error: openai.APIError) -> bool:
    """Whether a failed call cost nothing: the host says that it gave no answer, or was never reached."""
    if isinstance(error, openai.APIConnectionError):
        return isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout)
    # A gateway's error says nothing about the host behind it; Azure charges for 408 and for what its filter refuses.
    return getattr(error, "status_code", 400) not in (408, 502, 504, *range(520, 530)) and error.code != FILTERED


def _text(body: dict) -> str:
    """All text that a request sends."""
    return body.get("prompt") or "\n".join(message["content"] for message in body["messages"])
