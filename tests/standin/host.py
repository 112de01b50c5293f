"""The stand-in host: `with StandIn(reply=...) as host: OpenAI(base_url=host.url, api_key=host.key)`.

In a process of its own (Remote in remote.py starts it so):

    PYTHONPATH=tests python -m standin.host --port 0 --reply module:function --settings '{"max_requests": 10}'

prints its port. It is then told and asked at /_standin/: GET journal, and POST of any order in orders.py.
"""

import argparse
import asyncio
import importlib
import json
import sys
import threading
from collections.abc import Callable

from standin import speaking
from standin.batching import Batches, Fate
from standin.faults import Fault, Faults
from standin.filing import Files
from standin.journal import Call, Charge, Journal
from standin.orders import Orders
from standin.reception import Reception
from standin.settings import Settings
from standin.shapes import Refusal, need
from standin.training import Jobs
from standin.wire import listen


class StandIn(Orders):
    """One host, its state and a thread that serves it."""

    def __init__(
        self, reply: speaking.Reply = speaking.echo, chances: speaking.Chances = speaking.certain, **settings: object
    ):
        self.reply, self.chances = reply, chances
        self.settings = Settings()
        self.settings.change(**settings)
        self.files, self.batches, self.jobs = Files(self.settings), Batches(self), Jobs(self)
        self.faults, self._journal = Faults(), Journal()
        self.lock = threading.RLock()
        self.call: Call  # the one being answered

    @property
    def key(self) -> str | None:
        return self.settings.key

    @property
    def journal(self) -> Journal:
        return self._journal

    def __enter__(self) -> "StandIn":
        started = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.serve(0, started.set)), daemon=True)
        self.thread.start()
        started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.stopped.set)
        self.thread.join()

    async def serve(self, port: int, ready: Callable[[], None]) -> None:
        """Serve until `stopped`; calls still open are dropped."""
        self.loop, self.stopped = asyncio.get_running_loop(), asyncio.Event()
        server = await listen(Reception(self).handle, port)
        self.port = server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        ready()
        await self.stopped.wait()
        server.close()

    def complete(self, path: str, body: dict, kind: str, source: str | None, key: str) -> dict:
        """Answer a body and charge for it."""
        body = body | {"model": self.need_model(body.get("model"))}
        speaking.check(path, body, self.settings)
        number = len(self._journal.charges) + 1
        said = speaking.say(body, self.reply, self.chances, self.settings, -number)
        used = speaking.usage(said, self.settings)
        source = source or speaking.head(path, body, number)["id"]
        self.charge(kind, source, key, body, body["model"], used["prompt_tokens"], used["completion_tokens"])
        return speaking.complete(path, body, said, self.settings, number)

    def charge(self, *fields: object) -> None:
        self._journal.charges.append(Charge(*fields))

    def need_model(self, name: object) -> str:
        """The model's own name."""
        need(name, "you must provide a model parameter", "model")
        name = self.settings.aliases.get(name, name)
        if name not in self.settings.models:
            message = f"The model `{name}` does not exist or you do not have access to it."
            raise Refusal(404, message, code="model_not_found", param="model")
        return name

    def order(self, name: str, **arguments: object) -> None:
        with self.lock:
            match name:
                case "script":
                    self.faults.scripts.append((arguments["endpoint"], [Fault(**f) for f in arguments["faults"]]))
                case "at_random":
                    faults = [Fault(**fault) for fault in arguments["faults"]]
                    self.faults.shares.append((arguments["endpoint"], arguments["rate"], faults, arguments["seed"]))
                case "fate":
                    self.batches.coming += [Fate(**fate) for fate in arguments["fates"]]
                case "fail_job":
                    self.jobs.failing.append((arguments["message"], arguments["at"]))
                case "advance":
                    for kind, names in ((self.batches, self.batches.batches), (self.jobs, self.jobs.jobs)):
                        for each in [n for n in names if arguments["work"] in (None, n)]:
                            kind.advance(each)
                case "set":
                    self.settings.change(**arguments)
                case _:
                    raise TypeError(f"{name} is no order")


def _named(function: str) -> Callable:
    module, _, name = function.partition(":")
    return getattr(importlib.import_module(module), name)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m standin.host")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--reply", default="standin.speaking:echo", help="module:function")
    parser.add_argument("--chances", default="standin.speaking:certain", help="module:function")
    parser.add_argument("--settings", type=json.loads, default={}, help="JSON, see settings.py")
    parser.add_argument("--attached", action="store_true", help="end when standard input does")
    given = parser.parse_args()
    host = StandIn(_named(given.reply), _named(given.chances), **given.settings)
    if given.attached:
        threading.Thread(target=lambda: (sys.stdin.read(), host.loop.call_soon_threadsafe(host.stopped.set))).start()
    asyncio.run(host.serve(given.port, lambda: print(host.port, flush=True)))


if __name__ == "__main__":
    main()
