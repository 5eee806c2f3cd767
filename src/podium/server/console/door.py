"""The console's door: signing in and out, and every page, form and stream behind the session that may have it.

Decides: who sees a page (a session), who may send a form (a session of a role that has the form's verb, from a page of
this origin, with the session's token), and how a fault looks to a person. Never: what a page shows (screens/) nor what
a form leads to (server/operators/acts.py). A stream ends with its session.
Limits: those of sign_ins.py and guard.py; one stream for each page that is open, as many as `Live` takes.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from podium.core.access.roles import VERBS
from podium.core.views.plane import freeze_view
from podium.server.console.guard import (
    HEADERS,
    FormReader,
    check_origin,
    check_token,
    local_path,
    session_name,
    set_session,
)
from podium.server.console.rendering import MENU, Rendering, Screen, Static
from podium.server.console.repeats import MARK, Repeats
from podium.server.console.sign_ins import SignIn, SignIns, Tries
from podium.server.console.turns import Turns
from podium.server.devices.gateway import PATH_CHARS_TOLD
from podium.server.loop.loop import Loop
from podium.server.operators.live import Live
from podium.server.operators.operator_routes import not_served
from podium.server.operators.permission import permit
from podium.server.operators.route_table import EVENTS
from podium.server.plane_data import Credentials, Parts, Who
from podium.wire.canonical import b64
from podium.wire.operator import FreezeView
from podium.wire.problems import Bug, DeviceFault, OperatorFault, PodiumError

log = logging.getLogger("podium.console")

SEE_OTHER = 303
MARK_BYTES = 16
FOREVER = "public, max-age=31536000, immutable"
NOBODY = "/sign-in"
OVER = b"event: over\ndata: {}\n\n"
"""The last event of a stream whose session is over."""
DRAW_MS = 1_000
"""The fragments of a page are drawn at most this often, however fast the plane moves: a person reads no faster."""


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asks to see: the names in the path, the query (the last of each name), and whether they may act."""

    path: str
    names: dict[str, str]
    query: dict[str, str]
    role: str

    @property
    def id(self) -> str:
        """What `{id}` of the path names."""
        return self.names["id"]

    @property
    def admin(self) -> bool:
        """Whether forms are shown."""
        return self.role == "administrator"


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody sent: who, the names in the path, and the fields."""

    who: Who
    names: dict[str, str]
    fields: dict[str, str]

    @property
    def actor(self) -> str:
        """How the journal calls whoever sent it."""
        return self.who.actor

    @property
    def id(self) -> str:
        """What `{id}` of the path names."""
        return self.names["id"]

    def text(self, name: str) -> str:
        """A field, "" if it was not sent."""
        return self.fields.get(name, "").strip()


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What a form led to: where to go on, and the sentence that the next page says once.

    With `screen` there is a page of its own instead (a secret that is shown this once).
    """

    path: str = ""
    notice: str = ""
    screen: Screen | None = None


Present = Callable[[Look], Awaitable[Screen]]
Act = Callable[[Form], Awaitable[Done]]


class Console:
    """The pages of one plane."""

    def __init__(self, parts: Parts, loop: Loop, credentials: Credentials, live: Live) -> None:
        self._parts = parts
        self._loop = loop
        self._credentials = credentials
        self._live = live
        self._sign_ins = SignIns(parts.entropy, parts.limits)
        self._tries = Tries(parts.limits)
        self._sign_in_forms = FormReader(parts.limits.sign_in_bytes_max, parts.limits)
        self._act_forms = FormReader(parts.limits.form_bytes_max, parts.limits)
        self._repeats = Repeats[Done]()
        self._static = Static()
        self._rendering = Rendering(self._static)
        self._turns = Turns()

    def routes(self) -> list[Route]:
        """Signing in and out, and the static files."""
        return [
            Route("/sign-in", self._gate, methods=["GET"]),
            Route("/sign-in", self._sign_in, methods=["POST"]),
            Route("/sign-out", self._sign_out, methods=["POST"]),
            Route("/static/{digest}/{name}", self._file, methods=["GET"]),
        ]

    def page(self, path: str, present: Present) -> list[Route]:
        """The page at `path`, and its stream at /live + path."""

        async def show(request: Request) -> Response:
            session = self._session(request)
            if session is None:
                return self._to_gate(request)
            return await self._shown(request, session, present)

        async def stream(request: Request) -> Response:
            session = self._session(request, use=False)
            if session is None:
                # a refusal would only let an EventSource stop, so the page would not learn that it is signed out
                return Response(OVER, headers=HEADERS, media_type=EVENTS)
            try:
                return await self._streamed(request, session, present)
            except PodiumError as error:
                return Response(f"{error.code}\n", error.kind.status, HEADERS, media_type="text/plain")

        return [Route(path, show, methods=["GET"]), Route(f"/live{path}", stream, methods=["GET"])]

    def form(self, path: str, verb: str, act: Act) -> Route:
        """The form at `path`, for those who may `verb`."""

        async def sent(request: Request) -> Response:
            session = self._session(request)
            if session is None:
                return self._to_gate(request)
            try:
                form = await self._checked(request, session, verb)
                done = await self._repeats.once(session.csrf, request.url.path, form.fields, lambda: act(form))
                await self._loop.settled()
            except PodiumError as error:
                return self._problem(request, session, error)
            session.notice = done.notice
            if done.screen is not None:
                return self._html(done.screen.template, self._told(request, session, done.screen))
            return RedirectResponse(done.path, SEE_OTHER, HEADERS)

        return Route(path, sent, methods=["POST"])

    async def not_served(self, request: Request, error: Exception) -> Response:
        """What nothing serves: a page for a browser whose session lives, a problem for everybody else."""
        session = self._session(request, use=False)
        if session is None or request.method != "GET" or "text/html" not in request.headers.get("accept", ""):
            return await not_served(request, error)
        what = f"GET {request.url.path[:PATH_CHARS_TOLD]}"
        return self._problem(request, session, DeviceFault("not-found", what=what, why="no page has this address"))

    # -- pages -----------------------------------------------------------------------------------------------

    async def _shown(self, request: Request, session: SignIn, present: Present) -> Response:
        try:
            screen = await present(_look(request, session.role))
            told = self._told(request, session, screen)
            await self._loop.settled()  # what was read may be ahead of the store
            return self._html(screen.template, told)
        except PodiumError as error:
            return self._problem(request, session, error)

    def _told(self, request: Request, session: SignIn, screen: Screen) -> dict[str, object]:
        """What every page reads besides its own: who looks, where, and how the plane stands."""
        here = request.url.path
        query = f"?{request.url.query}" if request.url.query else ""
        notice, session.notice = session.notice, ""
        sections = [path for path, _ in MENU[1:] if here == path or here.startswith(f"{path}/")]
        return {
            **screen.told,
            "title": screen.title,
            "heading": screen.heading,
            "twin": screen.twin,
            "crumbs": screen.crumbs,
            "stream": f"/live{here}{query}" if screen.live else "",
            "quiet_ms": self._parts.limits.quiet_ms,
            "here": here,
            "section": sections[0] if sections else "/",
            "role": session.role,
            "admin": session.role == "administrator",
            "csrf": session.csrf,
            MARK: b64(self._parts.entropy.token(MARK_BYTES)),
            "notice": notice,
            "plane_id": self._parts.identity.plane_id,
            **self._kill_switch(),
        }

    def _kill_switch(self) -> dict[str, object]:
        """How it stands, and since when; a plane without a core (its store failed) knows of none and says so elsewhere.

        A time of day, not an age: what is told of a freeze to a screen reader must not change all the time.
        """
        if self._loop.broken:
            return {"freeze": FreezeView(frozen=False, why="", actor="", age_ms=-1), "freeze_ms": -1}
        now = self._loop.now_ms()
        view = freeze_view(self._loop.state, now)
        return {"freeze": view, "freeze_ms": now - view.age_ms}

    def _html(self, template: str, told: dict[str, object], status: int = 200) -> Response:
        return Response(self._rendering.page(template, told), status, HEADERS, media_type="text/html")

    def _problem(self, request: Request, session: SignIn, error: PodiumError) -> Response:
        """A fault as a person reads it: what, why and what to do next, also while the plane has no core."""
        if isinstance(error, Bug):
            log.critical("a page broke a rule", extra={"path": request.url.path, "why": error.why})
        heading = error.kind.title[:1].upper() + error.kind.title[1:]
        back = request.url.path if request.method == "GET" else "/"
        screen = Screen(
            template="problem.html",
            title=heading,
            heading=heading,
            crumbs=(("/", "Overview"),),
            told={"problem": error, "back": "/" if back == request.url.path else back},
        )
        return self._html(screen.template, self._told(request, session, screen), error.kind.status)

    # -- streams ---------------------------------------------------------------------------------------------

    async def _streamed(self, request: Request, session: SignIn, present: Present) -> Response:
        """The live fragments of a page, drawn once for all of that role who look at it, in turn, each `DRAW_MS`."""
        look = _look(request, session.role)
        drawn_s = 0.0

        async def render() -> dict[str, bytes]:
            nonlocal drawn_s
            await asyncio.sleep(max(0.0, drawn_s + DRAW_MS / 1000 - time.monotonic()))
            drawn_s = time.monotonic()
            async with self._turns.turn():
                screen = await present(look)
                told = {**screen.told, "heading": screen.heading, "admin": look.admin, **self._kill_switch()}
                drawn = self._rendering.fragments(screen.template, told)
            return {name: msgspec.json.encode(name) + b":" + msgspec.json.encode(html) for name, html in drawn.items()}

        key = f"console:{look.role}:{look.path}?{request.url.query}"
        views = self._live.subscribe(key, render, lambda: self._still(request))
        first = await anext(views)  # what is not there is told at once, not streamed
        return StreamingResponse(_events(first, views), headers=HEADERS, media_type=EVENTS)

    def _still(self, request: Request) -> None:
        """`OperatorFault(credential-invalid)` once the session that `request` showed is over."""
        if self._session(request, use=False) is None:
            raise OperatorFault("credential-invalid")

    # -- forms -----------------------------------------------------------------------------------------------

    async def _checked(self, request: Request, session: SignIn, verb: str) -> Form:
        check_origin(request)
        fields = await self._act_forms.read(request)
        check_token(session, fields)
        who = Who(actor=f"person:{session.role}", verbs=VERBS[session.role])
        permit(self._loop, who, verb)
        return Form(who=who, names=dict(request.path_params), fields=fields)

    # -- signing in and out ----------------------------------------------------------------------------------

    def _session(self, request: Request, use: bool = True) -> SignIn | None:
        name = session_name(request)
        return self._sign_ins.find(name, self._loop.now_ms(), use) if name else None

    def _to_gate(self, request: Request) -> Response:
        query = f"?{request.url.query}" if request.url.query else ""
        wanted = request.url.path + query if request.method == "GET" else "/"
        there = NOBODY if wanted == "/" else f"{NOBODY}?next={quote(wanted)}"
        return RedirectResponse(there, SEE_OTHER, HEADERS)

    async def _gate(self, request: Request) -> Response:
        if self._session(request) is not None:
            return RedirectResponse("/", SEE_OTHER, HEADERS)
        wanted = local_path(request.query_params.get("next", "/"))
        return self._html("sign_in.html", {"problem": None, "next": wanted})

    async def _sign_in(self, request: Request) -> Response:
        wanted, now = "/", self._loop.now_ms()
        address = request.client.host if request.client else ""
        try:
            check_origin(request)
            fields = await self._sign_in_forms.read(request)
            wanted = local_path(fields.get("next", "/"))
            role = self._role(address, fields.get("credential", "").strip(), now)
        except (OperatorFault, DeviceFault) as error:
            return self._html("sign_in.html", {"problem": error, "next": wanted}, error.kind.status)
        self._sign_ins.close(session_name(request))
        name, _ = self._sign_ins.open(role, now)
        log.info("signed in", extra={"role": role})
        response = RedirectResponse(wanted, SEE_OTHER, HEADERS)
        set_session(request, response, name)
        return response

    def _role(self, address: str, credential: str, now: int) -> str:
        try:
            return self._credentials.role(f"Bearer {credential}")
        except OperatorFault:
            self._tries.failed(address, now)
            log.warning("a wrong credential", extra={"address": address})
            raise

    async def _sign_out(self, request: Request) -> Response:
        session = self._session(request)
        if session is not None:
            try:
                check_origin(request)
                check_token(session, await self._act_forms.read(request))
            except (OperatorFault, DeviceFault) as error:
                return self._problem(request, session, error)
            self._sign_ins.close(session_name(request))
        response = RedirectResponse(NOBODY, SEE_OTHER, HEADERS)
        set_session(request, response, "")
        return response

    async def _file(self, request: Request) -> Response:
        found = self._static.find(request.path_params["digest"], request.path_params["name"])
        if found is None:
            return Response(status_code=404, headers=HEADERS)
        return Response(found[0], 200, {**HEADERS, "cache-control": FOREVER}, media_type=found[1])


async def _events(first: dict[str, bytes], views: AsyncGenerator[dict[str, bytes], None]) -> AsyncIterator[bytes]:
    """Fragments that changed since the last event, none as a sign of life; `over` once the session is."""
    sent = first
    yield _fragments(first.values())
    async with aclosing(views):
        try:
            async for drawn in views:
                yield _fragments(told for name, told in drawn.items() if sent.get(name) != told)
                sent = drawn
        except OperatorFault:
            yield OVER


def _fragments(told: Iterable[bytes]) -> bytes:
    return b"event: fragments\ndata: {" + b",".join(told) + b"}\n\n"


def _look(request: Request, role: str) -> Look:
    path = request.url.path.removeprefix("/live")
    return Look(path=path, names=dict(request.path_params), query=dict(request.query_params), role=role)
