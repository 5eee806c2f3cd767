"""The gateway: raw ASGI for the device conversation, from the socket to a decided answer.

Decides: which route a request takes, that its session's MAC holds, that its device is enrolled, not banned and in its
newest session, and how a fault is told. Never: what the core decides. Nothing unauthenticated writes.
Limits: `body_bytes_max` (a chunk: `chunk_bytes`), `body_ms`; a full plane answers 503 with a return window, cheaply.
Source: the eight steps of docs/reference/device-protocol.md.
"""

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from time import perf_counter
from typing import NamedTuple, TypeVar

import msgspec

from podium.core.rows import DeviceRow
from podium.ports.plane import Metrics
from podium.server.devices.sessions import Sessions
from podium.server.http import Gone, Receive, Request, Response, Scope, Send, refusal, respond
from podium.server.loop.loop import Loop
from podium.wire.limits import Limits
from podium.wire.problems import Bug, DeviceFault, PodiumError

log = logging.getLogger("podium.gateway")
T = TypeVar("T")


class Caller(NamedTuple):
    """The device behind an authenticated request: its column number, session epoch and row."""

    number: int
    epoch: int
    row: DeviceRow


class Stream(NamedTuple):
    """An answer whose body comes in pieces of `length` bytes together."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    length: int
    pieces: AsyncIterator[bytes]


Handler = Callable[[Request, str], Awaitable[Response | Stream]]
"""Answers a request; the text is what the path names (a lease, a digest), "" if it names nothing."""


class Door:
    """Authentication and decoding, shared by every device route."""

    def __init__(self, loop: Loop, sessions: Sessions, limits: Limits) -> None:
        self._loop = loop
        self._sessions = sessions
        self._limits = limits
        self._refused = 0

    async def body(self, request: Request) -> bytes:
        """The body of a control message; faults as `Request.body`."""
        return await request.body(self._limits.body_bytes_max, self._limits.body_ms)

    def expect(self, request: Request) -> None:
        """Before a body that fills one of a few slots: `DeviceFault(session-unknown)` for who proved no session yet."""
        self._sessions.expect(request)

    def caller(self, request: Request, body: bytes) -> Caller:
        """Who made `request`.

        `DeviceFault`: what `Sessions.authenticate` raises; `device-unknown`; `device-banned`; `epoch-stale` when a
        newer session of the device exists; `session-unknown` when the plane restarted since it was opened, because
        the capabilities it told then are gone (the device opens another and tells them again).
        """
        claims = self._sessions.authenticate(request, body, self._loop.now_ms())
        state = self._loop.state
        number = state.device_number(claims.device_id)
        if number != claims.device:
            raise DeviceFault("session-unknown", why="it was made for another enrolment")
        row = state.devices[number]
        if row.state == "banned":
            raise DeviceFault("device-banned")
        newest = int(state.fleet.epoch[number])
        if claims.epoch < newest:
            raise DeviceFault("epoch-stale", why=f"epoch {newest} exists")
        if claims.epoch > newest:
            raise DeviceFault("session-unknown", why="the plane restarted since this session was opened")
        return Caller(number, claims.epoch, row)

    def refused(self, error: PodiumError) -> Response:
        """The answer to a fault; a full plane spreads the returns over one to two idle windows."""
        if error.code != "overloaded" and error.kind.status != 503:
            return refusal(error)
        self._refused = (self._refused + 7) % 16
        window = self._limits.window_idle_ms
        return refusal(error, window + window * self._refused // 16)


def decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """`body` as the decoder's message; `DeviceFault(body-malformed)`, also for an unknown key or a key given twice.

    msgspec takes the last of duplicate keys without a word, so the standard library's parser looks for them first.
    """
    try:
        if body != b"{}":
            _FINDS_DUPLICATES.decode(body.decode())
        return decoder.decode(body)
    except (ValueError, RecursionError) as error:
        raise DeviceFault("body-malformed", why=str(error)) from error


def _unique(pairs: list[tuple[str, object]]) -> None:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("an object holds the same key twice")


_FINDS_DUPLICATES = json.JSONDecoder(object_pairs_hook=_unique)
PATH_CHARS_TOLD = 128
"""So much of a path that is not served is told back."""
_CLASSES = ("", "1xx", "2xx", "3xx", "4xx", "5xx")
_TRANSFERS = ("/v1/blobs/*", "/v1/leases/*/upload")


class Gateway:
    """The ASGI application under /v1."""

    def __init__(self, door: Door, routes: dict[tuple[str, str], Handler], metrics: Metrics) -> None:
        """`routes`: (method, route) -> handler; a route is "/v1/checkin", or "/v1/leases/*/accept" with one name."""
        self._door = door
        self._routes = routes
        self._metrics = metrics
        self._paths = {route for _, route in routes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        request = Request(scope, receive)
        began = perf_counter()
        route, name = self._route(request.path)
        try:
            answered = await self._answered(request, route, name)
        except Gone:
            return
        self._metrics.observe(
            "podium_request_duration_seconds",
            perf_counter() - began,
            route=route or "other",
            status=_CLASSES[answered.status // 100],
        )
        if route in _TRANSFERS and answered.status < 300:
            self._moved(request, answered)
        if isinstance(answered, Response):
            await respond(send, answered)
        else:
            await _stream(send, answered)

    def _moved(self, request: Request, answered: Response | Stream) -> None:
        if request.method == "PUT":
            length = request.header(b"content-length")
            self._metrics.count("podium_transfer_bytes_total", int(length) if length.isdigit() else 0, direction="up")
        elif request.method == "GET":
            size = len(answered.body) if isinstance(answered, Response) else answered.length
            self._metrics.count("podium_transfer_bytes_total", size, direction="down")

    async def _answered(self, request: Request, route: str, name: str) -> Response | Stream:
        try:
            handler = self._routes.get((request.method, route))
            if handler is None:
                what = f"{request.method} {request.path[:PATH_CHARS_TOLD]}"
                raise DeviceFault("method-not-allowed" if route else "not-found", what=what)
            return await handler(request, name)
        except Bug as error:
            self._metrics.count("podium_refusals_total", side="device", code=error.code)
            log.critical("a device request broke a rule", extra={"route": route, "why": error.why})
            return refusal(error)
        except PodiumError as error:
            self._metrics.count("podium_refusals_total", side="device", code=error.code)
            return self._door.refused(error)

    def _route(self, path: str) -> tuple[str, str]:
        """The route of `path` ("" if it has none) and what it names."""
        if path in self._paths:
            return path, ""
        parts = path.split("/")
        if len(parts) >= 4 and parts[3]:
            route = "/".join([*parts[:3], "*", *parts[4:]])
            if route in self._paths:
                return route, parts[3]
        return "", ""


async def _stream(send: Send, stream: Stream) -> None:
    headers = [*stream.headers, (b"content-length", str(stream.length).encode())]
    await send({"type": "http.response.start", "status": stream.status, "headers": headers})
    async for piece in stream.pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
