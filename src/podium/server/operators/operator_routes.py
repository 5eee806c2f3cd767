"""The operator API at the door: every row of the table becomes an HTTP route behind its verb.

Decides: whose credential is shown, how query and body are decoded, and how an answer or a fault looks; a path or a
method that is not served is a problem like any other. Never: which routes there are (route_table.py), whether a verb is
allowed (permission.py), nor what it leads to.
Limits: `operator_body_bytes_max` for routes that bring a model, else `body_bytes_max`; `body_ms`;
`IDEMPOTENCY_CHARS_MAX`.
"""

import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from urllib.parse import parse_qsl

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from podium.server import http
from podium.server.devices.gateway import PATH_CHARS_TOLD, decode
from podium.server.loop.loop import Loop
from podium.server.operators.live import Live
from podium.server.operators.permission import permit
from podium.server.operators.route_table import JSON, Answered, AnyRoute, Call, read_query
from podium.server.operators.watching import streamed, wants_events
from podium.server.plane_data import Credentials, Parts, Who
from podium.wire.asks import Ask
from podium.wire.problems import Bug, DeviceFault, OperatorFault, PodiumError

log = logging.getLogger("podium.operators")

IDEMPOTENCY_KEY = "idempotency-key"
IDEMPOTENCY_CHARS_MAX = 128
QUERY_FIELDS_MAX = 32

Answers = Callable[[Request], Awaitable[Response]]


class Operators:
    """Who may ask, and what they asked for."""

    def __init__(self, parts: Parts, loop: Loop, credentials: Credentials, live: Live) -> None:
        self._parts = parts
        self._loop = loop
        self._credentials = credentials
        self._live = live

    def routes(self, table: Iterable[AnyRoute]) -> list[Route]:
        """The table as HTTP routes, one a path, each of its methods behind its one verb."""
        by_path: defaultdict[str, dict[str, Answers]] = defaultdict(dict)
        for row in table:
            by_path[row.path][row.method] = self._guarded(row)
        return [Route(path, _by_method(answers), methods=list(answers)) for path, answers in by_path.items()]

    def who(self, authorization: str) -> Who:
        """Who shows this Authorization header; faults as `Credentials.who`."""
        return self._credentials.who(authorization, lambda: self._loop.state.services, self._loop.now_ms())

    def _guarded(self, row: AnyRoute) -> Answers:
        decoder = msgspec.json.Decoder(row.ask)

        async def call(request: Request) -> Response:
            try:
                who = self.who(request.headers.get("authorization", ""))
                permit(self._loop, who, row.verb)
                asked = await self._decoded(row, decoder, request, who)
                watch = wants_events(row, request)
                answered = await (streamed(self._live, row, asked) if watch else row.call(asked))
                await self._loop.settled()  # what was read may be ahead of the store
                response = _encoded(row, answered)
            except PodiumError as error:
                if isinstance(error, Bug):
                    log.critical("an operator request broke a rule", extra={"route": row.verb, "why": error.why})
                response = _refused(error)
            response.headers.setdefault("cache-control", "no-store")  # some answers hold a secret, all of them age
            return response

        return call

    async def _decoded(
        self, row: AnyRoute, decoder: msgspec.json.Decoder[Ask], request: Request, who: Who
    ) -> Call[Ask]:
        query = read_query(row, _query(request))
        key = _key(row, request)
        body = b"" if row.method == "GET" else await self._body(row, request)
        return Call(
            who=who,
            names=dict(request.path_params),
            query=query,
            ask=decode(decoder, body or b"{}"),
            key=key,
            still=lambda: self.who(request.headers.get("authorization", "")),
        )

    async def _body(self, row: AnyRoute, request: Request) -> bytes:
        limits = self._parts.limits
        bytes_max = limits.operator_body_bytes_max if row.large else limits.body_bytes_max
        try:
            return await http.Request(request.scope, request.receive).body(bytes_max, limits.body_ms)
        except http.Gone as error:
            raise DeviceFault("body-malformed", why=str(error)) from error


def _by_method(answers: dict[str, Answers]) -> Answers:
    async def answer(request: Request) -> Response:
        return await answers["GET" if request.method == "HEAD" else request.method](request)

    return answer


def _query(request: Request) -> list[tuple[str, str]]:
    try:
        return parse_qsl(request.url.query, keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX)
    except ValueError as error:
        raise OperatorFault("usage", what="the query cannot be read", why=str(error)) from error


def _key(row: AnyRoute, request: Request) -> str:
    """The Idempotency-Key, "" without one: one that would be ignored is refused, or a repeat would seem safe."""
    key = request.headers.get(IDEMPOTENCY_KEY, "")
    if key and not row.keyed and row.method != "GET":
        raise OperatorFault(
            "usage",
            what=f"{row.method} {row.path} takes no Idempotency-Key",
            why="only what starts a run does; what else can be repeated is idempotent without one",
            next="send it without; after a lost answer of what makes something, look whether it is there already",
        )
    if len(key) > IDEMPOTENCY_CHARS_MAX or not (key.isascii() and key.isprintable()):
        why = f"printable ASCII of at most {IDEMPOTENCY_CHARS_MAX} characters"
        raise OperatorFault("usage", what="the Idempotency-Key cannot be taken", why=why)
    return key


def _encoded(row: AnyRoute, answered: Answered) -> Response:
    if isinstance(answered, Response):
        return answered
    if isinstance(answered, bytes):
        return Response(answered, row.status, media_type=row.media)
    return Response(msgspec.json.encode(answered), row.status, media_type=JSON)


def _refused(error: PodiumError) -> Response:
    """The problem; a 401 says which scheme proves who asks (RFC 9110, section 11.6.1; RFC 6750, section 3)."""
    response = to_starlette(http.refusal(error))
    if response.status_code == 401:
        response.headers["www-authenticate"] = "Bearer"
    return response


def to_starlette(response: http.Response) -> Response:
    """The same answer as a Starlette response."""
    headers = {name.decode(): value.decode() for name, value in response.headers}
    return Response(response.body, response.status, headers)


async def not_served(request: Request, error: Exception) -> Response:
    """A path or a method that nothing serves, as a problem; 405 keeps its Allow header (RFC 9110, section 15.5.6)."""
    told = error if isinstance(error, HTTPException) else HTTPException(500)
    code = {404: "not-found", 405: "method-not-allowed"}.get(told.status_code, "body-malformed")
    what = f"{request.method} {request.url.path[:PATH_CHARS_TOLD]}"
    fault = DeviceFault(code, what=what, why=told.detail, next="GET /api/v1/openapi.json says what is served")
    response = to_starlette(http.refusal(fault))
    response.headers.update(told.headers or {})
    return response


async def broke(request: Request, error: Exception) -> Response:
    """An error of ours that nothing foresaw, as a problem; the server logs it with its traceback."""
    return to_starlette(
        http.refusal(Bug(f"{request.method} {request.url.path[:PATH_CHARS_TOLD]}: {type(error).__name__}"))
    )
