"""Calls that cost money: each is reserved in the spend ledger before it is made and settled after."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx2
import openai

from faithtune.core.errors import StopError, UserError
from faithtune.hosts import calls, responses
from faithtune.hosts.calls import Gate, Request
from faithtune.hosts.host import Host, chain_out_of_sight
from faithtune.hosts.journal import Arrived
from faithtune.hosts.responses import FILTERED
from faithtune.hosts.spend import prices
from faithtune.hosts.spend.ledger import Call, Ledger, Used


@dataclass(frozen=True)
class Purse:
    """What pays for an arm's rows of one stage, and how the ledger names them."""

    host: Host
    ledger: Ledger
    price: prices.Price | None
    arm: str
    eval_set: str | None
    stage: str
    count: Callable[[str], int]  # tokens of a text, rather too many

    def call(self, request: Request, batch: bool = False) -> Call:
        """A request as the ledger reserves it, at the most it can cost."""
        prompt, most = self.count(_text(request.body)), request.body["max_tokens"]
        usd = prices.cost(self.price, prompt, most, batch=batch)
        names = (request.key, self.host.name, self.host.model, self.arm, self.eval_set, self.stage, self.host.endpoint)
        return Call(*names, prompt, most, usd, batch)

    def used(self, ticket: int, response: dict, batch: bool = False) -> Used:
        """A response as the ledger settles it."""
        usage = response.get("usage") or {}
        prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if prompt is None or completion is None:
            return Used(ticket, None, None, None)
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        return Used(ticket, prompt, completion, prices.cost(self.price, prompt, completion, cached, batch))


def made(
    purse: Purse, gate: Gate, concurrency: int, arrived: Arrived, requests: list[Request]
) -> Iterator[tuple[int, dict | UserError]]:
    """(index, response) of each request as it arrives; a UserError in the place of one that the host refuses.

    arrived: where each response is kept from the moment it is there. Raises StopError, with what has arrived given
    out, where nothing more can be asked: the budget, the key, a host that cannot be reached.
    """
    return calls.made(lambda request: _made(purse, gate, arrived, request), requests, concurrency)


def _made(purse: Purse, gate: Gate, arrived: Arrived, request: Request) -> dict:
    try:
        return calls.again(lambda: _tried(purse, gate, arrived, request), gate)
    except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
        if error.code == FILTERED:
            arrived.put(request.key, responses.DECLINED)
            return responses.DECLINED
        raise purse.host.as_user_error(error) from None
    except StopError:
        gate.stopped = True
        raise
    except openai.APIError as error:
        gate.stopped = True
        raise StopError(str(purse.host.as_user_error(error))) from None
    except calls.Garbled as error:
        gate.stopped = True
        raise StopError(f"{purse.host.where}: the host's answers cannot be read: {error}") from None


def _tried(purse: Purse, gate: Gate, arrived: Arrived, request: Request) -> dict:
    """One attempt. What the host may have charged for stays reserved, whatever became of its answer."""
    call = purse.call(request)
    ticket = purse.ledger.reserve(call)
    try:
        response, headers = purse.host.send(request.body)
    except openai.APIError as error:
        if _is_free(error):
            purse.ledger.release(ticket)
        raise
    hidden = chain_out_of_sight(purse.host, response)
    if responses.is_answer(response) and not hidden:
        arrived.put(request.key, response)
    purse.ledger.settle(purse.used(ticket, response))
    gate.read(headers, call.prompt_tokens + call.completion_tokens)
    if hidden:
        raise hidden
    if not responses.is_answer(response):
        raise calls.Garbled("a response without a text")
    return response


def _is_free(error: openai.APIError) -> bool:
    """Whether a call that ended so cost nothing: the host says that it did not answer, or was not reached."""
    if isinstance(error, openai.APIConnectionError):
        return isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout)
    # A gateway's error says nothing of the host behind it; Azure charges for 408 and for what its filter declines.
    return getattr(error, "status_code", 400) not in (408, 502, 504, *range(520, 530)) and error.code != FILTERED


def _text(body: dict) -> str:
    """What a request sends, as one text."""
    return body.get("prompt") or "\n".join(message["content"] for message in body["messages"])
