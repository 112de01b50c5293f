"""The reception: writes each request down, checks the key, lets faults happen and passes it on to what answers."""

import functools
import json
import re
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

from standin import speaking
from standin.journal import Call
from standin.shapes import Refusal, need
from standin.wire import Request, Response

if TYPE_CHECKING:
    from standin.host import StandIn

ENDPOINTS = (speaking.CHAT, speaking.COMPLETIONS)


class Reception:
    def __init__(self, host: "StandIn"):
        self.host, self.settings, self.journal = host, host.settings, host.journal

    def handle(self, request: Request) -> Response:
        """Answer one request, and write down how it ends."""
        with self.host.lock:
            if request.path.startswith("/_standin/"):
                return self._told(request)
            call = self.host.call = self._entered(request)
            try:
                response = self._faulty(request)
            except Refusal as refusal:
                response = Response.of(refusal.body, refusal.status)
                response.headers |= refusal.headers
            except Exception:  # a bug of the stand-in, or of the test's reply
                traceback.print_exc()
                response = Response.of({"error": {"message": traceback.format_exc(), "type": "standin_bug"}}, 500)
            response.headers |= {"x-request-id": f"req_{call.number}", "openai-organization": "org-standin"}
            if request.path in ENDPOINTS:
                response.wait += self.settings.latency
            call.status = response.status
            response.after = functools.partial(_ended, call)
            return response

    def _told(self, request: Request) -> Response:
        name = request.path.removeprefix("/_standin/")
        if name == "journal":
            return Response.of(self.journal.to_json())
        try:
            self.host.order(name, **json.loads(request.body))
        except (TypeError, ValueError, KeyError) as error:
            return Response.of(repr(error), 400)
        return Response.of(None)

    def _entered(self, request: Request) -> Call:
        upload = request.headers.get("content-type", "").startswith("multipart/")
        try:
            body = None if upload or not request.body else json.loads(request.body)
        except ValueError:
            body = request.body.decode(errors="replace")
        asks = request.path in ENDPOINTS and isinstance(body, dict)
        keys = [speaking.content(body)] if asks else []
        call = Call(len(self.journal.calls) + 1, time.time(), request.method, request.path, request.headers, body, keys)
        self.journal.calls.append(call)
        return call

    def _faulty(self, request: Request) -> Response:
        """The reply, and what goes wrong with it."""
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        fault = self.host.faults.pick(request)
        if fault:
            self.host.call.fault = fault.kind
            if struck := fault.strike(key):
                return struck
        if self.settings.key not in (None, key):
            quoted = f"{key[:8]}{'*' * max(0, len(key) - 12)}{key[-4:]}"  # as the host the API comes from does
            raise Refusal(401, f"Incorrect API key provided: {quoted}.", code="invalid_api_key")
        response = self._routed(request)
        if fault:
            fault.spoil(response)
        return response

    def _routed(self, request: Request) -> Response:
        for method, pattern, abilities, answer in self._routes():
            found = re.fullmatch(pattern, request.path.removeprefix("/v1"))
            if found and method == request.method and any(name in self.settings.abilities for name in abilities):
                value = answer(request, *found.groups())
                return value if isinstance(value, Response) else Response.of(value)
        raise Refusal(404, f"Invalid URL ({request.method} {request.path})")

    def _routes(self) -> list[tuple[str, str, tuple[str, ...], Callable[..., object]]]:
        """Method, path, abilities of which one is needed, and what answers."""
        uploads, batch, tune = ("batch", "tune"), ("batch",), ("tune",)
        files, batches, jobs, job = self.host.files, self.host.batches, self.host.jobs, "/fine_tuning/jobs/([^/]+)"
        return [
            ("POST", "/chat/completions", ("chat",), self._completed),
            ("POST", "/completions", ("completions",), self._completed),
            ("POST", "/files", uploads, self._uploaded),
            ("GET", "/files", uploads, files.page),
            ("GET", "/files/([^/]+)", uploads, files.retrieve),
            ("DELETE", "/files/([^/]+)", uploads, files.delete),
            ("GET", "/files/([^/]+)/content", uploads, files.content),
            ("POST", "/batches", batch, batches.create),
            ("GET", "/batches", batch, batches.page),
            ("GET", "/batches/([^/]+)", batch, batches.retrieve),
            ("POST", "/batches/([^/]+)/cancel", batch, batches.cancel),
            ("POST", "/fine_tuning/jobs", tune, jobs.create),
            ("GET", "/fine_tuning/jobs", tune, jobs.page),
            ("GET", job, tune, jobs.retrieve),
            ("POST", f"{job}/cancel", tune, jobs.cancel),
            ("GET", f"{job}/events", tune, jobs.events),
            ("GET", f"{job}/checkpoints", tune, jobs.list_checkpoints),
        ]

    def _completed(self, request: Request) -> Response:
        body = self.host.call.body
        need(isinstance(body, dict), "We could not parse the JSON body of your request.")
        self.host.need_model(body.get("model"))
        speaking.check(request.path, body, self.settings)
        return Response.of(self.host.complete(request.path, body, "call", None, speaking.content(body)))

    def _uploaded(self, request: Request) -> dict:
        found = self.host.files.create(request)
        self.host.call.body = {name: found[name] for name in ("id", "purpose", "filename", "bytes")}
        return found


def _ended(call: Call, how: str) -> None:
    call.ended, call.seconds = how, time.time() - call.time
