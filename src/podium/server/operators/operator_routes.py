"""The operator API under /api/v1, and the probes: what people and their tools ask of a running plane.

Decides: which verb each route is, and what an operator must send. Never: whether a verb is allowed (core/access) nor
what it leads to (the core). Every route but the probes wants a bearer credential; a denied attempt is told to the core.
Limits: `operator_body_bytes_max`, `body_ms`, pages of `history_page_max`.
"""

import contextlib
import logging
import tempfile
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import IO

import msgspec
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from podium.core.access.roles import permit
from podium.core.events import DevicesMarked, RunStopped
from podium.core.rows import RunRow
from podium.core.views.fleet import device_view, online
from podium.core.views.models import version_view
from podium.core.views.plane import alerts, freeze_view
from podium.core.views.runs import run_view
from podium.server import http
from podium.server.devices.device_words import checked
from podium.server.devices.gateway import decode
from podium.server.devices.uploads import BlobRoom
from podium.server.journal.audit import export_data
from podium.server.loop.loop import Loop, note_denied
from podium.server.metrics import PlaneMetrics
from podium.server.operators.naming import find_device, find_run, find_version
from podium.server.operators.submission import Submission
from podium.server.plane_data import Credentials, Parts
from podium.server.release import VERSION
from podium.wire.asks import StopAsk
from podium.wire.canonical import decode_canonical, unb64
from podium.wire.messages import Head, Signed, SignedRoot
from podium.wire.operator import RUN_OPEN, Page, StatusView, View, Wait, WhoAmI
from podium.wire.problems import Bug, OperatorFault, PodiumError

log = logging.getLogger("podium.operators")

Endpoint = Callable[[Request, str], Awaitable[Response]]
"""Answers a request of the actor named ("person:<role>")."""

_STOP = msgspec.json.Decoder(StopAsk)
JSON = "application/json"
EXPORT_PIECE_BYTES = 256 * 1024


def shown(value: msgspec.Struct, status: int = 200) -> Response:
    """A view as JSON."""
    return Response(msgspec.json.encode(value), status, media_type=JSON)


class Operators:
    """The routes of people."""

    def __init__(
        self, parts: Parts, loop: Loop, room: BlobRoom, credentials: Credentials, submission: Submission
    ) -> None:
        self._parts = parts
        self._loop = loop
        self._room = room
        self._credentials = credentials
        self._submission = submission
        self._started_ms = loop.now_ms()
        self.url = ""
        self.data = Path()
        self.heads: Callable[[], dict[str, Signed]] = dict

    def routes(self) -> list[Route]:
        """Every route with its one verb."""
        return [
            self._route("GET", "/api/v1/whoami", "whoami.read", self.who_am_i),
            self._route("GET", "/api/v1/status", "status.read", self.status),
            self._route("GET", "/api/v1/runs", "runs.read", self.runs),
            self._route("POST", "/api/v1/runs", "runs.submit", self._submission.submit),
            self._route("GET", "/api/v1/runs/{id}", "runs.read", self.run),
            self._route("POST", "/api/v1/runs/{id}/stop", "runs.stop", self.stop),
            self._route("GET", "/api/v1/devices", "devices.read", self.devices),
            self._route("POST", "/api/v1/devices/{id}/ban", "devices.mark", self.ban),
            self._route("GET", "/api/v1/audit/export", "journal.read", self.export),
            self._route("POST", "/api/v1/tokens", "tokens.issue", self._submission.issue_token),
            self._route("GET", "/api/v1/versions", "versions.read", self.versions),
            self._route("GET", "/api/v1/versions/{id}", "versions.read", self.version),
            self._route("GET", "/api/v1/versions/{id}/blob", "versions.read", self.version_blob),
            self._route("GET", "/api/v1/versions/{id}/statement", "versions.read", self.version_statement),
        ]

    def _route(self, method: str, path: str, verb: str, endpoint: Endpoint) -> Route:
        return Route(path, self.guarded(verb, endpoint), methods=[method])

    def guarded(self, verb: str, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        """`endpoint` behind its verb: the credential's role must be permitted; every fault becomes a problem."""

        async def call(request: Request) -> Response:
            try:
                role = self._credentials.role(request.headers.get("authorization", ""))
                self._permit(role, verb)
                response = await endpoint(request, f"person:{role}")
                await self._loop.settled()  # what was read may be ahead of the store
                return response
            except PodiumError as error:
                if isinstance(error, Bug):
                    log.critical("an operator request broke a rule", extra={"route": verb, "why": error.why})
                return to_starlette(http.refusal(error))

        return call

    def _permit(self, role: str, verb: str) -> None:
        try:
            permit(role, verb)
        except OperatorFault:
            note_denied(self._loop, f"person:{role}", "verb-denied")
            log.warning("denied", extra={"role": role, "verb": verb})
            raise

    # -- reading ---------------------------------------------------------------------------------------------

    async def who_am_i(self, request: Request, actor: str) -> Response:
        """GET /api/v1/whoami."""
        return shown(WhoAmI(role=actor.removeprefix("person:"), plane_id=self._parts.identity.plane_id))

    async def status(self, request: Request, actor: str) -> Response:
        """GET /api/v1/status: the plane in one look, with the runs that are running."""
        pending = len(await self._room.run(self._parts.store.unplaced, self._parts.limits.history_page_max))
        placed = sum(_size(head) for head in self.heads().values())
        state, now = self._loop.state, self._loop.now_ms()
        views = [run_view(state, run, now) for run in _newest(state.runs.values()) if run.state in RUN_OPEN]
        waiting: list[Wait] = [view.waiting for view in views if view.waiting is not None]
        return shown(
            StatusView(
                plane_id=self._parts.identity.plane_id,
                version=VERSION,
                url=self.url,
                up_ms=now - self._started_ms,
                devices=len(state.devices),
                online=online(state, now),
                runs=views,
                waiting=waiting,
                freeze=freeze_view(state, now),
                alerts=alerts(state, views),
                journal_entries=placed + pending,
                journal_pending=pending,
            )
        )

    async def runs(self, request: Request, actor: str) -> Response:
        """GET /api/v1/runs: newest first."""
        state, now = self._loop.state, self._loop.now_ms()
        return self._page(request, _newest(state.runs.values()), lambda run: run_view(state, run, now))

    async def run(self, request: Request, actor: str) -> Response:
        """GET /api/v1/runs/ID; an id, a unique prefix, a task's name, or @last."""
        state = self._loop.state
        return shown(run_view(state, find_run(state, request.path_params["id"]), self._loop.now_ms()))

    async def devices(self, request: Request, actor: str) -> Response:
        """GET /api/v1/devices: in order of enrolment."""
        state, now = self._loop.state, self._loop.now_ms()
        return self._page(request, state.devices, lambda row: device_view(state, row, now))

    async def versions(self, request: Request, actor: str) -> Response:
        """GET /api/v1/versions: oldest first; `?run=` names one run's, beginning with the version it began with."""
        state, now = self._loop.state, self._loop.now_ms()
        rows = sorted(state.versions.values(), key=lambda row: (row.made_ms, row.number))
        wanted = request.query_params.get("run", "")
        if wanted:
            run = find_run(state, wanted)
            rows = [row for row in rows if row.run == run.id or row.id == run.first]
        return self._page(request, rows, lambda row: version_view(state, row, now))

    async def version(self, request: Request, actor: str) -> Response:
        """GET /api/v1/versions/ID; a digest, a unique prefix, or an alias."""
        state = self._loop.state
        return shown(version_view(state, find_version(state, request.path_params["id"]), self._loop.now_ms()))

    async def version_blob(self, request: Request, actor: str) -> Response:
        """GET /api/v1/versions/ID/blob: the safetensors bytes."""
        row = find_version(self._loop.state, request.path_params["id"])
        return Response(await self._room.whole(row.id), media_type="application/octet-stream")

    async def version_statement(self, request: Request, actor: str) -> Response:
        """GET /api/v1/versions/ID/statement: the signed provenance, a DSSE envelope."""
        row = find_version(self._loop.state, request.path_params["id"])
        return Response(await self._room.whole(row.statement), media_type=JSON)

    async def export(self, request: Request, actor: str) -> Response:
        """GET /api/v1/audit/export: the journal as JSON Lines, streamed; `podium audit verify` reads it offline."""
        file = await self._room.run(exported, self.data, self._parts.identity.root)
        pieces = iter(partial(file.read, EXPORT_PIECE_BYTES), b"")
        return StreamingResponse(pieces, media_type="application/jsonl", background=BackgroundTask(file.close))

    def _page(self, request: Request, rows: Iterable[object], view: Callable[..., View]) -> Response:
        """One page: `?after=` is the cursor that the page before gave as `next`, `?limit=` its length."""
        after, limit = (_count(request, name) for name in ("after", "limit"))
        limit = min(limit or self._parts.limits.history_page_max, self._parts.limits.history_page_max)
        every = list(rows)
        items = [msgspec.Raw(msgspec.json.encode(view(row))) for row in every[after : after + limit]]
        end = after + len(items)
        return shown(Page(items=items, next=str(end) if end < len(every) else ""))

    # -- changing --------------------------------------------------------------------------------------------

    async def stop(self, request: Request, actor: str) -> Response:
        """POST /api/v1/runs/ID/stop: the run ends, its last sealed version stays; the run as it now stands."""
        asked = decode(_STOP, await self._body(request) or b"{}")
        run = find_run(self._loop.state, request.path_params["id"])
        checked(
            await self._loop.ask(
                lambda at, ticket: RunStopped(at_ms=at, ticket=ticket, actor=actor, run=run.id, why=asked.why[:256])
            )
        )
        state = self._loop.state
        return shown(run_view(state, state.runs[run.id], self._loop.now_ms()))

    async def ban(self, request: Request, actor: str) -> Response:
        """POST /api/v1/devices/ID/ban: bites at the device's next request, and revokes its lease."""
        asked = decode(_STOP, await self._body(request) or b"{}")
        device = find_device(self._loop.state, request.path_params["id"]).id
        checked(
            await self._loop.ask(
                lambda at, ticket: DevicesMarked(
                    at_ms=at,
                    ticket=ticket,
                    actor=actor,
                    devices=(device,),
                    state="banned",
                    revoke=True,
                    why=asked.why[:256],
                )
            )
        )
        state = self._loop.state
        return shown(device_view(state, state.devices[state.device_number(device)], self._loop.now_ms()))

    async def _body(self, request: Request) -> bytes:
        return await http.Request(request.scope, request.receive).body(
            self._parts.limits.body_bytes_max, self._parts.limits.body_ms
        )


class Probes:
    """Routes without a credential: they tell nothing of anybody."""

    def __init__(self, loop: Loop, metrics: PlaneMetrics) -> None:
        self._loop = loop
        self._metrics = metrics

    def routes(self) -> list[Route]:
        """/healthz, /readyz, /metrics."""
        return [
            Route("/healthz", self.healthy, methods=["GET"]),
            Route("/readyz", self.ready, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
        ]

    async def healthy(self, request: Request) -> Response:
        """GET /healthz: the process answers."""
        return Response(b"ok\n", media_type="text/plain")

    async def ready(self, request: Request) -> Response:
        """GET /readyz: 200 while the plane takes requests, else 503 with the reason."""
        if self._loop.broken:
            return to_starlette(http.refusal(self._loop.refusal()))
        return Response(b"ready\n", media_type="text/plain")

    async def metrics(self, request: Request) -> Response:
        """GET /metrics, in Prometheus' text format."""
        return Response(self._metrics.render(), media_type="text/plain; version=0.0.4")


def exported(data: Path, root: SignedRoot) -> IO[bytes]:
    """One committed state of the journal in an unnamed file, at its beginning. Blocking; `StoreFault`.

    A file, because a page of it takes as long as the reader's network, and a snapshot belongs to one thread.
    """
    with contextlib.ExitStack() as unless_whole:
        file = unless_whole.enter_context(tempfile.TemporaryFile())
        file.writelines(export_data(data, root))
        file.seek(0)
        unless_whole.pop_all()
    return file


def to_starlette(response: http.Response) -> Response:
    """The same answer as a Starlette response."""
    headers = {name.decode(): value.decode() for name, value in response.headers}
    return Response(response.body, response.status, headers)


def _newest(runs: Iterable[RunRow]) -> list[RunRow]:
    return sorted(runs, key=lambda run: (-run.started_ms, run.id))


def _size(head: Signed) -> int:
    return decode_canonical(unb64(head.payload), Head).size


def _count(request: Request, name: str) -> int:
    text = request.query_params.get(name, "0")
    if not text.isdecimal() or len(text) > 15:
        raise OperatorFault("usage", what=f"the query's {name} is {text[:32]}", why="it is a whole number")
    return int(text)
