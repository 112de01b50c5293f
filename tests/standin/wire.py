"""HTTP/1.1 over asyncio, as much of it as the API needs, and every way a reply can be lost on the way."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote, urlsplit

PIECES = 10  # of a body that drips
HEAD_BYTES = 65_536


@dataclass(frozen=True)
class Request:
    method: str
    path: str  # without the query
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    body: bytes


@dataclass
class Response:
    """A reply, and how it is to be spoilt."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    wait: float = 0  # seconds before the first byte
    drip: float = 0  # seconds over which the body is spread
    cut: bool = False  # the connection closes amid the body
    dropped: bool = False  # the connection closes instead
    after: Callable[[str], None] = lambda ended: None  # told how it ended: answered, dropped, cut, left

    @classmethod
    def of(cls, value: object, status: int = 200) -> "Response":
        return cls(status, json.dumps(value).encode(), {"content-type": "application/json"})

    def halve(self) -> None:
        """Leave out the second half, unnoticed by HTTP."""
        self.body = self.body[: len(self.body) // 2]


Handler = Callable[[Request], Response]


async def listen(handle: Handler, port: int) -> asyncio.Server:
    """A server on 127.0.0.1; `handle` runs in the event loop, one request at a time."""

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await _read(reader):
                response = handle(request)
                try:
                    await _send(response, reader, writer)
                except ConnectionError:
                    response.after("left")
                    break
                if response.dropped or response.cut:
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client is gone, or the host is stopped
        finally:
            writer.close()

    return await asyncio.start_server(connection, "127.0.0.1", port, limit=HEAD_BYTES, backlog=1024)


async def _read(reader: asyncio.StreamReader) -> Request | None:
    """The next request of a connection; None: the client has closed it."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        body = await _chunked(reader)
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    url = urlsplit(target)
    return Request(method, unquote(url.path), dict(parse_qsl(url.query)), headers, body)


async def _chunked(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


async def _send(response: Response, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send the reply as it is to be spoilt; raises ConnectionError where the client has left.

    How it ends is told before the last bytes go: who has the reply finds its end written down.
    """
    if response.wait:
        await asyncio.sleep(response.wait)
        _need_client(reader)
    if response.dropped:
        response.after("dropped")
        writer.transport.abort()
        return
    length = {"content-length": str(len(response.body))}
    headers = "".join(f"{name}: {value}\r\n" for name, value in {**response.headers, **length}.items())
    head = f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}\r\n{headers}\r\n".encode()
    parts = _pieces(response)
    if response.cut:
        parts = parts[: len(parts) // 2] if len(parts) > 1 else [parts[0][: len(parts[0]) // 2]]
    pieces = [head, *parts] if response.drip else [head + b"".join(parts)]
    for i, piece in enumerate(pieces, 1):
        if i > 1:
            await asyncio.sleep(response.drip / len(parts))
            _need_client(reader)
        if i == len(pieces):
            response.after("cut" if response.cut else "answered")
        writer.write(piece)
        await writer.drain()


def _need_client(reader: asyncio.StreamReader) -> None:
    if reader.at_eof():
        raise ConnectionResetError


def _pieces(response: Response) -> list[bytes]:
    size = max(1, -(-len(response.body) // PIECES)) if response.drip else max(1, len(response.body))
    return [response.body[i : i + size] for i in range(0, len(response.body), size)] or [b""]
