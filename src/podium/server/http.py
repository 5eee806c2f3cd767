"""Raw ASGI at the door: one request read within its bounds, one answer written.

Decides: how a body is read (size and time bounded while it arrives) and how an answer and a problem look on the wire.
Never: who may ask or what is answered. Limits: `body_bytes_max` or the caller's own bound, `body_ms`.
Source: ASGI 3.0 HTTP connection scope; RFC 9457 problem details.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from urllib.parse import parse_qs

import msgspec

from podium.wire.problems import DeviceFault, PodiumError, problem

Scope = MutableMapping[str, object]
Message = MutableMapping[str, object]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON: tuple[bytes, bytes] = (b"content-type", b"application/json")
PROBLEM: tuple[bytes, bytes] = (b"content-type", b"application/problem+json")
OCTETS: tuple[bytes, bytes] = (b"content-type", b"application/octet-stream")

_encode = msgspec.json.Encoder().encode


class Gone(ConnectionError):
    """The peer went away before its request was whole: there is nobody to answer."""


class Request:
    """One HTTP request: method, path and raw query as sent, header lookup, and the bounded body."""

    __slots__ = ("_headers", "_receive", "method", "path", "query")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.method = str(scope["method"])
        raw_path = scope.get("raw_path")
        # The path as sent: what the MAC covers. No route of ours has a character that needs escaping.
        self.path = raw_path.decode("latin-1") if isinstance(raw_path, bytes) else str(scope["path"])
        raw_query = scope["query_string"]
        self.query = raw_query.decode("latin-1") if isinstance(raw_query, bytes) else ""
        headers = scope["headers"]
        self._headers: Headers = list(headers) if isinstance(headers, list | tuple) else []
        self._receive = receive

    def header(self, name: bytes) -> str:
        """The first header of that lower-case name, "" if there is none."""
        for key, value in self._headers:
            if key == name:
                return value.decode("latin-1")
        return ""

    def argument(self, name: str) -> str:
        """The one query argument `name`, "" if there is none; `DeviceFault(body-malformed)` if it is given twice."""
        values = parse_qs(self.query, keep_blank_values=True, max_num_fields=8).get(name, [""])
        if len(values) != 1:
            raise DeviceFault("body-malformed", what=f"the query names {name} {len(values)} times")
        return values[0]

    async def body(self, bytes_max: int, within_ms: int) -> bytes:
        """The whole body.

        `DeviceFault(body-too-large)` above `bytes_max` (known from Content-Length before a byte is read, or noticed
        while it arrives), `DeviceFault(body-malformed)` when it is not whole `within_ms`; `Gone` if the peer left.
        """
        declared = self.header(b"content-length")
        if declared.isdigit() and int(declared) > bytes_max:
            raise too_large(int(declared), bytes_max)
        try:
            async with asyncio.timeout(within_ms / 1000):
                message = await self._receive()  # a peer may send headers and nothing more
                if message["type"] == "http.request" and not message.get("more_body", False):
                    return _bounded([_chunk(message)], bytes_max)
                return await self._rest(message, bytes_max)
        except TimeoutError:
            raise DeviceFault("body-malformed", what="the body did not arrive in time", why=f"{within_ms} ms") from None

    async def _rest(self, message: Message, bytes_max: int) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            if message["type"] == "http.disconnect":
                raise Gone("the peer left before its body was whole")
            parts.append(_chunk(message))
            size += len(parts[-1])
            if size > bytes_max:
                raise too_large(size, bytes_max)
            if not message.get("more_body", False):
                return b"".join(parts)
            message = await self._receive()


def too_large(size: int, bytes_max: int) -> DeviceFault:
    """The fault of a body of at least `size` bytes where `bytes_max` are allowed."""
    return DeviceFault("body-too-large", why=f"{size} bytes or more, and {bytes_max} are allowed")


def _chunk(message: Message) -> bytes:
    if message["type"] == "http.disconnect":
        raise Gone("the peer left before its body was whole")
    body = message.get("body", b"")
    return body if isinstance(body, bytes) else b""


def _bounded(parts: list[bytes], bytes_max: int) -> bytes:
    body = b"".join(parts) if len(parts) > 1 else parts[0]
    if len(body) > bytes_max:
        raise too_large(len(body), bytes_max)
    return body


class Response(msgspec.Struct, frozen=True):
    """A whole answer: status, headers beside Content-Length, body."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = (JSON,)


def answer(value: object, status: int = 200) -> Response:
    """`value` (a message struct) as a JSON answer."""
    return Response(status, _encode(value))


def refusal(error: PodiumError, return_ms: int = 0) -> Response:
    """`error` as problem details; with a return window it also carries Retry-After in whole seconds, rounded up."""
    body = _encode(problem(error, return_ms))
    if not return_ms:
        return Response(error.kind.status, body, (PROBLEM,))
    retry = (b"retry-after", str(-(-return_ms // 1000)).encode())
    return Response(error.kind.status, body, (PROBLEM, retry))


async def respond(send: Send, response: Response) -> None:
    """Write `response`; of a HEAD request the server drops the body by itself."""
    headers = [*response.headers, (b"content-length", str(len(response.body)).encode())]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
