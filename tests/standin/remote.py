"""The host in a process of its own, which outlives the client that a test kills."""

import json
import os
import subprocess
import sys
import urllib.request

from standin.journal import Journal
from standin.orders import Orders
from standin.settings import Settings

# Straight to this machine, whatever proxy the environment names.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Remote(Orders):
    """`with Remote(reply="module:function", **settings) as host`; functions are imported by name over there."""

    def __init__(self, reply: str | None = None, chances: str | None = None, **settings: object):
        given = Settings()
        given.change(**settings)
        self.key = given.key
        functions = [f"--{name}={value}" for name, value in (("reply", reply), ("chances", chances)) if value]
        self.command = [
            sys.executable,
            "-m",
            "standin.host",
            "--attached",
            *functions,
            f"--settings={json.dumps(settings)}",
        ]

    def __enter__(self) -> "Remote":
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(self.command, env=environment, **pipes)
        port = self.process.stdout.readline().strip()
        if not port:
            self.__exit__()
            raise RuntimeError("the stand-in host did not start")
        self.root = f"http://127.0.0.1:{port}"
        self.url = f"{self.root}/v1"
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    @property
    def journal(self) -> Journal:
        with DIRECT.open(f"{self.root}/_standin/journal", timeout=60) as reply:
            return Journal.from_json(json.load(reply))

    def order(self, name: str, **arguments: object) -> None:
        request = urllib.request.Request(f"{self.root}/_standin/{name}", json.dumps(arguments).encode())
        DIRECT.open(request, timeout=60).close()
