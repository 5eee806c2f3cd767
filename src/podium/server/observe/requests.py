"""The door of people's requests: gives each an id, times it, counts its refusal, logs it; and guards /metrics.

Decides: which requests are logged (all but the probes), and who may scrape: on a plane that listens on loopback alone
anybody there, elsewhere whoever shows a credential of an operator. Never: what is answered. The id is ours alone: one
that a client sends is not taken, so nobody writes into the log. A stream counts until it begins, not until it ends.
"""

import logging
from collections.abc import Awaitable, Callable
from time import perf_counter

import msgspec

from podium.ports import Entropy
from podium.ports.plane import Metrics
from podium.server import http
from podium.server.http import Message, Receive, Scope, Send
from podium.server.logs import REQUEST
from podium.wire.problems import PodiumError

log = logging.getLogger("podium.requests")

ID_HEADER = b"podium-request"
PROBES = ("/healthz", "/readyz", "/metrics")
PATH_CHARS_LOGGED = 128

App = Callable[[Scope, Receive, Send], Awaitable[None]]


class _Code(msgspec.Struct):
    code: str = ""


_CODE = msgspec.json.Decoder(_Code)


class Observed:
    """An ASGI application around the one that answers people. `guarded`: /metrics wants what `prove` accepts."""

    def __init__(self, app: App, metrics: Metrics, entropy: Entropy, prove: Callable[[str], object]) -> None:
        """`prove(authorization)` raises `OperatorFault` unless the header proves an operator."""
        self._app = app
        self._metrics = metrics
        self._entropy = entropy
        self._prove = prove
        self.guarded = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = _Told(self._entropy.token(8).hex(), str(scope["path"]), send)
        token = REQUEST.set(told.id)
        try:
            if self.guarded and told.path == "/metrics":
                self._prove(http.Request(scope, receive).header(b"authorization"))
            await self._app(scope, receive, told.send)
        except PodiumError as error:
            if told.status:
                raise  # the answer has begun: all that is left is to end the connection
            await http.respond(told.send, http.refusal(error))
        finally:
            self._count(told, str(scope["method"]))
            REQUEST.reset(token)

    def _count(self, told: "_Told", method: str) -> None:
        if not told.status:
            return  # nothing was answered: the server says so itself
        status = f"{told.status // 100}xx"
        self._metrics.observe("podium_request_duration_seconds", told.seconds, route=_group(told.path), status=status)
        if told.code:
            self._metrics.count("podium_refusals_total", side="operator", code=told.code)
        if told.path not in PROBES:
            extra = {
                "method": method,
                "path": told.path[:PATH_CHARS_LOGGED],
                "status": told.status,
                "ms": round(told.seconds * 1000, 1),
            }
            log.info("answered", extra=extra | ({"code": told.code} if told.code else {}))


class _Told:
    """One request's answer as it goes by."""

    def __init__(self, request: str, path: str, send: Send) -> None:
        self.id = request
        self.path = path
        self.status = 0
        self.seconds = 0.0
        self.code = ""
        self._send = send
        self._began = perf_counter()

    async def send(self, message: Message) -> None:
        """Pass `message` on: the beginning with the id, the body of a problem with a look at its code."""
        if message["type"] == "http.response.start":
            self.seconds = perf_counter() - self._began
            status, headers = message["status"], message.get("headers", ())
            self.status = status if isinstance(status, int) else 0
            given = list(headers) if isinstance(headers, list | tuple) else []
            message = {**message, "headers": [*given, (ID_HEADER, self.id.encode())]}
        elif self.status >= 400 and not self.code:
            self.code = _code(message.get("body", b""))
        await self._send(message)


def _code(body: object) -> str:
    """The code of the problem in `body`, "" if it is none."""
    try:
        return _CODE.decode(body).code if isinstance(body, bytes) else ""
    except msgspec.DecodeError:
        return ""


def _group(path: str) -> str:
    if path in PROBES:
        return "probe"
    return "api" if path.startswith("/api/") else "console"
